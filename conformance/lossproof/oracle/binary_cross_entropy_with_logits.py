"""binary_cross_entropy_with_logits: from logits, against targets of any value."""

from __future__ import annotations

import math

from lossproof.oracle.arithmetic import Quantity
from lossproof.oracle.binary_cross_entropy import weighed
from lossproof.oracle.problem import Problem
from lossproof.oracle.rows import reduce, scales


def value(problem: Problem) -> list[Quantity]:
    """w ((1 - y) x + v s(-x)), with v = 1 + (pos_weight - 1) y, reduced; the mean is over elements."""
    x, y, w, pos_weight = _read(problem)
    terms = [
        logit_term(x_i, y_i, None if pos_weight is None else pos_weight[i])
        for i, (x_i, y_i) in enumerate(zip(x, y, strict=True))
    ]
    return reduce(weighed(terms, w), None, problem)


def gradient(problem: Problem) -> list[Quantity]:
    """w c (v sigma(x) - pos_weight y)."""
    x, y, w, pos_weight = _read(problem)
    slopes = [
        logit_slope(x_i, y_i, None if pos_weight is None else pos_weight[i])
        for i, (x_i, y_i) in enumerate(zip(x, y, strict=True))
    ]
    return weighed([c * slope for c, slope in zip(scales(len(x), None, problem), slopes, strict=True)], w)


def gradient_target(problem: Problem) -> list[Quantity]:
    """w c ((s(-x) - s(x)) + (pos_weight - 1) s(-x)), for the target."""
    x, _, w, pos_weight = _read(problem)
    slopes = [target_slope(x_i, None if pos_weight is None else pos_weight[i]) for i, x_i in enumerate(x)]
    return weighed([c * slope for c, slope in zip(scales(len(x), None, problem), slopes, strict=True)], w)


def hessian(problem: Problem) -> list[Quantity]:
    """w c d v q(x) q(-x), along the direction d; q(x) = 1 - sigma(-x), v = 1 + (pos_weight - 1) y."""
    x, y, w, pos_weight = _read(problem)
    curvatures = []
    for i, (x_i, y_i) in enumerate(zip(x, y, strict=True)):
        curvature = _complement(x_i) * _complement(-x_i)
        curvatures.append(curvature if pos_weight is None else _positive_weight(pos_weight[i], y_i) * curvature)
    factors = [c * d for c, d in zip(scales(len(x), None, problem), problem.directions(), strict=True)]
    return weighed([c * curvature for c, curvature in zip(factors, curvatures, strict=True)], w)


def tangent(problem: Problem) -> list[Quantity]:
    """w ((1 - y) d - v q(-x) d), along d, reduced; q(x) = 1 - sigma(-x), v = 1 + (pos_weight - 1) y."""
    x, y, w, pos_weight = _read(problem)
    one = problem.arithmetic.exact(1.0)
    terms = []
    for i, (x_i, y_i, d) in enumerate(zip(x, y, problem.directions(), strict=True)):
        other = _complement(-x_i) * d
        terms.append((one - y_i) * d - (other if pos_weight is None else _positive_weight(pos_weight[i], y_i) * other))
    return reduce(weighed(terms, w), None, problem)


def softplus(z: Quantity) -> Quantity:
    """s(z) = max(z, 0) + log(1 + exp(-|z|))."""
    one = z.arithmetic.exact(1.0)
    if z.is_nan():
        return z
    tail = (one + _minus_size(z).exp()).log()
    return tail if z.is_less(0.0) else z + tail


def sigmoid(x: Quantity) -> Quantity:
    """1 / (1 + e) for x >= 0 and e / (1 + e) below, with e = exp(-|x|)."""
    arithmetic = x.arithmetic
    one = arithmetic.exact(1.0)
    if x.is_nan():
        return x
    e = _minus_size(x).exp()
    quotient = (e if x.is_less(0.0) else one) / (one + e)
    return _weakened(quotient, x)


def _complement(x: Quantity) -> Quantity:
    """1 - sigma(-x)."""
    return _weakened(x.arithmetic.exact(1.0) - sigmoid(-x), x)


def _weakened(probability: Quantity, x: Quantity) -> Quantity:
    # exp(x - softplus(x)), which automatic differentiation of softplus gives, loses digits in proportion to both.
    # 1 - sigma(-x), which that of (1 - y) x + s(-x) gives, has the absolute accuracy of 1.
    arithmetic = x.arithmetic
    lost = arithmetic.magnitude(softplus(x).value) + arithmetic.magnitude(x.value)
    return probability.weakened(arithmetic.magnitude(probability.value) * lost + 1)


def _minus_size(z: Quantity) -> Quantity:
    return z if z.is_less(0.0) else -z


def _positive_weight(pos_weight: Quantity, y: Quantity) -> Quantity:
    one = pos_weight.arithmetic.exact(1.0)
    return one + (pos_weight - one) * y


def logit_term(x: Quantity, y: Quantity, pos_weight: Quantity | None = None) -> Quantity:
    """(1 - y) x + v s(-x); at an infinite logit its limit, which is that of y pos_weight s(-x) + (1 - y) s(x)."""
    one = x.arithmetic.exact(1.0)
    if isinstance(x.value, float) and math.isinf(x.value):
        positive = y if pos_weight is None else pos_weight * y
        return _times(positive, softplus(-x)) + _times(one - y, softplus(x))
    s = softplus(-x)
    if pos_weight is None:
        return _or_less_product((one - y) * x + s, x, y)
    return (one - y) * x + _positive_weight(pos_weight, y) * s


def _or_less_product(term: Quantity, x: Quantity, y: Quantity) -> Quantity:
    """The same by the other common form, max(x, 0) - x y + log(1 + exp(-|x|)): its product and difference round."""
    if y.is_zero() or y.value == 1 or isinstance(term.value, float):
        return term
    lost = (x * y).rounding + term.arithmetic.magnitude((softplus(x) - x * y).value)
    return term.roughened(lost)


def logit_slope(x: Quantity, y: Quantity, pos_weight: Quantity | None = None) -> Quantity:
    """v sigma(x) - pos_weight y."""
    positive = y if pos_weight is None else pos_weight * y
    other = sigmoid(-x)
    # Automatic differentiation of y log sigma(x) + (1 - y) log sigma(-x) takes y sigma(-x) from softplus(-x).
    lost = x.arithmetic.magnitude(positive.value) * (other.weakness if not other.is_nan() else x.arithmetic.zero)
    probability = sigmoid(x)
    scaled = probability if pos_weight is None else _positive_weight(pos_weight, y) * probability
    return (scaled - positive).weakened(lost)


def target_slope(x: Quantity, pos_weight: Quantity | None = None) -> Quantity:
    """(s(-x) - s(x)) + (pos_weight - 1) s(-x), which is pos_weight s(-x) - s(x), its limit at an infinite logit."""
    positive, negative = softplus(-x), softplus(x)
    if pos_weight is None:
        return positive - negative
    if isinstance(x.value, float) and math.isinf(x.value):
        return _times(pos_weight, positive) - negative
    return (positive - negative) + (pos_weight - x.arithmetic.exact(1.0)) * positive


def _times(factor: Quantity, size: Quantity) -> Quantity:
    return factor if factor.is_zero() else factor * size


def _read(problem: Problem) -> tuple[list[Quantity], list[Quantity], list[Quantity] | None, list[Quantity] | None]:
    shape = problem.inputs["logits"].shape
    return (
        problem.quantities(problem.inputs["logits"]),
        problem.quantities(problem.inputs["target"]),
        problem.spread("weight", shape),
        problem.spread("pos_weight", shape),
    )
