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


def clipped(q: Quantity, problem: Problem) -> Clipped:
    """q kept within [1e-7, 1 - 1e-7], both rounded to the dtype."""
    if q.is_nan() or problem.rule("clip") == "none":
        return Clipped(q, passed=True)
    low, high = clip_bounds(problem.arithmetic)
    below, above = _beyond(low - q, q, low, problem), _beyond(q - high, q, high, problem)
    if below or above:
        return Clipped(low if below else high, passed=False)
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


def _beyond(excess: Quantity, q: Quantity, bound: Quantity, problem: Problem) -> bool:
    """Whether q lies beyond a bound of the clip; within the error bound of it, the side that is asked for."""
    arithmetic = problem.arithmetic
    layout = FORMATS[arithmetic.dtype]
    beyond = not isinstance(excess.value, float) and bool(excess.value > 0)
    slack = 2 * (
        layout.unit_roundoff * (q.rounding + bound.rounding) + layout.underflow_unit * (q.underflow + bound.underflow)
    )
    if isinstance(excess.value, float) or abs(excess.value) > arb(slack):
        return beyond if isinstance(excess.value, arb) else excess.value > 0
    problem.at_jump()
    return beyond != problem.other_side
