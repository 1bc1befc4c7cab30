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
    slopes = []
    for i, (x_i, y_i) in enumerate(zip(x, y, strict=True)):
        if pos_weight is None:
            slopes.append(sigmoid(x_i) - y_i)
        else:
            slopes.append(_positive_weight(pos_weight[i], y_i) * sigmoid(x_i) - pos_weight[i] * y_i)
    return weighed([c * slope for c, slope in zip(scales(len(x), None, problem), slopes, strict=True)], w)


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
    # exp(x - softplus(x)), which automatic differentiation of softplus gives, loses digits in proportion to both.
    lost = arithmetic.magnitude(softplus(x).value) + arithmetic.magnitude(x.value)
    return quotient.weakened(arithmetic.magnitude(quotient.value) * lost)


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
    return (one - y) * x + (s if pos_weight is None else _positive_weight(pos_weight, y) * s)


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
