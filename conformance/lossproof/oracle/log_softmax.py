"""log_softmax: x_j minus the logarithm of the sum of the exponentials along an axis."""

from __future__ import annotations

from lossproof.oracle.arithmetic import Quantity, total
from lossproof.oracle.problem import Problem
from lossproof.oracle.rows import join, log_softmax, split


def value(problem: Problem) -> list[Quantity]:
    """l_j = (x_j - m) - log sum_k exp(x_k - m), the shape of the logits."""
    logits = problem.inputs["logits"]
    axis = _axis(problem)
    return join([log_softmax(row, problem.arithmetic) for row in split(logits, axis)], logits.shape, axis)


def gradient(problem: Problem) -> list[Quantity]:
    """g_j - exp(l_j) sum_k g_k, the shape of the logits."""
    logits, arithmetic = problem.inputs["logits"], problem.arithmetic
    axis = _axis(problem)
    assert problem.cotangent is not None
    rows = []
    for row, cotangents in zip(split(logits, axis), split(problem.cotangent, axis), strict=True):
        g = [arithmetic.exact(element) for element in cotangents]
        summed = total(g, arithmetic)
        rows.append([g_j - l_j.exp() * summed for g_j, l_j in zip(g, log_softmax(row, arithmetic), strict=True)])
    return join(rows, logits.shape, axis)


def _axis(problem: Problem) -> int:
    return int(problem.number("axis", -1)) % problem.inputs["logits"].ndim
