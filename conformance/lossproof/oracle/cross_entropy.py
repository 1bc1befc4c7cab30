"""cross_entropy: from logits, against class indices or class probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from lossproof.oracle.arithmetic import Quantity, total
from lossproof.oracle.labels import Label, kept_weights, read_labels
from lossproof.oracle.problem import Problem, UndefinedError
from lossproof.oracle.rows import (
    Row,
    class_axis,
    join,
    log_softmax,
    log_softmax_tangent,
    ones,
    reduce,
    refuse_zero_times_infinity,
    scales,
    split,
    times_log_probability,
)


def value(problem: Problem) -> list[Quantity]:
    """-w_t l_t, or -sum_j w_j y_j l_j against probabilities; smoothed; reduced."""
    rows = [partial(log_softmax, row, problem.arithmetic) for row in _rows(problem)]
    return loss(rows, _classes(problem), problem)


def tangent(problem: Problem) -> list[Quantity]:
    """The value's formula with dl_j = v_j - sum_k exp(l_k) v_k in place of l_j, along the direction v."""
    pairs = zip(_rows(problem), _direction_rows(problem), strict=True)
    slopes = [partial(log_softmax_tangent, row, v, problem.arithmetic) for row, v in pairs]
    return loss(slopes, _classes(problem), problem)


def gradient(problem: Problem) -> list[Quantity]:
    """c (W exp(l_j) - w_j y_j), with y the effective target and W = sum_j w_j y_j; 0 for ignored rows."""
    logits = problem.inputs["logits"]
    return join(row_gradients(_rows(problem), _classes(problem), problem), logits.shape, class_axis(logits))


def gradient_target(problem: Problem) -> list[Quantity]:
    """-(1 - eps) c w_j l_j, for the target's probabilities; eps is the smoothing."""
    target, arithmetic = problem.inputs["target"], problem.arithmetic
    rows, weight = _rows(problem), problem.vector("weight")
    smoothing = problem.number("label_smoothing", 0.0)
    keep = None if smoothing == 0 else _smoothing_constants(smoothing, _classes(problem), problem)[0]
    gradients = []
    for row, y, c in zip(rows, _probability_rows(problem), scales(len(rows), None, problem), strict=True):
        log_probabilities = log_softmax(row, arithmetic)
        for a, l in zip(_weighed(y, weight), log_probabilities, strict=True):
            refuse_zero_times_infinity(a, l, problem)
        slopes = [-(c * l) for l in _weighed(log_probabilities, weight)]
        gradients.append(slopes if keep is None else [keep * slope for slope in slopes])
    return join(gradients, target.shape, class_axis(target))


def hessian(problem: Problem) -> list[Quantity]:
    """t_j - exp(l_j) sum_k t_k with t_j = c W exp(l_j) v_j, along the direction v; 0 for ignored rows."""
    logits, arithmetic = problem.inputs["logits"], problem.arithmetic
    products = []
    for row, v, aim in zip(_rows(problem), _direction_rows(problem), _aims(_classes(problem), problem), strict=True):
        if not aim.kept:
            products.append([arithmetic.exact(0.0)] * len(row))
            continue
        probabilities = [l.exp() for l in log_softmax(row, arithmetic)]
        scale = aim.scale if _is_one(aim.mass) else aim.scale * aim.mass
        t = [scale * p_j * v_j for p_j, v_j in zip(probabilities, v, strict=True)]
        summed = total(t, arithmetic)
        products.append([t_j - p_j * summed for t_j, p_j in zip(t, probabilities, strict=True)])
    return join(products, logits.shape, class_axis(logits))


def loss(rows: Sequence[Callable[[], list[Quantity]]], classes: int, problem: Problem) -> list[Quantity]:
    """-w_t l_t, or -sum_j w_j y_j l_j against probabilities; smoothed; reduced. `rows` give the l_j of each row."""
    if _has_probabilities(problem):
        targets = _probability_rows(problem)
        return reduce(
            [_probability_term(row(), y, problem) for row, y in zip(rows, targets, strict=True)], None, problem
        )
    labels, weight = read_labels(problem, classes), problem.vector("weight")
    terms = [_index_term(row, label, weight, problem) for row, label in zip(rows, labels, strict=True)]
    return reduce(terms, kept_weights(labels, weight, problem), problem)


def row_gradients(rows: Sequence[Row], classes: int, problem: Problem) -> list[list[Quantity]]:
    """c (W exp(l_j) - w_j y_j) for rows of logits, with y the effective target and W = sum_j w_j y_j."""
    zeros = [problem.arithmetic.exact(0.0)] * classes
    return [
        _row_gradient(row, aim, problem) if aim.kept else zeros
        for row, aim in zip(rows, _aims(classes, problem), strict=True)
    ]


@dataclass(frozen=True)
class _Aim:
    """What a row is held against: w_j y_j of its effective target y, their sum, and the cotangent that it gets."""

    weighed: list[Quantity]
    mass: Quantity
    scale: Quantity
    kept: bool


def _aims(classes: int, problem: Problem) -> list[_Aim]:
    weight = problem.vector("weight")
    if _has_probabilities(problem):
        targets = [_weighed(y, weight) for y in _probability_rows(problem)]
        return [
            _Aim(wy, total(wy, problem.arithmetic), c, kept=True)
            for wy, c in zip(targets, scales(len(targets), None, problem), strict=True)
        ]
    labels = read_labels(problem, classes)
    factors = scales(len(labels), kept_weights(labels, weight, problem), problem)
    return [
        _Aim(*_index_target(label, weight, classes, problem), c, kept=label.kept)
        for label, c in zip(labels, factors, strict=True)
    ]


def _rows(problem: Problem) -> list[list[float]]:
    logits = problem.inputs["logits"]
    return split(logits, class_axis(logits))


def _direction_rows(problem: Problem) -> list[list[Quantity]]:
    assert problem.direction is not None
    rows = split(problem.direction, class_axis(problem.direction))
    return [problem.quantities(np.array(row)) for row in rows]


def _classes(problem: Problem) -> int:
    logits = problem.inputs["logits"]
    return int(logits.shape[class_axis(logits)])


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
    if others and classes == 1:
        raise UndefinedError("a smoothing over the other classes, of which there are none")
    one, epsilon = arithmetic.constant(1).value, arithmetic.constant(smoothing).value
    return arithmetic.constant(one - epsilon), arithmetic.constant(epsilon / (classes - 1 if others else classes))


def _weighed(y: list[Quantity], weight: list[Quantity] | None) -> list[Quantity]:
    return y if weight is None else [w_j * y_j for w_j, y_j in zip(weight, y, strict=True)]


def _probability_term(log_probabilities: list[Quantity], y: list[Quantity], problem: Problem) -> Quantity:
    """-sum_j (w_j y_j) l_j."""
    wy = _weighed(y, problem.vector("weight"))
    return -total(
        [times_log_probability(a, l, problem) for a, l in zip(wy, log_probabilities, strict=True)], problem.arithmetic
    )


def _index_term(
    row: Callable[[], list[Quantity]], label: Label, weight: list[Quantity] | None, problem: Problem
) -> Quantity:
    """-w_t l_t; smoothed (1 - eps) (-w_t l_t) + (eps / K) sum_j (-w_j l_j)."""
    arithmetic = problem.arithmetic
    if not label.kept:
        return arithmetic.exact(0.0)
    if not label.valid:
        return arithmetic.exact(math.nan)
    log_probabilities = row()
    smoothing = problem.number("label_smoothing", 0.0)
    if smoothing == 0:
        return -_weighed([log_probabilities[label.index]], _only(weight, label.index))[0]
    keep, share = _smoothing_constants(smoothing, len(log_probabilities), problem)
    if _weighs_whole_row(weight, problem):
        assert weight is not None
        weight = [weight[label.index]] * len(log_probabilities)
    terms = [-l for l in _weighed(log_probabilities, weight)]
    if keep.is_zero() and isinstance(terms[label.index].value, float):
        raise UndefinedError("a smoothing of 1 takes the target's loss, which is infinite, 0 times")
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


def _row_gradient(row: Row, aim: _Aim, problem: Problem) -> list[Quantity]:
    """c (W exp(l_j) - w_j y_j); W = 1, of an unweighted index, multiplies nothing."""
    probabilities = [l.exp() for l in log_softmax(row, problem.arithmetic)]
    weighed = probabilities if _is_one(aim.mass) else [aim.mass * p for p in probabilities]
    return [aim.scale * (p - a) for p, a in zip(weighed, aim.weighed, strict=True)]


def _is_one(mass: Quantity) -> bool:
    return bool(mass.value == ones(1, mass.arithmetic)[0].value) and mass.rounding == 0
