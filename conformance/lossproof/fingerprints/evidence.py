"""Whether an answer that a faulty formula gives could be chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lossproof.fingerprints.numbers import Array

# How often, at most, a wrong answer of unknown cause is taken for one of the faults that are tried.
MISTAKEN = 1e-2

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Elements:
    """Elements of an answer as a formula gives them, and how far from each rounding may take it."""

    value: Array
    bound: Array


def distance(a: Array, b: Array) -> Array:
    """|a - b|; 0 between equal special values, infinite beside a number."""
    gap = np.abs(a - b)
    return np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0, np.where(np.isfinite(gap), gap, np.inf))


def is_evidence(departs: Mask, faulty: Elements, truth: Elements, tried: int) -> bool:
    """Whether the elements that depart from the truth, all of them matched, say more than chance would.

    A special value or a zero where the truth is another number says it alone: it is compared as it is, and the
    answer is known to hold ordinary numbers as well. A number x with the bound b is hit by chance with probability
    2b/|x|, or 2b/d at the distance d < |x| from the truth: small mistakes are as common as large ones. Numbers that are
    the truth times one factor count once: many mistakes scale an answer.
    """
    value = faulty.value
    ordinary = np.isfinite(value) & (value != 0)
    if (departs & ~ordinary).any():
        return True
    return bool(departs.any()) and _chance(*(each[departs] for each in _spread(faulty, truth))) * tried <= MISTAKEN


def _spread(faulty: Elements, truth: Elements) -> tuple[Array, Array, Array, Array]:
    return tuple(np.broadcast_arrays(faulty.value, faulty.bound, truth.value, truth.bound))  # type: ignore[return-value]  # four arrays in, four out


def _chance(value: Array, bound: Array, true_value: Array, true_bound: Array) -> float:
    """The probability that numbers known up to their factors hit these values."""
    off = np.where(np.isfinite(true_value), np.abs(value - true_value), np.inf)
    hit = np.minimum(2 * bound / np.minimum(np.abs(value), off), 1)
    has_factor = np.isfinite(true_value) & (true_value != 0)
    alone = float(np.prod(hit[~has_factor]))
    hit, value, bound, true_value, true_bound = (
        each[has_factor] for each in (hit, value, bound, true_value, true_bound)
    )
    factor = value / true_value
    slack = np.abs(factor) * (bound / np.abs(value) + true_bound / np.abs(true_value))
    order = np.argsort(factor - slack)
    low, high, hit = (factor - slack)[order], np.maximum.accumulate((factor + slack)[order]), hit[order]
    # A group of one factor starts where no interval before it reaches.
    starts = np.flatnonzero(np.concatenate([[True], low[1:] > high[:-1]])) if low.size else np.array([], int)
    return alone * float(np.prod(np.minimum.reduceat(hit, starts))) if low.size else alone


def is_narrow_by_chance(departing: int, bits: int, tried: int) -> bool:
    """Whether so many elements may end in so many zero bits by chance."""
    return 2.0 ** -(departing * bits) * tried > MISTAKEN
