"""Arrays of numbers that carry the running error bound of the steps that made them, or are rounded at each step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Bounds = tuple[Array, Array]


@dataclass(frozen=True)
class Arithmetic:
    """How steps are taken: in `storage`, sums in `sums`, one term after the other where `running`.

    `bounded` numbers carry error bounds, in the units and by the rules of the oracle's arithmetic; with
    `rounds_inputs` inputs have been rounded once already.
    """

    storage: np.dtype[Any]
    sums: np.dtype[Any]
    running: bool = False
    bounded: bool = False
    rounds_inputs: bool = False

    def exact(self, array: Array) -> Numbers:
        """Inputs: numbers of the dtype, without error unless they are rounded."""
        value = np.asarray(array).astype(self.storage)
        if not self.bounded:
            return Numbers(value)
        return Numbers(value, (_size(value), np.ones(()))) if self.rounds_inputs else Numbers(value, _NO_ERROR)

    def constant(self, number: float) -> Numbers:
        """A scalar constant, rounded once (0 and 1 are exact)."""
        value = np.full(1, number).astype(self.storage)
        if number in (0, 1) or not self.bounded:
            return Numbers(value, _NO_ERROR if self.bounded else None)
        return Numbers(value, (np.abs(value), np.zeros(())))

    def total(self, terms: Numbers) -> Numbers:
        """The sum along the last axis, which stays with length 1."""
        if terms.bounds is not None:
            return _bounded_total(terms.value, *terms.bounds)
        added = (_one_after_the_other if self.running else _pairwise)(terms.value.astype(self.sums))
        return Numbers(added.astype(self.storage))


# An extended double where the platform has one: its own error is far below the bounds of every dtype.
EXTENDED = Arithmetic(np.dtype(np.longdouble), np.dtype(np.longdouble), bounded=True)
ROUGH = Arithmetic(np.dtype(np.float64), np.dtype(np.float64))
_NO_ERROR = (np.zeros(()), np.zeros(()))


class Numbers:
    """Real numbers; `bounds` are their errors in units of u and of eta, None where none are carried.

    Sign, maximum and selection are exact, what is written is one rounding, as in the oracle's Quantity.
    """

    __slots__ = ("bounds", "value")

    def __init__(self, value: Array, bounds: Bounds | None = None) -> None:
        self.value = value
        self.bounds = bounds

    def __neg__(self) -> Numbers:
        return Numbers(-self.value, self.bounds)

    def __add__(self, other: Numbers) -> Numbers:
        value = self.value + other.value
        if self.bounds is None or other.bounds is None:
            return Numbers(value)
        (rounding_a, underflow_a), (rounding_b, underflow_b) = self.bounds, other.bounds
        # Adding an exact zero rounds nothing.
        added = np.where((self.value == 0) | (other.value == 0), 0, np.abs(value))
        return _bounded(value, rounding_a + rounding_b + added, underflow_a + underflow_b)

    def __sub__(self, other: Numbers) -> Numbers:
        return self + -other

    def __mul__(self, other: Numbers) -> Numbers:
        value = self.value * other.value
        if self.bounds is None or other.bounds is None:
            return Numbers(value)
        (rounding_a, underflow_a), (rounding_b, underflow_b) = self.bounds, other.bounds
        a, b = _size(self.value), _size(other.value)
        rounding = np.abs(value) + b * rounding_a + a * rounding_b
        return _bounded(value, rounding, 1 + b * underflow_a + a * underflow_b)

    def __truediv__(self, other: Numbers) -> Numbers:
        value = self.value / other.value
        if self.bounds is None or other.bounds is None:
            return Numbers(value)
        (rounding_a, underflow_a), (rounding_b, underflow_b) = self.bounds, other.bounds
        size, b = np.abs(value), np.abs(other.value)
        rounding = size + rounding_a / b + size * (rounding_b / b)
        return _bounded(value, rounding, 1 + underflow_a / b + size * (underflow_b / b))

    def exp(self) -> Numbers:
        """e to this power."""
        return self.through(np.exp, lambda _, power: power)

    def log(self) -> Numbers:
        """The natural logarithm."""
        return self.through(np.log, lambda a, _: 1 / a)

    def tanh(self) -> Numbers:
        """The hyperbolic tangent."""
        return self.through(np.tanh, lambda _, tangent: 1 - tangent * tangent)

    def through(self, function: Callable[[Array], Array], slope: Callable[[Array, Array], Array]) -> Numbers:
        """A function good to one ulp, hence 2 u; `slope` is its derivative, from argument and value."""
        value = np.asarray(function(self.value))
        if self.bounds is None:
            return Numbers(value)
        rounding, underflow = self.bounds
        steep = np.abs(slope(self.value, value))
        return _bounded(value, 2 * np.abs(value) + steep * rounding, 1 + steep * underflow)

    def where(self, mask: Array, other: Numbers | float = 0.0) -> Numbers:
        """These numbers where the mask holds, elsewhere others (exact where stated as a float)."""
        if isinstance(other, float):
            other = Numbers(np.full(1, other).astype(self.value.dtype), _NO_ERROR)
        value = np.where(mask, self.value, other.value)
        if self.bounds is None or other.bounds is None:
            return Numbers(value)
        rounding, underflow = (np.where(mask, a, b) for a, b in zip(self.bounds, other.bounds, strict=True))
        return Numbers(value, (rounding, underflow))

    def moved(self, move: Callable[[Array], Array]) -> Numbers:
        """The same numbers in other places."""
        if self.bounds is None:
            return Numbers(move(self.value))
        rounding, underflow = (move(np.broadcast_to(bound, self.value.shape)) for bound in self.bounds)
        return Numbers(move(self.value), (rounding, underflow))


def _bounded_total(terms: Array, rounding: Array, underflow: Array) -> Numbers:
    """A sum of n terms rounds each of them ⌈log2 n⌉ times; one term is exact, a zero adds nothing."""
    nonzero = (terms != 0).sum(axis=-1, keepdims=True)
    depth = np.minimum(max(terms.shape[-1] - 1, 0).bit_length(), np.maximum(nonzero - 1, 0))
    size, rounding, underflow = (
        np.broadcast_to(each, terms.shape).sum(axis=-1, keepdims=True) for each in (_size(terms), rounding, underflow)
    )
    return _bounded(terms.sum(axis=-1, keepdims=True), rounding + depth * size, underflow)


def _bounded(value: Array, rounding: Array, underflow: Array) -> Numbers:
    """Special values carry no error: they are compared as they are."""
    finite = np.isfinite(value)
    return Numbers(value, (np.where(finite, rounding, 0), np.where(finite, underflow, 0)))


def _size(value: Array) -> Array:
    return np.where(np.isfinite(value), np.abs(value), 0)


def _one_after_the_other(terms: Array) -> Array:
    return np.add.accumulate(terms, axis=-1)[..., -1:] if terms.shape[-1] else _pairwise(terms)


def _pairwise(terms: Array) -> Array:
    if terms.shape[-1] == 0:
        return np.zeros((*terms.shape[:-1], 1), terms.dtype)
    while terms.shape[-1] > 1:
        even = terms.shape[-1] // 2 * 2
        terms = np.concatenate([terms[..., 0:even:2] + terms[..., 1:even:2], terms[..., even:]], axis=-1)
    return terms
