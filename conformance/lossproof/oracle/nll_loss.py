"""nll_loss: minus the weighted log-probability of each kept target."""

from __future__ import annotations

import math

from lossproof.oracle.arithmetic import Quantity
from lossproof.oracle.labels import Label, kept_weights, read_labels
from lossproof.oracle.problem import Problem
from lossproof.oracle.rows import class_axis, join, reduce, scales, split


def value(problem: Problem) -> list[Quantity]:
    """-w_t x_t of each kept row, 0 of an ignored one; reduced."""
    rows, labels, weight = _read(problem)
    terms = [_term(row, label, weight, problem) for row, label in zip(rows, labels, strict=True)]
    return reduce(terms, kept_weights(labels, weight, problem), problem)


def gradient(problem: Problem) -> list[Quantity]:
    """-w_t c at the target of each kept row, 0 elsewhere."""
    log_probs, arithmetic = problem.inputs["log_probs"], problem.arithmetic
    rows, labels, weight = _read(problem)
    factors = scales(len(rows), kept_weights(labels, weight, problem), problem)
    gradients = []
    for row, label, c in zip(rows, labels, factors, strict=True):
        elements = [arithmetic.exact(0.0)] * len(row)
        if label.kept:
            elements[label.index] = -c if weight is None else -(weight[label.index] * c)
        gradients.append(elements)
    return join(gradients, log_probs.shape, class_axis(log_probs))


def _read(problem: Problem) -> tuple[list[list[float]], list[Label], list[Quantity] | None]:
    log_probs = problem.inputs["log_probs"]
    axis = class_axis(log_probs)
    return split(log_probs, axis), read_labels(problem, log_probs.shape[axis]), problem.vector("weight")


def _term(row: list[float], label: Label, weight: list[Quantity] | None, problem: Problem) -> Quantity:
    arithmetic = problem.arithmetic
    if not label.kept:
        return arithmetic.exact(0.0)
    if not label.valid:
        return arithmetic.exact(math.nan)
    log_probability = arithmetic.exact(row[label.index])
    return -log_probability if weight is None else -(weight[label.index] * log_probability)
