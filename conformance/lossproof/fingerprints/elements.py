"""Losses of one class: elements of predictions against targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossproof.fingerprints.loss import Loss, Pull, joined, rows
from lossproof.fingerprints.numbers import Array, Numbers
from lossproof.fingerprints.reduction import average, count, factors, reduced
from lossproof.fingerprints.steps import clipped, guarded_log, unchanged, usual_logarithm

# torch's source holds 1e-12 as a float32.
CLAMPED_DIVISOR = float(np.float32(1e-12))


@dataclass(frozen=True, eq=False)
class _Elements:
    """Predictions, targets, weights and factors of the positive side on two axes; Keras takes means along the last."""

    x: Numbers
    pull: Pull
    y: Numbers
    weight: Numbers | None
    pos_weight: Numbers | None

    def weighed(self, terms: Numbers) -> Numbers:
        """Terms times their weights."""
        return terms if self.weight is None else self.weight * terms


def element_loss(loss: Loss) -> Numbers:
    """The value or the gradient for the prediction, in C order."""
    elements = _read(loss)
    if loss.is_gradient:
        slopes = elements.weighed(_cotangents(loss, elements) * _slopes(loss, elements))
        if loss.slope is not None:
            slopes = loss.slope(loss, elements.x, slopes)
        slopes = elements.pull(slopes)
        return slopes.moved(np.ravel) if loss.axis is None else joined(slopes, loss.prediction.shape, loss.axis)
    terms = elements.weighed(_terms(loss, elements))
    if loss.axis is None:
        return reduced(loss, terms.moved(np.ravel), _denominator(loss, elements))
    added = loss.total(terms)
    return (added if loss.reduction == "sum" else average(loss, added, _denominator(loss, elements))).moved(np.ravel)


def softplus(loss: Loss, z: Numbers) -> Numbers:
    """max(z, 0) + log(1 + exp(-|z|))."""
    return z.where(z.value > 0) + (loss.constant(1) + _minus_size(z).exp()).log()


def sigmoid(loss: Loss, x: Numbers) -> Numbers:
    """1 / (1 + e) for x >= 0 and e / (1 + e) below, with e = exp(-|x|)."""
    e, one = _minus_size(x).exp(), loss.constant(1)
    return one.where(~(x.value < 0), e) / (one + e)


def _minus_size(z: Numbers) -> Numbers:
    return -z.where(z.value >= 0, -z)


def _read(loss: Loss) -> _Elements:
    assert loss.target is not None
    shape = loss.prediction.shape

    def arranged(values: Array | None) -> Numbers | None:
        if values is None:
            return None
        spread = np.broadcast_to(values, shape)
        return loss.exact(spread.reshape(1, -1) if loss.axis is None else rows(spread, loss.axis))

    prediction, y = arranged(loss.prediction), arranged(loss.target)
    assert prediction is not None
    assert y is not None
    if loss.operation == "binary_cross_entropy":
        prediction = prediction.where(_is_inside(prediction), np.nan)
        if loss.rule("target_range") == "checked":
            y = y.where(_is_inside(y), np.nan)
    if loss.smoothing:
        y = (loss.smoothed or _smoothed)(loss, y)
    x, pull = (loss.before or unchanged)(loss, prediction)
    return _Elements(x, pull, y, arranged(loss.weight), arranged(loss.pos_weight))


def _is_inside(numbers: Numbers) -> Array:
    return np.asarray((numbers.value >= 0) & (numbers.value <= 1))


def _smoothed(loss: Loss, y: Numbers) -> Numbers:
    return loss.constant(1 - loss.smoothing) * y + loss.constant(loss.smoothing / 2)


def _denominator(loss: Loss, elements: _Elements) -> Numbers:
    if loss.denominator is None:
        return count(loss, elements.x.value.shape[-1])
    weight = loss.exact(np.ones(elements.x.value.shape)) if elements.weight is None else elements.weight
    return loss.denominator(loss, np.ones(weight.value.size, bool), weight.moved(np.ravel))


def _cotangents(loss: Loss, elements: _Elements) -> Numbers:
    if loss.axis is None:
        return factors(loss, _denominator(loss, elements)).moved(lambda values: values[None, :])
    assert loss.cotangent is not None
    c = loss.exact(loss.cotangent.reshape(-1, 1))
    return c if loss.reduction == "sum" else average(loss, c, _denominator(loss, elements))


def _terms(loss: Loss, elements: _Elements) -> Numbers:
    x, y, pos_weight = elements.x, elements.y, elements.pos_weight
    one = loss.constant(1)
    if loss.scores == "logits" and not _takes_sides(loss):
        s = (loss.softplus or softplus)(loss, -x)
        limit = _times(_positive(elements), s) + _times(one - y, softplus(loss, x))
        tail = s if pos_weight is None else (one + (pos_weight - one) * y) * s
        return ((one - y) * x + tail).where(~np.isinf(x.value), limit)
    positive, negative = _sides(loss, elements)
    (log_p, _), (log_not_p, _) = _logarithms(loss, x)
    # Who takes the logarithm of a sigmoid gets NaN from 0 times minus infinity.
    product = Numbers.__mul__ if loss.scores == "logits" else _times
    return -(product(positive, log_p) + product(negative, log_not_p))


def _slopes(loss: Loss, elements: _Elements) -> Numbers:
    x, y, pos_weight = elements.x, elements.y, elements.pos_weight
    one = loss.constant(1)
    if not _takes_sides(loss) and loss.scores == "logits":
        sigma = (loss.sigmoid or sigmoid)(loss, x)
        if pos_weight is None:
            return sigma - y
        return (one + (pos_weight - one) * y) * sigma - pos_weight * y
    by_terms = _slopes_by_terms(loss, elements)
    if _takes_sides(loss) or loss.operation != "binary_cross_entropy" or loss.rule("log_epsilon") == "1e-7":
        return by_terms
    divisor = x * (one - x)
    small = divisor.value < CLAMPED_DIVISOR
    if loss.rule("log_clamp") == "torch":
        divisor = divisor.where(~small, loss.constant(loss.held(CLAMPED_DIVISOR)))
    slopes = (x - y) / divisor
    if loss.rule("log_clamp") == "derivative":
        slopes = slopes.where(~small, by_terms)
    form = usual_logarithm(loss)
    return clipped(form.clip)(loss, x)[1](slopes) if form.clip else slopes


def _slopes_by_terms(loss: Loss, elements: _Elements) -> Numbers:
    """(1 - y) / (1 - p) - y / p, each term as its logarithm is guarded."""
    positive, negative = _sides(loss, elements)
    (_, pull_p), (_, pull_not_p) = _logarithms(loss, elements.x)
    return -(pull_p(positive) + pull_not_p(negative))


def _takes_sides(loss: Loss) -> bool:
    """Whether a fault has to do with the logarithms or the two sides of the target."""
    return loss.logarithm is not None or loss.sides is not None


def _sides(loss: Loss, elements: _Elements) -> tuple[Numbers, Numbers]:
    """What the logarithms of p and of 1 - p are weighed with."""
    if loss.sides is None:
        return _positive(elements), loss.constant(1) - elements.y
    ones = loss.exact(np.ones(elements.x.value.shape))
    return loss.sides(loss, elements.y, ones if elements.pos_weight is None else elements.pos_weight)


def _times(factor: Numbers, size: Numbers) -> Numbers:
    """The product, with 0 log 0 = 0."""
    return (factor * size).where((factor.value != 0) | ~np.isinf(size.value))


def _positive(elements: _Elements) -> Numbers:
    return elements.y if elements.pos_weight is None else elements.pos_weight * elements.y


def _logarithms(loss: Loss, x: Numbers) -> tuple[tuple[Numbers, Pull], tuple[Numbers, Pull]]:
    """log p and log(1 - p), each with what turns its gradient into one for x."""
    one = loss.constant(1)
    if loss.scores == "logits" and loss.logarithm is None:
        p, rest = sigmoid(loss, x), sigmoid(loss, -x)
        return (-softplus(loss, -x), lambda g: g * rest), (-softplus(loss, x), lambda g: -(g * p))
    form = loss.logarithm or usual_logarithm(loss)
    p = (loss.sigmoid or sigmoid)(loss, x) if loss.scores == "logits" else x
    q, pull_clip = clipped(form.clip)(loss, p) if form.clip else unchanged(loss, p)
    (log_q, pull_q), (log_rest, pull_rest) = guarded_log(loss, q, form), guarded_log(loss, one - q, form)

    def pull(g: Numbers) -> Numbers:
        g = pull_clip(g)
        return g * (p * (one - p)) if loss.scores == "logits" else g

    return (log_q, lambda g: pull(pull_q(g))), (log_rest, lambda g: pull(-pull_rest(g)))
