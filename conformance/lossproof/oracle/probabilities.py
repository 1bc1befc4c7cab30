"""Probabilities before their logarithm: renormalised along the class axis, clipped away from 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

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
    """Each q kept within the bounds of the dialect; where no dialect's clip could act the rule is not asked."""
    if not _is_in_question(row, problem) or problem.rule("clip") == "none":
        return [Clipped(q, passed=True) for q in row]
    if problem.cotangent is not None and any(q.is_nan() for q in row):
        raise UndefinedError("a clip stops the gradient of NaN, or lets it through")
    low, high = clip_bounds(problem.rule("clip"), problem.arithmetic)
    jumps = [position for position, q in enumerate(row) if is_at_jump(q, low) or is_at_jump(q, high)]
    problem.at_jumps(len(jumps))
    moved = {position for bit, position in enumerate(jumps) if problem.reading >> bit & 1}
    return [_clipped(q, low, high, moved=position in moved) for position, q in enumerate(row)]


def clip_one(q: Quantity, problem: Problem) -> Clipped:
    """A probability whose gradient depends on no other: its jump is the only one that it meets."""
    return clip([q], problem)[0]


def clip_binary(p: Quantity, problem: Problem) -> Clipped:
    """A probability of which 1 - q has a logarithm too, left open where the clip does not keep that finite."""
    _refuse_clip_at_one(p, problem)
    return clip_one(p, problem)


def _is_in_question(row: list[Quantity], problem: Problem) -> bool:
    bounds = [clip_bounds(clip, problem.arithmetic) for clip in ("keras", "machine_epsilon")]
    return any(
        problem.cotangent is not None if q.is_nan() else any(_may_act(q, low, high) for low, high in bounds)
        for q in row
    )


def _may_act(q: Quantity, low: Quantity, high: Quantity) -> bool:
    return is_at_jump(q, low) or is_at_jump(q, high) or q.is_less(low) or high.is_less(q)


def _clipped(q: Quantity, low: Quantity, high: Quantity, *, moved: bool) -> Clipped:
    if q.is_nan():
        return Clipped(q, passed=True)
    near_low, near_high = moved and is_at_jump(q, low), moved and is_at_jump(q, high)
    if q.is_less(low) != near_low:
        return Clipped(low, passed=False)
    if high.is_less(q) != near_high:
        return Clipped(high, passed=False)
    return Clipped(q, passed=True)


def clip_bounds(clip: str, arithmetic: Arithmetic) -> tuple[Quantity, Quantity]:
    """Epsilon and 1 - epsilon; numbers of the dtype already where epsilon is the machine's, so that nothing rounds."""
    low, high = held_clip_bounds(clip, arithmetic.dtype)
    hold = arithmetic.exact if clip == "machine_epsilon" else arithmetic.constant
    return hold(low), hold(high)


@cache
def held_clip_bounds(clip: str, dtype: str) -> tuple[float, float]:
    """Epsilon and 1 - epsilon as a tensor of the dtype holds them."""
    epsilon = EPSILON if clip == "keras" else 2 * FORMATS[dtype].unit_roundoff
    return float(round_to(dtype, epsilon)), float(round_to(dtype, 1 - epsilon))


def _refuse_clip_at_one(q: Quantity, problem: Problem) -> None:
    """Leave the answer open where 1 - 1e-7 is 1 in the dtype, so that log(1 - q) is not protected at all."""
    dtype = problem.arithmetic.dtype
    near_one = 1 - FORMATS[dtype].unit_roundoff
    if dtype in HALF_DTYPES and not q.is_nan() and not q.is_less(near_one) and problem.rule("clip") == "keras":
        raise UndefinedError(f"1 - 1e-7 is 1 in {dtype}: nothing keeps the logarithm of 1 - q from minus infinity")


def is_at_jump(q: Quantity, bound: Quantity) -> bool:
    """Whether q lies within the error bounds of a bound of a clip or a clamp, so that either side is lawful."""
    if isinstance(q.value, float):
        return False
    layout = FORMATS[q.arithmetic.dtype]
    slack = 2 * (
        layout.unit_roundoff * (q.rounding + bound.rounding) + layout.underflow_unit * (q.underflow + bound.underflow)
    )
    return not bool(abs(q.value - bound.value) > arb(slack))
