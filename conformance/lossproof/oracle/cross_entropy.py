"""cross_entropy: from logits, against class indices or class probabilities."""

from __future__ import annotations

import math

import numpy as np

from lossproof.oracle.arithmetic import Quantity, total
from lossproof.oracle.labels import Label, kept_weights, read_labels
from lossproof.oracle.problem import Problem
from lossproof.oracle.rows import class_axis, join, log_softmax, ones, reduce, scales, split, times_log_probability


def value(problem: Problem) -> list[Quantity]:
    """-w_t l_t, or -sum_j w_j y_j l_j against probabilities; smoothed; reduced."""
    rows = _rows(problem)
    if _has_probabilities(problem):
        targets = _probability_rows(problem)
        terms = [_probability_term(row, y, problem) for row, y in zip(rows, targets, strict=True)]
        return reduce(terms, None, problem)
    labels, weight = _read_labels(problem), problem.vector("weight")
    terms = [_index_term(row, label, weight, problem) for row, label in zip(rows, labels, strict=True)]
    return reduce(terms, kept_weights(labels, weight, problem), problem)


def gradient(problem: Problem) -> list[Quantity]:
    """c (W exp(l_j) - w_j y_j), with y the effective target and W = sum_j w_j y_j; 0 for ignored rows."""
    logits, rows, weight = problem.inputs["logits"], _rows(problem), problem.vector("weight")
    if _has_probabilities(problem):
        targets = [_weighed(y, weight) for y in _probability_rows(problem)]
        masses = [total(wy, problem.arithmetic) for wy in targets]
        factors = scales(len(rows), None, problem)
        kept = [True] * len(rows)
    else:
        labels = _read_labels(problem)
        pairs = [_index_target(label, weight, len(row), problem) for row, label in zip(rows, labels, strict=True)]
        targets, masses = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        factors = scales(len(rows), kept_weights(labels, weight, problem), problem)
        kept = [label.kept for label in labels]
    gradients = [
        _row_gradient(row, wy, mass, c, problem) if keep else [problem.arithmetic.exact(0.0)] * len(row)
        for row, wy, mass, c, keep in zip(rows, targets, masses, factors, kept, strict=True)
    ]
    return join(gradients, logits.shape, class_axis(logits))


def _rows(problem: Problem) -> list[list[float]]:
    logits = problem.inputs["logits"]
    return split(logits, class_axis(logits))


def _read_labels(problem: Problem) -> list[Label]:
    logits = problem.inputs["logits"]
    return read_labels(problem, logits.shape[class_axis(logits)])


def _has_probabilities(problem: Problem) -> bool:
    return np.issubdtype(problem.inputs["target"].dtype, np.floating)


def _probability_rows(problem: Problem) -> list[list[Quantity]]:
    """The targets, smoothed: (1 - eps) y + eps / K."""
    target = problem.inputs["target"]
    rows = [problem.quantities(np.array(row)) for row in split(target, class_axis(target))]
    smoothing = problem.number("label_smoothing", 0.0)
    if smoothing == 0:
        return rows
    keep, share = _smoothing_constants(smoothing, len(rows[0]) if rows else 1, problem)
    return [[keep * y + share for y in row] for row in rows]


def _smoothing_constants(smoothing: float, classes: int, problem: Problem) -> tuple[Quantity, Quantity]:
    """1 - eps, and eps / K (or eps / (K - 1) where the dialect shares it among the other classes)."""
    arithmetic = problem.arithmetic
    others = problem.rule("smoothing_share") == "others"
    one, epsilon = arithmetic.constant(1).value, arithmetic.constant(smoothing).value
    return arithmetic.constant(one - epsilon), arithmetic.constant(epsilon / (classes - 1 if others else classes))


def _weighed(y: list[Quantity], weight: list[Quantity] | None) -> list[Quantity]:
    return y if weight is None else [w_j * y_j for w_j, y_j in zip(weight, y, strict=True)]


def _probability_term(row: list[float], y: list[Quantity], problem: Problem) -> Quantity:
    """-sum_j (w_j y_j) l_j."""
    wy = _weighed(y, problem.vector("weight"))
    log_probabilities = log_softmax(row, problem.arithmetic)
    return -total(
        [times_log_probability(a, l, problem) for a, l in zip(wy, log_probabilities, strict=True)], problem.arithmetic
    )


def _index_term(row: list[float], label: Label, weight: list[Quantity] | None, problem: Problem) -> Quantity:
    """-w_t l_t; smoothed (1 - eps) (-w_t l_t) + (eps / K) sum_j (-w_j l_j)."""
    arithmetic = problem.arithmetic
    if not label.kept:
        return arithmetic.exact(0.0)
    if not label.valid:
        return arithmetic.exact(math.nan)
    log_probabilities = log_softmax(row, arithmetic)
    smoothing = problem.number("label_smoothing", 0.0)
    if smoothing == 0:
        return -_weighed([log_probabilities[label.index]], _only(weight, label.index))[0]
    keep, share = _smoothing_constants(smoothing, len(row), problem)
    if _weighs_whole_row(weight, problem):
        assert weight is not None
        weight = [weight[label.index]] * len(row)
    terms = [-l for l in _weighed(log_probabilities, weight)]
    shared = terms
    if problem.rule("smoothing_share") == "others":
        shared = terms[: label.index] + terms[label.index + 1 :]
    return keep * terms[label.index] + share * total(shared, arithmetic)


def _only(weight: list[Quantity] | None, index: int) -> list[Quantity] | None:
    return None if weight is None else [weight[index]]


def _weighs_whole_row(weight: list[Quantity] | None, problem: Problem) -> bool:
    return weight is not None and problem.rule("smoothing_weight") == "target"


def _index_target(
    label: Label, weight: list[Quantity] | None, classes: int, problem: Problem
) -> tuple[list[Quantity], Quantity]:
    """w_j y_j of a row's effective target, and their sum."""
    arithmetic = problem.arithmetic
    y = [arithmetic.exact(0.0)] * classes
    if not label.kept:
        return y, y[0] if y else arithmetic.exact(0.0)
    smoothing = problem.number("label_smoothing", 0.0)
    y[label.index] = arithmetic.exact(1.0)
    if smoothing == 0:
        mass = arithmetic.exact(1.0) if weight is None else weight[label.index]
        y[label.index] = mass
        return y, mass
    keep, share = _smoothing_constants(smoothing, classes, problem)
    others = problem.rule("smoothing_share") == "others"
    y = [share] * classes
    y[label.index] = keep if others else keep + share
    if _weighs_whole_row(weight, problem):
        assert weight is not None
        weight = [weight[label.index]] * classes
    wy = _weighed(y, weight)
    return wy, total(wy, arithmetic)


def _row_gradient(
    row: list[float], wy: list[Quantity], mass: Quantity, c: Quantity, problem: Problem
) -> list[Quantity]:
    """c (W exp(l_j) - w_j y_j); W = 1, of an unweighted index, multiplies nothing."""
    arithmetic = problem.arithmetic
    probabilities = [l.exp() for l in log_softmax(row, arithmetic)]
    weighed = probabilities if _is_one(mass) else [mass * p for p in probabilities]
    return [c * (p - a) for p, a in zip(weighed, wy, strict=True)]


def _is_one(mass: Quantity) -> bool:
    return bool(mass.value == ones(1, mass.arithmetic)[0].value) and mass.rounding == 0
