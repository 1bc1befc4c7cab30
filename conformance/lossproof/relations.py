"""Relations: what must hold between the answers of several calls, and how far each may lawfully be from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from fractions import Fraction

import numpy as np

from lossproof.numerics import Floats
from lossproof.spec.golden import Golden, Json, array

_DIGITS = Context(prec=60, Emax=10**9, Emin=-(10**9))


@dataclass(frozen=True)
class Side:
    """One call: its golden, its answer's elements in C order, and how far each may be from the truth for some grade."""

    golden: Golden
    numbers: Floats
    bound: Floats


@dataclass(frozen=True)
class Compared:
    """Two sides of a relation, element by element, and how far apart they may lawfully be."""

    left: Floats
    right: Floats
    bound: Floats


def sides(golden: Golden, calls: Sequence[Side]) -> Compared:
    """What a relation compares: made of all calls but the last (left), and the last (right).

    Errors add, each scaled by what the relation multiplies its answer with: the bound is the sum of the bounds of all
    calls, so scaled. Nothing else is allowed for: answers are joined exactly and rounded once, to binary64.
    """
    assert golden.relation is not None
    return RELATIONS[golden.relation["name"]](golden.relation, calls)


def _equal(_: Json, calls: Sequence[Side]) -> Compared:
    """All answers are the last one."""
    *others, last = calls
    return Compared(
        np.concatenate([side.numbers for side in others]),
        np.concatenate([last.numbers for _ in others]),
        np.concatenate([side.bound + last.bound for side in others]),
    )


def _sum(_: Json, calls: Sequence[Side]) -> Compared:
    first, second = calls
    return Compared(
        np.array([_exact_sum(first.numbers)]), second.numbers, first.bound.sum(keepdims=True) + second.bound
    )


def _mean(_: Json, calls: Sequence[Side]) -> Compared:
    first, second = calls
    size = first.numbers.size
    return Compared(
        np.array([_exact_sum(first.numbers) / size]),
        second.numbers,
        first.bound.sum(keepdims=True) / size + second.bound,
    )


def _combination(relation: Json, calls: Sequence[Side]) -> Compared:
    """sum of c_i answer_i = 0: the last answer is what the others make of it."""
    *factors, last = (Fraction(factor) for factor in relation["coefficients"])
    *others, whole = calls
    scales = [-factor / last for factor in factors]
    columns = zip(*(side.numbers.tolist() for side in others), strict=True)
    left = [_combined(scales, column) for column in columns]
    bound = sum(abs(float(scale)) * side.bound for scale, side in zip(scales, others, strict=True))
    return Compared(np.array(left), whole.numbers, bound + whole.bound)


def _combined(scales: Sequence[Fraction], column: Sequence[float]) -> float:
    if all(math.isfinite(number) for number in column):
        return float(sum(scale * Fraction(number) for scale, number in zip(scales, column, strict=True)))
    return sum(float(scale) * number for scale, number in zip(scales, column, strict=True))


def _concatenation(_: Json, calls: Sequence[Side]) -> Compared:
    *others, whole = calls
    return Compared(
        np.concatenate([side.numbers for side in others]),
        whole.numbers,
        np.concatenate([side.bound for side in others]) + whole.bound,
    )


def _permutation(relation: Json, calls: Sequence[Side]) -> Compared:
    order, axis = relation["order"], relation["axis"]
    first, second = calls

    def moved(elements: Floats) -> Floats:
        whole = elements.reshape(first.golden.shape)
        return (np.take(whole, order, axis) if whole.ndim else whole).ravel()

    return Compared(moved(first.numbers), second.numbers, moved(first.bound) + second.bound)


def _shards(_: Json, calls: Sequence[Side]) -> Compared:
    """Losses of shards of the classes joined: lse = log sum_s exp(loss_s + x_s), where x_s is the target's logit there.

    d lse / d lse_s is at most 1, so that no error grows on the way.
    """
    *shards, whole = calls
    picked = [_target_logits(side.golden) for side in shards]
    wanted = _target_logits(whole.golden)
    with localcontext(_DIGITS):
        left = [
            float(
                sum(((Decimal(loss) + x).exp() for loss, x in zip(losses, logits, strict=True)), Decimal(0)).ln() - x_t
            )
            for losses, logits, x_t in zip(
                zip(*(side.numbers.tolist() for side in shards), strict=True),
                zip(*picked, strict=True),
                wanted,
                strict=True,
            )
        ]
    bound = sum(side.bound for side in shards) + whole.bound
    return Compared(np.array(left), whole.numbers, np.asarray(bound))


def _target_logits(golden: Golden) -> list[Decimal]:
    logits, target = (array(stored) for stored in golden.inputs.values())
    rows = logits.astype(np.float64)
    return [Decimal(float(row[label])) for row, label in zip(rows, target.tolist(), strict=True)]


def _same_bits(_: Json, calls: Sequence[Side]) -> Compared:
    """The last answer is, bit for bit, the beginning of the first: equal numbers, with no distance allowed."""
    first, last = calls[0], calls[-1]
    return Compared(first.numbers[: last.numbers.size], last.numbers, np.zeros(last.numbers.size))


def _exact_sum(numbers: Floats) -> float:
    return math.fsum(numbers) if np.isfinite(numbers).all() else float(np.sum(numbers))


RELATIONS: Mapping[str, Callable[[Json, Sequence[Side]], Compared]] = {
    "equal": _equal,
    "sum_of_first_is_second": _sum,
    "mean_of_first_is_second": _mean,
    "combination": _combination,
    "concatenation": _concatenation,
    "permutation": _permutation,
    "shards": _shards,
    "same_bits": _same_bits,
}
