"""Rows of classes: taking a tensor apart along its class axis, the shifted log-softmax, and reductions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lossproof.oracle.arithmetic import Arithmetic, Quantity, mean, total
from lossproof.oracle.problem import Problem, UndefinedError

Row = Sequence[float | Quantity]


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


def log_softmax(row: Row, arithmetic: Arithmetic) -> list[Quantity]:
    """l_j = (x_j - m) - log sum_k exp(x_k - m), with m the maximum."""
    if not row:
        return []
    logits = [x if isinstance(x, Quantity) else arithmetic.exact(x) for x in row]
    m = _maximum(logits)
    shifted = [x - m for x in logits]
    normaliser = total([z.exp() for z in shifted], arithmetic).log()
    log_partition = arithmetic.magnitude((m + normaliser).value)
    # Whoever takes lse(x) - x_t, without the shift, loses digits in proportion to both; whoever adds the classes one
    # by one in logarithms rounds the running lse each time.
    finite = sum(not isinstance(z.value, float) for z in shifted)
    running = arithmetic.running * max(finite - 1, 0) * log_partition
    return [
        (z - normaliser).weakened(log_partition + arithmetic.magnitude(x.value) + running)
        for x, z in zip(logits, shifted, strict=True)
    ]


def _maximum(logits: Sequence[Quantity]) -> Quantity:
    """The largest of the logits, as an exact number: what any m near it is off by cancels."""
    arithmetic = logits[0].arithmetic
    largest = max(logits, key=lambda x: (x.is_nan(), float(x.value)))
    return Quantity(arithmetic, largest.value, arithmetic.zero, arithmetic.zero, arithmetic.zero)


def log_softmax_tangent(row: Row, direction: Sequence[Quantity], arithmetic: Arithmetic) -> list[Quantity]:
    """dl_j = v_j - sum_k exp(l_k) v_k: the log-softmax in forward mode, along v."""
    probabilities = [l.exp() for l in log_softmax(row, arithmetic)]
    drift = total([p * v for p, v in zip(probabilities, direction, strict=True)], arithmetic)
    return [v - drift for v in direction]


def times_log_probability(probability: Quantity, log_probability: Quantity, problem: Problem) -> Quantity:
    """A product in which 0 times minus infinity is a question of the dialect."""
    if probability.is_zero() and log_probability.value == -math.inf:
        return problem.arithmetic.exact(math.nan if problem.rule("zero_times_infinity") == "nan" else 0.0)
    return probability * log_probability


def refuse_zero_times_infinity(factor: Quantity, log_probability: Quantity, problem: Problem) -> None:
    """Leave the gradient for a factor open where the dialect says that 0 times minus infinity is 0."""
    if factor.is_zero() and log_probability.value == -math.inf and problem.rule("zero_times_infinity") == "zero":
        raise UndefinedError("0 times minus infinity is 0 here: the gradient for its factor is left open")


def reduce(terms: list[Quantity], weights: list[Quantity] | None, problem: Problem) -> list[Quantity]:
    """The terms themselves, their sum, or their mean over the sum of `weights` (None: their number)."""
    arithmetic = problem.arithmetic
    match problem.reduction():
        case "none":
            return terms
        case "sum":
            return [total(terms, arithmetic, problem.copies)]
        case _:
            counted = ones(len(terms), arithmetic) if weights is None else weights
            return [average(terms, counted, problem, problem.copies)]


def average(terms: list[Quantity], weights: list[Quantity], problem: Problem, copies: int = 1) -> Quantity:
    """The sum of the terms over the sum of the weights, each `copies` times; over nothing what the dialect says."""
    arithmetic = problem.arithmetic
    if total(weights, arithmetic).is_zero():
        if problem.rule("empty_mean") == "zero":
            return arithmetic.exact(0.0)
        summed = total(terms, arithmetic)
        if not summed.is_zero() and not summed.is_nan():
            raise UndefinedError("a mean divides what is not 0 by weights that add up to 0")
        if problem.direction is not None:
            raise UndefinedError("the derivative of a mean over nothing")
    return mean(terms, weights, arithmetic, copies)


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
            terms = ones(count, arithmetic) if weights is None else weights
            denominator = total(terms, arithmetic, problem.copies)
            if denominator.is_zero() and problem.rule("empty_mean") == "zero":
                return [arithmetic.exact(0.0)] * count
            if denominator.is_zero() and terms and problem.number("label_smoothing", 0.0) > 0:
                raise UndefinedError("a mean divides what is not 0 by weights that add up to 0")
            return [cotangents[0] / denominator] * count


def ones(count: int, arithmetic: Arithmetic) -> list[Quantity]:
    """The terms of a count."""
    return [arithmetic.exact(1.0)] * count
