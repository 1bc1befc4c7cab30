"""sparse_categorical_crossentropy: Keras's loss of probabilities or logits against class indices, one value a row."""

from __future__ import annotations

import math

from lossproof.oracle.arithmetic import Quantity
from lossproof.oracle.categorical_crossentropy import log_probabilities, probability_gradient
from lossproof.oracle.labels import Label, read_labels
from lossproof.oracle.problem import Problem
from lossproof.oracle.rows import join, log_softmax, split


def value(problem: Problem) -> list[Quantity]:
    """-log q_t of each row, 0 of a row whose target is ignore_class."""
    return [_term(row, label, problem) for row, label in _rows(problem)]


def gradient(problem: Problem) -> list[Quantity]:
    """The derivative for the probabilities or logits; 0 for rows whose target is ignore_class."""
    probs = problem.inputs["probs"]
    rows = [
        _row_gradient(row, label, c, problem)
        for (row, label), c in zip(_rows(problem), problem.cotangents(), strict=True)
    ]
    return join(rows, probs.shape, problem.axis("probs"))


def _rows(problem: Problem) -> list[tuple[list[float], Label]]:
    probs, axis = problem.inputs["probs"], problem.axis("probs")
    labels = read_labels(problem, probs.shape[axis], ignore="ignore_class")
    return list(zip(split(probs, axis), labels, strict=True))


def _term(row: list[float], label: Label, problem: Problem) -> Quantity:
    if not label.kept:
        return problem.arithmetic.exact(0.0)
    if not label.valid:
        return problem.arithmetic.exact(math.nan)
    return -log_probabilities(row, problem)[label.index]


def _row_gradient(row: list[float], label: Label, c: Quantity, problem: Problem) -> list[Quantity]:
    """c (exp(l_j) - y_j) for logits; through clip and renormalisation for probabilities."""
    arithmetic = problem.arithmetic
    y = [arithmetic.exact(0.0)] * len(row)
    if not label.kept:
        return y
    y[label.index] = arithmetic.exact(1.0)
    if problem.parameters.get("from_logits"):
        return [c * (l.exp() - y_j) for l, y_j in zip(log_softmax(row, arithmetic), y, strict=True)]
    return probability_gradient(row, y, c, problem)
