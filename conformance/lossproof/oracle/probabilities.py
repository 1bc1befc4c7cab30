"""Probabilities as Keras takes them: renormalised along the class axis and clipped away from 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass

from flint import arb

from lossproof.numerics import FORMATS, HALF_DTYPES, round_to
from lossproof.oracle.arithmetic import Arithmetic, Quantity, total
from lossproof.oracle.problem import Problem, UndefinedError

EPSILON = 1e-7


@dataclass(frozen=True)
class Clipped:
    """A probability after the clip, and whether the clip let it (and so its gradient) through."""

    probability: Quantity
    passed: bool


def renormalised(row: list[Quantity], problem: Problem) -> tuple[list[Quantity], Quantity | None]:
    """q = p / sum p and the sum, or the row as it is and None where the dialect takes it so."""
    if problem.rule("renormalise") == "no":
        return row, None
    mass = total(row, problem.arithmetic)
    return [p / mass for p in row], mass


def clip(row: list[Quantity], problem: Problem) -> list[Clipped]:
    """Each q kept within [1e-7, 1 - 1e-7], both rounded to the dtype."""
    if not row or problem.rule("clip") == "none":
        return [Clipped(q, passed=True) for q in row]
    if problem.cotangent is not None and any(q.is_nan() for q in row):
        raise UndefinedError("a clip stops the gradient of NaN, or lets it through")
    low, high = clip_bounds(problem.arithmetic)
    jumps = [position for position, q in enumerate(row) if _is_at_jump(q, low) or _is_at_jump(q, high)]
    problem.at_jumps(len(jumps))
    moved = {position for bit, position in enumerate(jumps) if problem.reading >> bit & 1}
    return [_clipped(q, low, high, moved=position in moved) for position, q in enumerate(row)]


def _clipped(q: Quantity, low: Quantity, high: Quantity, *, moved: bool) -> Clipped:
    if q.is_nan():
        return Clipped(q, passed=True)
    near_low, near_high = moved and _is_at_jump(q, low), moved and _is_at_jump(q, high)
    if _is_positive(low - q) != near_low:
        return Clipped(low, passed=False)
    if _is_positive(q - high) != near_high:
        return Clipped(high, passed=False)
    return Clipped(q, passed=True)


def clip_bounds(arithmetic: Arithmetic) -> tuple[Quantity, Quantity]:
    """Keras's epsilon and 1 - epsilon as a tensor of the dtype holds them."""
    low, high = (float(round_to(arithmetic.dtype, bound)) for bound in (EPSILON, 1 - EPSILON))
    return arithmetic.constant(low), arithmetic.constant(high)


def refuse_clip_at_one(q: Quantity, problem: Problem) -> None:
    """Leave the answer open where 1 - 1e-7 is 1 in the dtype, so that log(1 - q) is not protected at all."""
    dtype = problem.arithmetic.dtype
    near_one = 1 - FORMATS[dtype].unit_roundoff
    if dtype in HALF_DTYPES and not q.is_nan() and not q.is_less(near_one) and problem.rule("clip") == "keras":
        raise UndefinedError(f"1 - 1e-7 is 1 in {dtype}: nothing keeps the logarithm of 1 - q from minus infinity")


def _is_positive(excess: Quantity) -> bool:
    return not excess.is_nan() and not excess.is_less(0.0) and not excess.is_zero()


def _is_at_jump(q: Quantity, bound: Quantity) -> bool:
    """Whether q lies within the error bounds of a bound of the clip, so that either side is lawful."""
    if isinstance(q.value, float):
        return False
    layout = FORMATS[q.arithmetic.dtype]
    slack = 2 * (
        layout.unit_roundoff * (q.rounding + bound.rounding) + layout.underflow_unit * (q.underflow + bound.underflow)
    )
    distance = (q - bound).value
    assert isinstance(distance, arb), "both are finite"
    return not bool(abs(distance) > arb(slack))
