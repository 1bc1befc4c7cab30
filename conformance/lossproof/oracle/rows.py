"""Rows of classes: taking a tensor apart along its class axis, the shifted log-softmax, and reductions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lossproof.oracle.arithmetic import Arithmetic, Quantity, mean, total
from lossproof.oracle.problem import Problem


def class_axis(tensor: npt.NDArray[Any]) -> int:
    """Axis 1, or 0 of an unbatched tensor."""
    return 0 if tensor.ndim == 1 else 1


def split(tensor: npt.NDArray[Any], axis: int) -> list[list[float]]:
    """Rows along `axis`, in C order of the other axes."""
    moved = np.moveaxis(np.asarray(tensor, dtype=np.float64), axis, -1)
    return [row.tolist() for row in moved.reshape(math.prod(moved.shape[:-1]), moved.shape[-1])]


def join(rows: Sequence[Sequence[Quantity]], shape: tuple[int, ...], axis: int) -> list[Quantity]:
    """Elements in C order of a tensor of `shape` from its rows along `axis`; the inverse of `split`."""
    moved_shape = (*shape[:axis], *shape[axis + 1 :], shape[axis])
    order = np.moveaxis(np.arange(math.prod(shape)).reshape(moved_shape), -1, axis).ravel()
    flat = [element for row in rows for element in row]
    return [flat[position] for position in order.tolist()]


def log_softmax(row: Sequence[float], arithmetic: Arithmetic) -> list[Quantity]:
    """l_j = (x_j - m) - log sum_k exp(x_k - m), with m the maximum."""
    if not row:
        return []
    logits = [arithmetic.exact(x) for x in row]
    m = arithmetic.exact(max(row, key=lambda x: (math.isnan(x), x)))
    shifted = [x - m for x in logits]
    normaliser = total([z.exp() for z in shifted], arithmetic).log()
    log_partition = arithmetic.magnitude((m + normaliser).value)
    # Whoever takes lse(x) - x_t, without the shift, loses digits in proportion to both.
    return [
        (z - normaliser).weakened(log_partition + arithmetic.magnitude(x.value))
        for x, z in zip(logits, shifted, strict=True)
    ]


def times_log_probability(probability: Quantity, log_probability: Quantity, problem: Problem) -> Quantity:
    """A product in which 0 times minus infinity is a question of the dialect."""
    if probability.is_zero() and log_probability.value == -math.inf:
        return problem.arithmetic.exact(math.nan if problem.rule("zero_times_infinity") == "nan" else 0.0)
    return probability * log_probability


def reduce(terms: list[Quantity], weights: list[Quantity] | None, problem: Problem) -> list[Quantity]:
    """The terms themselves, their sum, or their mean over the sum of `weights` (None: their number)."""
    arithmetic = problem.arithmetic
    match problem.reduction():
        case "none":
            return terms
        case "sum":
            return [total(terms, arithmetic)]
        case _:
            return [average(terms, ones(len(terms), arithmetic) if weights is None else weights, problem)]


def average(terms: list[Quantity], weights: list[Quantity], problem: Problem) -> Quantity:
    """The sum of the terms over the sum of the weights; over nothing it is what the dialect says."""
    arithmetic = problem.arithmetic
    if total(weights, arithmetic).is_zero() and problem.rule("empty_mean") == "zero":
        return arithmetic.exact(0.0)
    return mean(terms, weights, arithmetic)


def scales(count: int, weights: list[Quantity] | None, problem: Problem) -> list[Quantity]:
    """What the cotangent brings to each of `count` terms: itself, the scalar, or the scalar over the denominator."""
    arithmetic = problem.arithmetic
    cotangents = problem.cotangents()
    match problem.reduction():
        case "none":
            return cotangents
        case "sum":
            return cotangents * count
        case _:
            denominator = total(ones(count, arithmetic) if weights is None else weights, arithmetic)
            if denominator.is_zero() and problem.rule("empty_mean") == "zero":
                return [arithmetic.exact(0.0)] * count
            return [cotangents[0] / denominator] * count


def ones(count: int, arithmetic: Arithmetic) -> list[Quantity]:
    """The terms of a count."""
    return [arithmetic.exact(1.0)] * count
