"""binary_cross_entropy: from probabilities, against targets between 0 and 1."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from lossproof.numerics import Floats, round_to
from lossproof.oracle.arithmetic import Bound, Quantity, scaled_quotient
from lossproof.oracle.labels import refuse_or_leave_open
from lossproof.oracle.problem import Problem, UndefinedError
from lossproof.oracle.rows import reduce, scales

CLAMPED_LOG = -100.0
# torch's source holds 1e-12 as a float32 and rounds that to the dtype of the tensors.
CLAMPED_DIVISOR = float(round_to("float32", 1e-12))


def value(problem: Problem) -> list[Quantity]:
    """-w (y log p + (1 - y) log(1 - p)), reduced; the mean is over elements."""
    p, y, w = _read(problem)
    one = problem.arithmetic.exact(1.0)
    terms = [
        -(y_i * _log(p_i, y_i, problem) + (one - y_i) * _log(one - p_i, one - y_i, problem))
        for p_i, y_i in zip(p, y, strict=True)
    ]
    return reduce(weighed(terms, w), None, problem)


def gradient(problem: Problem) -> list[Quantity]:
    """w c (p - y) / (p (1 - p)); a dialect that clamps the logarithm bounds the divisor from below."""
    p, y, w = _read(problem)
    one = problem.arithmetic.exact(1.0)
    gradients = []
    for p_i, y_i, c in zip(p, y, scales(len(p), None, problem), strict=True):
        slope = scaled_quotient(c, p_i - y_i, _divisor(p_i * (one - p_i), problem))
        gradients.append(slope.weakened(_lost_term_by_term(p_i, y_i, c)))
    return weighed(gradients, w)


def _lost_term_by_term(p: Quantity, y: Quantity, c: Quantity) -> Bound:
    """What (1 - y)/(1 - p) - y/p loses, which automatic differentiation of the value gives: both terms round."""
    arithmetic = p.arithmetic
    one = arithmetic.exact(1.0)
    terms = [c * y / p, c * (one - y) / (one - p)]
    return sum((arithmetic.magnitude(term.value) + term.rounding for term in terms), start=arithmetic.zero)


def gradient_target(problem: Problem) -> list[Quantity]:
    """w c (log(1 - p) - log p), for the target; where the logarithm is clamped the dialect says whether it is here."""
    p, _, w = _read(problem)
    one = problem.arithmetic.exact(1.0)
    slopes = [_target_log(one - p_i, problem) - _target_log(p_i, problem) for p_i in p]
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


def _log(a: Quantity, factor: Quantity, problem: Problem) -> Quantity:
    """log a, clamped from below where the dialect does so; otherwise 0 log 0 = 0."""
    arithmetic = problem.arithmetic
    logarithm = a.log()
    if logarithm.is_nan() or not logarithm.is_less(CLAMPED_LOG):
        return logarithm
    if problem.rule("log_clamp") == "torch":
        return arithmetic.exact(CLAMPED_LOG)
    return arithmetic.exact(0.0) if factor.is_zero() else logarithm


def _target_log(a: Quantity, problem: Problem) -> Quantity:
    """log a, which stands alone in the gradient for the target."""
    logarithm = a.log()
    if logarithm.is_nan() or not logarithm.is_less(CLAMPED_LOG) or problem.rule("log_clamp") == "none":
        return logarithm
    return problem.arithmetic.exact(CLAMPED_LOG) if problem.rule("target_log_clamp") == "yes" else logarithm


def _divisor(product: Quantity, problem: Problem) -> Quantity:
    if product.is_nan() or not product.is_less(CLAMPED_DIVISOR):
        return product
    if problem.rule("log_clamp") == "none":
        return product
    held = float(round_to(problem.arithmetic.dtype, CLAMPED_DIVISOR))
    if held == 0:
        raise UndefinedError(f"1e-12 is 0 in {problem.arithmetic.dtype}: nothing keeps the divisor from 0")
    return problem.arithmetic.constant(held)
