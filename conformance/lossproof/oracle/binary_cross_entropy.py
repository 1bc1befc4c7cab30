"""binary_cross_entropy: from probabilities, against targets between 0 and 1."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from lossproof.numerics import Floats, round_to
from lossproof.oracle.arithmetic import Bound, Quantity, scaled_quotient
from lossproof.oracle.labels import refuse_or_leave_open
from lossproof.oracle.probabilities import clip_binary, is_at_jump
from lossproof.oracle.problem import Problem, UndefinedError
from lossproof.oracle.rows import reduce, scales

CLAMPED_LOG = -100.0
ADDED = 1e-7
# torch's source holds 1e-12 as a float32 and rounds that to the dtype of the tensors.
CLAMPED_DIVISOR = float(round_to("float32", 1e-12))


def value(problem: Problem) -> list[Quantity]:
    """-w (y log a + (1 - y) log b), reduced, of p and 1 - p as the dialect guards them; the mean is over elements."""
    p, y, w = _read(problem)
    one = problem.arithmetic.exact(1.0)
    terms = []
    for p_i, y_i in zip(p, y, strict=True):
        a, b = _arguments(p_i, problem)
        terms.append(-(_times_log(y_i, a, problem) + _times_log(one - y_i, b, problem)))
    return reduce(weighed(terms, w), None, problem)


def gradient(problem: Problem) -> list[Quantity]:
    """w c (p - y) / (p (1 - p)) where nothing guards the logarithms; otherwise what the dialect says."""
    p, y, w = _read(problem)
    factors = scales(len(p), None, problem)
    return weighed([_slope(p_i, y_i, c, problem) for p_i, y_i, c in zip(p, y, factors, strict=True)], w)


def _slope(p: Quantity, y: Quantity, c: Quantity, problem: Problem) -> Quantity:
    one = problem.arithmetic.exact(1.0)
    if problem.rule("log_epsilon") != "none":
        a, b = _arguments(p, problem)
        return _share(c, one - y, b) - _share(c, y, a)
    if not clip_binary(p, problem).passed:
        return problem.arithmetic.exact(0.0)
    divisor = p * (one - p)
    if not divisor.is_nan() and divisor.is_less(CLAMPED_DIVISOR):
        match problem.rule("log_clamp"):
            case "derivative":
                return _passed_share(c, one - y, one - p, problem) - _passed_share(c, y, p, problem)
            case "torch":
                divisor = _clamped_divisor(problem)
    return scaled_quotient(c, p - y, divisor).weakened(_lost_term_by_term(p, y, c))


def _share(c: Quantity, share: Quantity, a: Quantity) -> Quantity:
    """What c share log a gives in the derivative by a; a share of 0 adds nothing."""
    return share if share.is_zero() else scaled_quotient(c, share, a)


def _passed_share(c: Quantity, share: Quantity, a: Quantity, problem: Problem) -> Quantity:
    """The same of a logarithm that is bounded from below: nothing where the bound acts."""
    logarithm, bound = a.log(), problem.arithmetic.exact(CLAMPED_LOG)
    jumps = is_at_jump(logarithm, bound)
    problem.at_jumps(int(jumps))
    moved = jumps and bool(problem.reading & 1)
    return problem.arithmetic.exact(0.0) if logarithm.is_less(bound) != moved else _share(c, share, a)


def _lost_term_by_term(p: Quantity, y: Quantity, c: Quantity) -> Bound:
    """What (1 - y)/(1 - p) - y/p loses, which automatic differentiation of the value gives: both terms round."""
    arithmetic = p.arithmetic
    one = arithmetic.exact(1.0)
    terms = [c * y / p, c * (one - y) / (one - p)]
    return sum((arithmetic.magnitude(term.value) + term.rounding for term in terms), start=arithmetic.zero)


def gradient_target(problem: Problem) -> list[Quantity]:
    """w c (log b - log a), for the target; where the logarithm is clamped the dialect says whether it is here."""
    p, _, w = _read(problem)
    slopes = []
    for p_i in p:
        a, b = _arguments(p_i, problem)
        slopes.append(_target_log(b, problem) - _target_log(a, problem))
    return weighed([c * slope for c, slope in zip(scales(len(p), None, problem), slopes, strict=True)], w)


def weighed(terms: list[Quantity], w: list[Quantity] | None) -> list[Quantity]:
    """Each term times its weight, where there are weights."""
    return terms if w is None else [w_i * term for w_i, term in zip(w, terms, strict=True)]


def _read(problem: Problem) -> tuple[list[Quantity], list[Quantity], list[Quantity] | None]:
    probs, target = problem.inputs["probs"], problem.inputs["target"]
    probs = _checked(probs, "a probability", problem)
    if not _is_inside(target).all() and problem.rule("target_range") == "checked":
        target = _checked(target, "a target", problem)
    return problem.quantities(probs), problem.quantities(target), problem.spread("weight", probs.shape)


def _checked(numbers: Floats, what: str, problem: Problem) -> Floats:
    """The numbers, with NaN for each that is not between 0 and 1 where the dialect answers those with NaN."""
    inside = _is_inside(numbers)
    if not inside.all():
        refuse_or_leave_open(problem, f"{what} lies outside [0, 1]")
    return np.where(inside, numbers, math.nan)


def _is_inside(numbers: Floats) -> npt.NDArray[np.bool_]:
    return (numbers >= 0) & (numbers <= 1)


def _arguments(p: Quantity, problem: Problem) -> tuple[Quantity, Quantity]:
    """What the logarithms are taken of: p and 1 - p, with 1e-7 added or away from 0 and 1 where the dialect does so."""
    one = problem.arithmetic.exact(1.0)
    if problem.rule("log_epsilon") != "none":
        added = problem.arithmetic.constant(float(round_to(problem.arithmetic.dtype, ADDED)))
        return p + added, one - p + added
    q = clip_binary(p, problem).probability
    return q, one - q


def _times_log(factor: Quantity, a: Quantity, problem: Problem) -> Quantity:
    """factor log a, clamped from below where the dialect does so; 0 log 0 = 0."""
    logarithm = a.log()
    if logarithm.is_nan() or not logarithm.is_less(CLAMPED_LOG):
        return factor * logarithm
    if factor.is_zero():
        return factor
    return factor * (logarithm if problem.rule("log_clamp") == "none" else problem.arithmetic.exact(CLAMPED_LOG))


def _target_log(a: Quantity, problem: Problem) -> Quantity:
    """log a, which stands alone in the gradient for the target."""
    logarithm = a.log()
    if logarithm.is_nan() or not logarithm.is_less(CLAMPED_LOG):
        return logarithm
    match problem.rule("log_clamp"):
        case "none":
            return logarithm
        case "torch" if problem.rule("target_log_clamp") == "no":
            return logarithm
    return problem.arithmetic.exact(CLAMPED_LOG)


def _clamped_divisor(problem: Problem) -> Quantity:
    held = float(round_to(problem.arithmetic.dtype, CLAMPED_DIVISOR))
    if held == 0:
        raise UndefinedError(f"1e-12 is 0 in {problem.arithmetic.dtype}: nothing keeps the divisor from 0")
    return problem.arithmetic.constant(held)
