"""log_softmax: x_j minus the logarithm of the sum of the exponentials along an axis."""

from __future__ import annotations

import numpy as np

from lossproof.oracle.arithmetic import Quantity, total
from lossproof.oracle.problem import Problem
from lossproof.oracle.rows import join, log_softmax, log_softmax_tangent, split


def value(problem: Problem) -> list[Quantity]:
    """l_j = (x_j - m) - log sum_k exp(x_k - m), the shape of the logits."""
    logits = problem.inputs["logits"]
    axis = problem.axis("logits")
    return join([log_softmax(row, problem.arithmetic) for row in split(logits, axis)], logits.shape, axis)


def gradient(problem: Problem) -> list[Quantity]:
    """g_j - exp(l_j) sum_k g_k, the shape of the logits."""
    logits, arithmetic = problem.inputs["logits"], problem.arithmetic
    axis = problem.axis("logits")
    assert problem.cotangent is not None
    rows = []
    for row, cotangents in zip(split(logits, axis), split(problem.cotangent, axis), strict=True):
        g = [arithmetic.exact(element) for element in cotangents]
        summed = total(g, arithmetic)
        rows.append([g_j - l_j.exp() * summed for g_j, l_j in zip(g, log_softmax(row, arithmetic), strict=True)])
    return join(rows, logits.shape, axis)


def tangent(problem: Problem) -> list[Quantity]:
    """v_j - sum_k exp(l_k) v_k along the direction v, the shape of the logits."""
    logits, axis = problem.inputs["logits"], problem.axis("logits")
    assert problem.direction is not None
    rows = [
        log_softmax_tangent(row, problem.quantities(np.array(direction)), problem.arithmetic)
        for row, direction in zip(split(logits, axis), split(problem.direction, axis), strict=True)
    ]
    return join(rows, logits.shape, axis)
