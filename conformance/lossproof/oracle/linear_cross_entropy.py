"""linear_cross_entropy: cross_entropy of the logits that a matrix product gives."""

from __future__ import annotations

from functools import partial

import numpy as np

from lossproof.oracle.arithmetic import Quantity, product_sum
from lossproof.oracle.cross_entropy import loss, row_gradients
from lossproof.oracle.problem import Problem, UndefinedError
from lossproof.oracle.rows import log_softmax, split


def value(problem: Problem) -> list[Quantity]:
    """cross_entropy of z_ij = sum_f x_if a_jf + b_j."""
    rows = [partial(log_softmax, logits, problem.arithmetic) for logits in _logits(problem)]
    return loss(rows, _classes(problem), problem)


def gradient(problem: Problem) -> list[Quantity]:
    """sum_j dz_ij a_jf, for the input, with dz the gradient of cross_entropy for the logits."""
    by_feature = list(zip(*_matrix(problem), strict=True)) or [()] * problem.inputs["linear_weight"].shape[1]
    slopes = _slopes(problem, "linear_weight")
    return [product_sum(dz, column, problem.arithmetic) for dz in slopes for column in by_feature]


def gradient_linear_weight(problem: Problem) -> list[Quantity]:
    """sum_i dz_ij x_if, for the linear weight."""
    slopes, rows = _slopes(problem, "input"), _features(problem)
    return [
        product_sum([dz[j] for dz in slopes], [x[f] for x in rows], problem.arithmetic, problem.copies)
        for j in range(_classes(problem))
        for f in range(problem.inputs["linear_weight"].shape[1])
    ]


def _logits(problem: Problem) -> list[list[Quantity]]:
    matrix, bias, arithmetic = _matrix(problem), problem.vector("linear_bias"), problem.arithmetic
    products = [[product_sum(x, a, arithmetic) for a in matrix] for x in _features(problem)]
    return products if bias is None else [[z + b for z, b in zip(row, bias, strict=True)] for row in products]


def _slopes(problem: Problem, factor: str) -> list[list[Quantity]]:
    """The gradient for the logits, beside which the numbers of `factor` are summed."""
    logits = _logits(problem)
    if any(z.overflowed for row in logits for z in row):
        raise UndefinedError(f"a logit overflows {problem.arithmetic.dtype}")
    slopes = row_gradients(logits, _classes(problem), problem)
    ignored = [all(dz.is_zero() for dz in row) for row in slopes]
    if not np.isfinite(problem.inputs[factor]).all() and any(ignored):
        raise UndefinedError(f"a row of gradient 0 meets infinity or NaN in {factor}: to skip it is as right as NaN")
    return slopes


def _features(problem: Problem) -> list[list[Quantity]]:
    return [problem.quantities(np.array(row)) for row in split(problem.inputs["input"], -1)]


def _matrix(problem: Problem) -> list[list[Quantity]]:
    return [problem.quantities(row) for row in problem.inputs["linear_weight"]]


def _classes(problem: Problem) -> int:
    return int(problem.inputs["linear_weight"].shape[0])
