"""Every loss of the spec in NumPy, each written so that no step of its value cancels.

The other terms of a row are summed instead of subtracting one of them from the whole: 1 - p of a sure prediction is
the sum of the other probabilities, and its loss is log1p of that sum. All terms of a loss then have one sign. What
still cancels is a gradient p - y where soft targets y come close to p.

float32, bfloat16 and float16 are computed in float64 and float64 in `numpy.longdouble`, then rounded once. Where
longdouble is no wider than float64 (Windows, macOS on ARM), float64 answers lose a few ulps, some hundreds where the
answer is the exponential of a gap of hundreds; the other dtypes lose nothing.

Losses of torch.nn.functional follow torch 2.13, with the class axis 1, or 0 for unbatched logits; those of
keras.losses follow Keras 3, with one value a row. `*_vjp` gives the gradient for the prediction, in its shape and
dtype, `*_vjp_<input>` that for another input, `*_hvp` the derivative of the gradient along a direction of the
prediction, and `*_jvp` the derivative of the loss along it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

framework = "numpy"

Array = npt.NDArray[Any]

REDUCTIONS = ("none", "mean", "sum")
MOST_ELEMENTS = 2**28
LOWEST_LOG = -100.0  # torch's binary_cross_entropy: no logarithm below it,
LOWEST_DIVISOR = float(np.float32(1e-12))  # and no gradient divided by less than a constant held in float32.
KERAS_EPSILON = 1e-7  # keras.config.epsilon()


# Losses of torch.nn.functional over classes


@np.errstate(all="ignore")
def cross_entropy(
    logits: Array,
    target: Array,
    *,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    """Negative log-softmax of the target: logits (C,), (N, C) or (N, C, ...), target of indices or of probabilities.

    A mean over indices divides by the weight of the kept targets, over probabilities by the number of rows.
    Raises ValueError, RuntimeError and IndexError where torch does, and for every smoothing outside [0, 1].
    """
    _check_cross_entropy(logits, target, ignore_index, reduction, label_smoothing)
    surprisal = _surprisal(_class_rows(logits))
    weights = _class_weights(weight, logits)
    if not _holds_indices(target):
        shares = _smoothed(_class_rows(target, like=logits), label_smoothing)
        losses = (weights * shares * surprisal).sum(-1)
        return _reduced(losses, losses.size, reduction, logits.dtype)
    labels, kept = _labels(target, logits, ignore_index)
    losses = _picked(weights * surprisal, labels)
    if label_smoothing:
        losses = (1 - _wide(logits, label_smoothing)) * losses
        losses += _wide(logits, label_smoothing) / surprisal.shape[-1] * (weights * surprisal).sum(-1)
    return _reduced(np.where(kept, losses, 0), _kept_weight(weights, labels, kept), reduction, logits.dtype)


@np.errstate(all="ignore")
def cross_entropy_vjp(
    cotangent: Array,
    logits: Array,
    target: Array,
    *,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    """Gradient of `cross_entropy` for the logits; exactly 0 for an ignored row, whatever it holds."""
    _check_cross_entropy(logits, target, ignore_index, reduction, label_smoothing)
    shares, kept, total = _aims(logits, target, weight, ignore_index, label_smoothing)
    gradient = _row_scale(cotangent, logits, reduction, total) * _softmax_pull(_class_rows(logits), shares)
    return _like(np.where(kept[..., None], gradient, 0), logits)


@np.errstate(all="ignore")
def cross_entropy_vjp_target(
    cotangent: Array,
    logits: Array,
    target: Array,
    *,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    """Gradient of `cross_entropy` for the probabilities of the target. Raises RuntimeError for indices."""
    _check_cross_entropy(logits, target, ignore_index, reduction, label_smoothing)
    if _holds_indices(target):
        raise RuntimeError("only a target of probabilities has a gradient")
    surprisal = _surprisal(_class_rows(logits))
    slopes = (1 - _wide(logits, label_smoothing)) * _class_weights(weight, logits) * surprisal
    return _like(_row_scale(cotangent, logits, reduction, math.prod(surprisal.shape[:-1])) * slopes, target)


@np.errstate(all="ignore")
def cross_entropy_hvp(
    cotangent: Array,
    direction: Array,
    logits: Array,
    target: Array,
    *,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    """Derivative of `cross_entropy_vjp` along a direction of the logits; exactly 0 for an ignored row."""
    _check_cross_entropy(logits, target, ignore_index, reduction, label_smoothing)
    shares, kept, total = _aims(logits, target, weight, ignore_index, label_smoothing)
    rows = _class_rows(logits)
    push = _log_softmax_push(rows, _class_rows(direction, like=logits))
    product = shares.sum(-1, keepdims=True) * _softmax(rows) * push
    return _like(np.where(kept[..., None], _row_scale(cotangent, logits, reduction, total) * product, 0), logits)


@np.errstate(all="ignore")
def cross_entropy_jvp(
    direction: Array,
    logits: Array,
    target: Array,
    *,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    """Derivative of `cross_entropy` along a direction of the logits."""
    _check_cross_entropy(logits, target, ignore_index, reduction, label_smoothing)
    shares, kept, total = _aims(logits, target, weight, ignore_index, label_smoothing)
    slopes = -(shares * _log_softmax_push(_class_rows(logits), _class_rows(direction, like=logits))).sum(-1)
    return _reduced(np.where(kept, slopes, 0), total, reduction, logits.dtype)


@np.errstate(all="ignore")
def linear_cross_entropy(
    input: Array,
    linear_weight: Array,
    target: Array,
    *,
    linear_bias: Array | None = None,
    weight: Array | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Array:
    """`cross_entropy` of the logits input linear_weight^T + linear_bias: input (F,) or (N, F), linear_weight (C, F).

    The logits are wide and never rounded. Raises RuntimeError where torch does, besides what `cross_entropy` raises.
    """
    logits = _linear(input, linear_weight, linear_bias)
    ignored = _linear_ignore_index(target, ignore_index)
    loss = cross_entropy(
        logits, target, weight=weight, ignore_index=ignored, reduction=reduction, label_smoothing=label_smoothing
    )
    return _rounded(loss, input.dtype)


@np.errstate(all="ignore")
def linear_cross_entropy_vjp(
    cotangent: Array,
    input: Array,
    linear_weight: Array,
    target: Array,
    *,
    linear_bias: Array | None = None,
    weight: Array | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Array:
    """Gradient of `linear_cross_entropy` for the input."""
    logits = _linear(input, linear_weight, linear_bias)
    ignored = _linear_ignore_index(target, ignore_index)
    pulled = cross_entropy_vjp(
        cotangent,
        logits,
        target,
        weight=weight,
        ignore_index=ignored,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )
    return _rounded(pulled @ _wide(input, linear_weight), input.dtype)


@np.errstate(all="ignore")
def linear_cross_entropy_vjp_linear_weight(
    cotangent: Array,
    input: Array,
    linear_weight: Array,
    target: Array,
    *,
    linear_bias: Array | None = None,
    weight: Array | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Array:
    """Gradient of `linear_cross_entropy` for the linear weight."""
    logits = _linear(input, linear_weight, linear_bias)
    ignored = _linear_ignore_index(target, ignore_index)
    pulled = cross_entropy_vjp(
        cotangent,
        logits,
        target,
        weight=weight,
        ignore_index=ignored,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )
    return _rounded(np.atleast_2d(pulled).T @ np.atleast_2d(_wide(input, input)), linear_weight.dtype)


@np.errstate(all="ignore")
def nll_loss(
    log_probs: Array,
    target: Array,
    *,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Array:
    """Minus the log-probability of each target index: log_probs (C,), (N, C) or (N, C, ...).

    A mean divides by the weight of the kept targets. Raises what `cross_entropy` raises.
    """
    _check_nll_loss(log_probs, target, reduction)
    weights = _class_weights(weight, log_probs)
    labels, kept = _labels(target, log_probs, ignore_index)
    losses = -weights[labels] * _picked(_class_rows(log_probs), labels)
    return _reduced(np.where(kept, losses, 0), _kept_weight(weights, labels, kept), reduction, log_probs.dtype)


@np.errstate(all="ignore")
def nll_loss_vjp(
    cotangent: Array,
    log_probs: Array,
    target: Array,
    *,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Array:
    """Gradient of `nll_loss` for the log-probabilities: minus the weight at each kept target, 0 elsewhere."""
    _check_nll_loss(log_probs, target, reduction)
    weights = _class_weights(weight, log_probs)
    labels, kept = _labels(target, log_probs, ignore_index)
    hit = _one_hot(labels, weights.size) & kept[..., None]
    scale = _row_scale(cotangent, log_probs, reduction, _kept_weight(weights, labels, kept))
    return _like(np.where(hit, -weights * scale, 0), log_probs)


@np.errstate(all="ignore")
def log_softmax(logits: Array, *, axis: int = -1) -> Array:
    """Logarithm of the softmax along `axis`, for any shape. Raises an IndexError for an axis out of range."""
    return _like(-_surprisal(_rows(logits, axis)), logits, axis)


@np.errstate(all="ignore")
def log_softmax_vjp(cotangent: Array, logits: Array, *, axis: int = -1) -> Array:
    """Gradient of `log_softmax` for the logits."""
    return _like(-_softmax_pull(_rows(logits, axis), _rows(cotangent, axis, like=logits)), logits, axis)


@np.errstate(all="ignore")
def log_softmax_jvp(direction: Array, logits: Array, *, axis: int = -1) -> Array:
    """Derivative of `log_softmax` along a direction of the logits."""
    return _like(_log_softmax_push(_rows(logits, axis), _rows(direction, axis, like=logits)), logits, axis)


# Losses of torch.nn.functional over elements


@np.errstate(all="ignore")
def binary_cross_entropy(probs: Array, target: Array, *, weight: Array | None = None, reduction: str = "mean") -> Array:
    """-weight (y log p + (1 - y) log(1 - p)) of each element, no logarithm below -100, for equal shapes.

    Raises ValueError for unequal shapes, RuntimeError for a p or y outside [0, 1].
    """
    _check_binary(probs, target, reduction)
    _check_unit_interval(probs, "input")
    _check_unit_interval(target, "target")
    p, y = _wide(probs, probs), _wide(probs, target)
    losses = -(y * np.maximum(np.log(p), LOWEST_LOG) + (1 - y) * np.maximum(np.log1p(-p), LOWEST_LOG))
    return _reduced(_element_weights(weight, probs) * losses, losses.size, reduction, probs.dtype)


@np.errstate(all="ignore")
def binary_cross_entropy_vjp(
    cotangent: Array, probs: Array, target: Array, *, weight: Array | None = None, reduction: str = "mean"
) -> Array:
    """Gradient of `binary_cross_entropy` as torch defines it: (p - y) / max(p (1 - p), 1e-12), the clamp left out."""
    _check_binary(probs, target, reduction)
    _check_unit_interval(probs, "input")
    _check_unit_interval(target, "target")
    p, y = _wide(probs, probs), _wide(probs, target)
    slopes = _element_weights(weight, probs) * (p - y) / np.maximum(p * (1 - p), LOWEST_DIVISOR)
    return _rounded(_element_scale(cotangent, probs, reduction) * slopes, probs.dtype)


@np.errstate(all="ignore")
def binary_cross_entropy_vjp_target(
    cotangent: Array, probs: Array, target: Array, *, weight: Array | None = None, reduction: str = "mean"
) -> Array:
    """Gradient of `binary_cross_entropy` for the target as torch defines it: log(1 - p) - log p, without a clamp."""
    _check_binary(probs, target, reduction)
    _check_unit_interval(probs, "input")
    _check_unit_interval(target, "target")
    slopes = -_element_weights(weight, probs) * _logit(_wide(probs, probs))
    return _rounded(_element_scale(cotangent, probs, reduction) * slopes, target.dtype)


@np.errstate(all="ignore")
def binary_cross_entropy_with_logits(
    logits: Array,
    target: Array,
    *,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    reduction: str = "mean",
) -> Array:
    """Weight times (pos_weight y softplus(-x) + (1 - y) softplus(x)) of each element, for equal shapes.

    At infinite logits it is the limit, where torch's (1 - y) x + ... is mostly NaN (pytorch#49844).
    Raises ValueError for unequal shapes, RuntimeError for weights that do not broadcast to them.
    """
    _check_binary(logits, target, reduction)
    x, y = _wide(logits, logits), _wide(logits, target)
    losses = _binary_losses(x, y * _element_weights(pos_weight, logits), 1 - y)
    return _reduced(_element_weights(weight, logits) * losses, losses.size, reduction, logits.dtype)


@np.errstate(all="ignore")
def binary_cross_entropy_with_logits_vjp(
    cotangent: Array,
    logits: Array,
    target: Array,
    *,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    reduction: str = "mean",
) -> Array:
    """Gradient of `binary_cross_entropy_with_logits` for the logits."""
    _check_binary(logits, target, reduction)
    x, y = _wide(logits, logits), _wide(logits, target)
    slopes = _element_weights(weight, logits) * _binary_slopes(x, y * _element_weights(pos_weight, logits), 1 - y)
    return _rounded(_element_scale(cotangent, logits, reduction) * slopes, logits.dtype)


@np.errstate(all="ignore")
def binary_cross_entropy_with_logits_vjp_target(
    cotangent: Array,
    logits: Array,
    target: Array,
    *,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    reduction: str = "mean",
) -> Array:
    """Gradient of `binary_cross_entropy_with_logits` for the target: (pos_weight - 1) softplus(-x) - x."""
    _check_binary(logits, target, reduction)
    x, positive = _wide(logits, logits), _element_weights(pos_weight, logits)
    limits = _binary_losses(x, positive, np.zeros_like(x)) - _binary_losses(x, np.zeros_like(x), np.ones_like(x))
    slopes = np.where(np.isinf(x), limits, (positive - 1) * (np.maximum(-x, 0) + np.log1p(np.exp(-np.abs(x)))) - x)
    slopes *= _element_weights(weight, logits)
    return _rounded(_element_scale(cotangent, logits, reduction) * slopes, target.dtype)


@np.errstate(all="ignore")
def binary_cross_entropy_with_logits_hvp(
    cotangent: Array,
    direction: Array,
    logits: Array,
    target: Array,
    *,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    reduction: str = "mean",
) -> Array:
    """Derivative of `binary_cross_entropy_with_logits_vjp` along a direction of the logits."""
    _check_binary(logits, target, reduction)
    x, y = _wide(logits, logits), _wide(logits, target)
    small = np.exp(-np.abs(x))
    curvatures = (y * _element_weights(pos_weight, logits) + (1 - y)) * small / (1 + small) ** 2
    products = _element_weights(weight, logits) * curvatures * _wide(logits, direction)
    return _rounded(_element_scale(cotangent, logits, reduction) * products, logits.dtype)


@np.errstate(all="ignore")
def binary_cross_entropy_with_logits_jvp(
    direction: Array,
    logits: Array,
    target: Array,
    *,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    reduction: str = "mean",
) -> Array:
    """Derivative of `binary_cross_entropy_with_logits` along a direction of the logits."""
    _check_binary(logits, target, reduction)
    x, y = _wide(logits, logits), _wide(logits, target)
    slopes = _element_weights(weight, logits) * _binary_slopes(x, y * _element_weights(pos_weight, logits), 1 - y)
    return _reduced(slopes * _wide(logits, direction), slopes.size, reduction, logits.dtype)


# Losses of keras.losses


@np.errstate(all="ignore")
def categorical_crossentropy(
    target: Array, probs: Array, *, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Array:
    """-sum of y log q along `axis`, q being probs over their sum and clipped to [1e-7, 1 - 1e-7], or the softmax.

    The bounds are rounded to the dtype. Raises ValueError for unequal shapes.
    """
    _check_equal_shapes(target, probs)
    shares = _smoothed(_rows(target, axis, like=probs), label_smoothing)
    return _rounded((shares * _keras_surprisal(probs, axis, from_logits)).sum(-1), probs.dtype)


@np.errstate(all="ignore")
def categorical_crossentropy_vjp(
    cotangent: Array,
    target: Array,
    probs: Array,
    *,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """Gradient of `categorical_crossentropy` for probs: through the division by their sum, 0 through the clip."""
    _check_equal_shapes(target, probs)
    shares = _smoothed(_rows(target, axis, like=probs), label_smoothing)
    return _like(_wide(probs, cotangent)[..., None] * _keras_pull(probs, shares, axis, from_logits), probs, axis)


@np.errstate(all="ignore")
def categorical_crossentropy_vjp_target(
    cotangent: Array,
    target: Array,
    probs: Array,
    *,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """Gradient of `categorical_crossentropy` for the target: -log q, less the share that smoothing takes."""
    _check_equal_shapes(target, probs)
    slopes = (1 - _wide(probs, label_smoothing)) * _keras_surprisal(probs, axis, from_logits)
    return _like(_wide(probs, cotangent)[..., None] * slopes, target, axis)


@np.errstate(all="ignore")
def sparse_categorical_crossentropy(
    target: Array, probs: Array, *, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Array:
    """`categorical_crossentropy` of integer labels, shaped like probs without `axis`, or with 1 there.

    A label that is no class, like an ignored one, has loss 0. Raises ValueError for other shapes.
    """
    labels, kept = _keras_labels(target, probs, ignore_class, axis)
    losses = _picked(_keras_surprisal(probs, axis, from_logits), labels)
    return _rounded(np.where(kept, losses, 0), probs.dtype)


@np.errstate(all="ignore")
def sparse_categorical_crossentropy_vjp(
    cotangent: Array,
    target: Array,
    probs: Array,
    *,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Array:
    """Gradient of `sparse_categorical_crossentropy` for probs; exactly 0 for a row that is ignored."""
    labels, kept = _keras_labels(target, probs, ignore_class, axis)
    pull = _keras_pull(probs, _wide(probs, _one_hot(labels, probs.shape[axis])), axis, from_logits)
    return _like(np.where(kept[..., None], _wide(probs, cotangent)[..., None] * pull, 0), probs, axis)


@np.errstate(all="ignore")
def binary_crossentropy(
    target: Array, probs: Array, *, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Array:
    """Mean along `axis` of -(y log q + (1 - y) log(1 - q)), q being probs clipped to [1e-7, 1 - 1e-7], or the sigmoid.

    The bounds are rounded to the dtype. Raises ValueError for unequal shapes.
    """
    _check_equal_shapes(target, probs)
    rows, y = _rows(probs, axis), _rows(target, axis, like=probs)
    positive, negative = _smoothed(y, label_smoothing, classes=2), _smoothed(1 - y, label_smoothing, classes=2)
    if from_logits:
        losses = _binary_losses(rows, positive, negative)
    else:
        q = np.clip(rows, *_keras_bounds(probs))
        losses = -(positive * np.log(q) + negative * np.log1p(-q))
    return _rounded(losses.sum(-1) / rows.shape[-1], probs.dtype)


@np.errstate(all="ignore")
def binary_crossentropy_vjp(
    cotangent: Array,
    target: Array,
    probs: Array,
    *,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """Gradient of `binary_crossentropy` for probs; 0 outside of the clip."""
    _check_equal_shapes(target, probs)
    rows, y = _rows(probs, axis), _rows(target, axis, like=probs)
    positive, negative = _smoothed(y, label_smoothing, classes=2), _smoothed(1 - y, label_smoothing, classes=2)
    if from_logits:
        slopes = _binary_slopes(rows, positive, negative)
    else:
        slopes = np.where(_outside(rows, probs), 0, (rows * negative - (1 - rows) * positive) / (rows * (1 - rows)))
    return _like(_wide(probs, cotangent)[..., None] / rows.shape[-1] * slopes, probs, axis)


@np.errstate(all="ignore")
def binary_crossentropy_vjp_target(
    cotangent: Array,
    target: Array,
    probs: Array,
    *,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """Gradient of `binary_crossentropy` for the target: log(1 - q) - log q, less the share that smoothing takes."""
    _check_equal_shapes(target, probs)
    rows = _rows(probs, axis)
    logits = rows if from_logits else _logit(np.clip(rows, *_keras_bounds(probs)))
    slopes = -(1 - _wide(probs, label_smoothing)) * logits
    return _like(_wide(probs, cotangent)[..., None] / rows.shape[-1] * slopes, target, axis)


# The definition


@np.errstate(all="ignore")
def distribution_cross_entropy(p: Array, q: Array, *, reduction: str = "mean") -> Array:
    """-sum of p log q over the last axis, 0 where p is 0, reduced over rows. Raises ValueError for unequal shapes."""
    _check_reduction(reduction)
    _check_equal_shapes(p, q)
    terms = _wide(q, p) * np.log(_wide(q, q))
    losses = -np.where(p == 0, 0, terms).sum(-1)
    return _reduced(losses, losses.size, reduction, q.dtype)


@np.errstate(all="ignore")
def distribution_cross_entropy_vjp(cotangent: Array, p: Array, q: Array, *, reduction: str = "mean") -> Array:
    """Gradient of `distribution_cross_entropy` for q: -p / q, 0 where p is 0."""
    _check_reduction(reduction)
    _check_equal_shapes(p, q)
    slopes = np.where(p == 0, 0, -_wide(q, p) / _wide(q, q))
    return _rounded(_row_scale(cotangent, q, reduction, math.prod(q.shape[:-1])) * slopes, q.dtype)


@np.errstate(all="ignore")
def distribution_cross_entropy_vjp_p(cotangent: Array, p: Array, q: Array, *, reduction: str = "mean") -> Array:
    """Gradient of `distribution_cross_entropy` for p: -log q."""
    _check_reduction(reduction)
    _check_equal_shapes(p, q)
    scale = _row_scale(cotangent, q, reduction, math.prod(q.shape[:-1]))
    return _rounded(scale * -np.log(_wide(q, q)), p.dtype)


# Formulas that several losses share, on wide numbers with the classes last


def _surprisal(logits: Array) -> Array:
    """-log softmax = log(1 + sum of the other exponentials) + (max - x): a sum of terms that are never negative."""
    shifted = logits - logits.max(-1, keepdims=True, initial=-np.inf)
    largest, rest = _split_off_largest(np.exp(shifted))
    # The largest is exp(0) = 1; in a row with an infinity or a NaN it is NaN and must show.
    surprisal: Array = np.log1p(rest + (largest - 1)) - shifted
    return surprisal


def _softmax_pull(logits: Array, shares: Array) -> Array:
    """softmax(x)_j (sum of shares) - share_j, without the part that cancels: each j is set against the others only."""
    exps = np.exp(logits - logits.max(-1, keepdims=True, initial=-np.inf))
    total = exps.sum(-1, keepdims=True)
    pull: Array = (exps * _sums_of_others(shares) - shares * _sums_of_others(exps)) / total
    return pull


def _softmax(logits: Array) -> Array:
    exps = np.exp(logits - logits.max(-1, keepdims=True, initial=-np.inf))
    probabilities: Array = exps / exps.sum(-1, keepdims=True)
    return probabilities


def _log_softmax_push(logits: Array, direction: Array) -> Array:
    """v_j - sum of softmax(x)_k v_k, all v set against that of the largest logit: a sure row is left the small ones."""
    if not logits.size:
        return logits
    moved = direction - np.take_along_axis(direction, logits.argmax(-1)[..., None], -1)
    pushed: Array = moved - (_softmax(logits) * moved).sum(-1, keepdims=True)
    return pushed


def _sums_of_others(terms: Array) -> Array:
    """For each term the sum of all the others: for terms that are not negative, neither difference nor sum cancels."""
    largest, rest = _split_off_largest(terms)
    sums: Array = rest + (largest - terms)
    return sums


def _split_off_largest(terms: Array) -> tuple[Array, Array]:
    """The term of largest magnitude of each row, and the sum of the rest of the row, both with the class axis kept."""
    if not terms.size:
        return terms, terms
    alone = np.where(_one_hot(np.abs(terms).argmax(-1), terms.shape[-1]), terms, 0)
    return alone.sum(-1, keepdims=True), (terms - alone).sum(-1, keepdims=True)


def _smoothed(shares: Array, smoothing: float, classes: int | None = None) -> Array:
    """(1 - smoothing) y + smoothing / classes; the classes are those of the row unless they are stated."""
    if not smoothing:
        return shares
    moved = shares.dtype.type(smoothing)
    smoothed: Array = (1 - moved) * shares + moved / (classes or shares.shape[-1])
    return smoothed


def _binary_losses(logits: Array, positive: Array, negative: Array) -> Array:
    """positive softplus(-x) + negative softplus(x), softplus(x) = max(x, 0) + log1p(exp(-|x|))."""
    tail = np.log1p(np.exp(-np.abs(logits)))
    return _scaled(positive, np.maximum(-logits, 0) + tail) + _scaled(negative, np.maximum(logits, 0) + tail)


def _binary_slopes(logits: Array, positive: Array, negative: Array) -> Array:
    """The derivative of `_binary_losses`: negative sigmoid(x) - positive sigmoid(-x)."""
    small = np.exp(-np.abs(logits))
    up, down = np.where(logits < 0, small, 1), np.where(logits < 0, 1, small)
    slopes: Array = (negative * up - positive * down) / (1 + small)
    return slopes


def _logit(p: Array) -> Array:
    """log p - log(1 - p), as log1p of what the odds exceed 1 by: neither p near 1/2 nor p near 1 cancels."""
    smaller = np.minimum(p, 1 - p)
    logits: Array = np.copysign(1, p - 0.5) * np.log1p((1 - 2 * smaller) / smaller)
    return logits


def _scaled(share: Array, term: Array) -> Array:
    """Share times term, 0 for a share of 0 even where the term is infinite: 0 log 0 = 0."""
    return np.where((share == 0) & np.isinf(term), 0, share * term)


def _keras_surprisal(probs: Array, axis: int, from_logits: bool) -> Array:
    """-log q of every class, where -log(p / sum) = log1p(sum of the others / p)."""
    rows = _rows(probs, axis)
    if from_logits:
        return _surprisal(rows)
    low, high = _keras_bounds(probs)
    q = rows / rows.sum(-1, keepdims=True)
    surprisal = np.log1p(_sums_of_others(rows) / rows)
    return np.where(q < low, -np.log(low), np.where(q > high, -np.log(high), surprisal))


def _keras_pull(probs: Array, shares: Array, axis: int, from_logits: bool) -> Array:
    """The derivative of the sum of shares times `_keras_surprisal`."""
    rows = _rows(probs, axis)
    if from_logits:
        return _softmax_pull(rows, shares)
    total = rows.sum(-1, keepdims=True)
    felt = np.where(_outside(rows / total, probs), 0, shares)
    pull: Array = (_sums_of_others(felt) - _scaled(felt, _sums_of_others(rows) / rows)) / total
    return pull


def _outside(q: Array, probs: Array) -> Array:
    """Where Keras clips, and no gradient passes."""
    low, high = _keras_bounds(probs)
    return (q < low) | (q > high)


def _keras_bounds(probs: Array) -> tuple[Array, Array]:
    """1e-7 and 1 - 1e-7 as the dtype of probs holds them: in half precision the upper one is 1."""
    bounds = np.array([KERAS_EPSILON, 1 - KERAS_EPSILON]).astype(probs.dtype)
    low, high = _wide(probs, bounds)
    return low, high


def _linear(features: Array, linear_weight: Array, linear_bias: Array | None) -> Array:
    """The logits of a linear layer in the wide type. Raises RuntimeError for shapes that do not fit."""
    if features.ndim not in (1, 2):
        raise RuntimeError(f"input: expected 1 or 2 dimensions, got {features.ndim}")
    if linear_weight.ndim > 2:
        raise NotImplementedError("linear_weight: only classes and features")
    if linear_weight.ndim < 2 or linear_weight.shape[1] != features.shape[-1]:
        raise RuntimeError(f"linear_weight: expected (C, {features.shape[-1]}), got {linear_weight.shape}")
    logits: Array = _wide(features, features) @ _wide(features, linear_weight).T
    if linear_bias is None:
        return logits
    if linear_bias.shape != linear_weight.shape[:1]:
        raise RuntimeError(f"linear_bias: expected shape {linear_weight.shape[:1]}, got {linear_bias.shape}")
    return logits + _wide(features, linear_bias)


# Targets and weights


def _holds_indices(target: Array) -> bool:
    return target.dtype.kind in "iu"


def _aims(
    logits: Array, target: Array, weight: Array | None, ignore_index: int, label_smoothing: float
) -> tuple[Array, Array, Any]:
    """The weighed and smoothed share of each class, which rows are kept, and what a mean divides by."""
    weights = _class_weights(weight, logits)
    if _holds_indices(target):
        labels, kept = _labels(target, logits, ignore_index)
        shares, total = _wide(logits, _one_hot(labels, weights.size)), _kept_weight(weights, labels, kept)
    else:
        shares = _class_rows(target, like=logits)
        kept, total = np.asarray(True), math.prod(shares.shape[:-1])
    return weights * _smoothed(shares, label_smoothing), kept, total


def _labels(target: Array, logits: Array, ignore_index: int) -> tuple[Array, Array]:
    """The labels, 0 in place of ignored ones, and which are kept, in the shape of the losses."""
    labels = target.astype(np.intp).reshape(_without_classes(logits))
    kept = labels != ignore_index
    labels = np.where(kept, labels, 0)
    classes = logits.shape[_class_axis(logits)]
    if ((labels < 0) | (labels >= classes)).any():
        raise IndexError(f"Target out of bounds: expected indices from 0 to {classes - 1} or {ignore_index}")
    return labels, kept


def _keras_labels(target: Array, probs: Array, ignore_class: int | None, axis: int) -> tuple[Array, Array]:
    """The labels, 0 in place of those that count for nothing, and which count."""
    if target.ndim == probs.ndim and target.shape[axis] == 1:
        target = target.squeeze(axis)
    expected = np.moveaxis(probs, axis, -1).shape[:-1]
    if target.shape != expected:
        raise ValueError(f"expected a target of shape {expected} for probs of shape {probs.shape}, got {target.shape}")
    labels = target.astype(np.intp)
    kept = (labels >= 0) & (labels < probs.shape[axis])
    if ignore_class is not None:
        kept &= labels != ignore_class
    return np.where(kept, labels, 0), kept


def _picked(rows: Array, labels: Array) -> Array:
    """The element of each row that its label names."""
    return np.take_along_axis(rows, labels[..., None], -1)[..., 0]


def _one_hot(labels: Array, classes: int) -> Array:
    return np.equal(labels[..., None], np.arange(classes))


def _class_weights(weight: Array | None, logits: Array) -> Array:
    classes = logits.shape[_class_axis(logits)]
    if weight is None:
        return np.ones(classes, _wide_type(logits))
    if weight.shape != (classes,):
        raise RuntimeError(f"weight: expected one number for each of {classes} classes, got shape {weight.shape}")
    return _wide(logits, weight)


def _kept_weight(weights: Array, labels: Array, kept: Array) -> Any:
    """What a mean divides by: NaN in place of 0, since smoothing may have added a loss to rows without weight."""
    return np.where(kept, weights[labels], 0).sum() or np.nan


def _element_weights(weight: Array | None, prediction: Array) -> Array:
    if weight is None:
        return np.ones((), _wide_type(prediction))
    try:
        return _wide(prediction, np.broadcast_to(weight, prediction.shape))
    except ValueError as error:
        raise RuntimeError(f"weight of shape {weight.shape} does not broadcast to {prediction.shape}") from error


# Reductions


def _reduced(losses: Array, total: Any, reduction: str, dtype: np.dtype[Any]) -> Array:
    """The losses, their sum, or their sum divided by `total`, rounded once; 0 / 0 is NaN."""
    if reduction == "none":
        return _rounded(losses, dtype)
    summed = losses.sum()
    return _rounded(summed / total if reduction == "mean" else summed, dtype)


def _row_scale(cotangent: Array, prediction: Array, reduction: str, total: Any) -> Array:
    """What each row of the gradient is multiplied by, with a class axis of length 1 at the end."""
    scale = _wide(prediction, cotangent)[..., None]
    return scale / total if reduction == "mean" else scale


def _element_scale(cotangent: Array, prediction: Array, reduction: str) -> Array:
    scale = _wide(prediction, cotangent)
    return scale / prediction.size if reduction == "mean" else scale


# Layout and width


def _class_axis(logits: Array) -> int:
    return min(1, logits.ndim - 1)


def _without_classes(logits: Array) -> tuple[int, ...]:
    axis = _class_axis(logits)
    return logits.shape[:axis] + logits.shape[axis + 1 :]


def _class_rows(array: Array, like: Array | None = None) -> Array:
    return _rows(array, _class_axis(array), like)


def _rows(array: Array, axis: int, like: Array | None = None) -> Array:
    """A wide copy with `axis` last, where NumPy adds the terms of a contiguous row pairwise."""
    return _moved(array, axis, -1).astype(_wide_type(array if like is None else like), order="C")


def _like(rows: Array, prediction: Array, axis: int | None = None) -> Array:
    """The rows rounded to the dtype of the prediction, the class axis back where it has it."""
    return _moved(rows.astype(prediction.dtype), -1, _class_axis(prediction) if axis is None else axis)


def _moved(array: Array, source: int, destination: int) -> Array:
    """`numpy.moveaxis`, without its three microseconds where nothing moves."""
    last = array.ndim - 1
    return array if last >= 0 and {source, destination} <= {-1, last} else np.moveaxis(array, source, destination)


def _rounded(values: Any, dtype: np.dtype[Any]) -> Array:
    return np.asarray(values).astype(dtype)


def _wide(prediction: Array, values: Any) -> Array:
    return np.asarray(values).astype(_wide_type(prediction))


def _wide_type(prediction: Array) -> type[np.floating[Any]]:
    if prediction.dtype.kind in "iub":
        raise TypeError(f"expected a floating prediction, got {prediction.dtype}")
    if prediction.size > MOST_ELEMENTS:
        raise NotImplementedError(f"{prediction.size} elements, which are widened here several times over")
    return np.longdouble if prediction.dtype in (np.float64, np.longdouble) else np.float64


# What torch and Keras refuse


def _check_cross_entropy(
    logits: Array, target: Array, ignore_index: int, reduction: str, label_smoothing: float
) -> None:
    _check_reduction(reduction)
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"label_smoothing: expected a number from 0 to 1, got {label_smoothing}")
    if _holds_indices(target):
        _check_index_target(logits, target)
    elif ignore_index >= 0:
        raise RuntimeError("ignore_index is not supported for a floating target")
    else:
        _check_target_shape(target, logits.shape)


def _linear_ignore_index(target: Array, ignore_index: int | None) -> int:
    """The label that is ignored; none may be stated beside probabilities."""
    if ignore_index is not None and not _holds_indices(target):
        raise RuntimeError("ignore_index is not supported for a floating target")
    return -100 if ignore_index is None else ignore_index


def _check_nll_loss(log_probs: Array, target: Array, reduction: str) -> None:
    _check_reduction(reduction)
    if not _holds_indices(target):
        raise RuntimeError(f"target: expected integers, got {target.dtype}")
    _check_index_target(log_probs, target)


def _check_index_target(logits: Array, target: Array) -> None:
    if logits.ndim == 0:
        raise ValueError("expected logits of 1 or more dimensions, got 0")
    if not (logits.ndim == 1 and target.shape == (1,)):
        _check_target_shape(target, _without_classes(logits))


def _check_target_shape(target: Array, expected: tuple[int, ...]) -> None:
    if target.shape != expected:
        same_batch = target.shape[:1] == expected[:1]
        raise (RuntimeError if same_batch else ValueError)(f"target: expected shape {expected}, got {target.shape}")


def _check_binary(prediction: Array, target: Array, reduction: str) -> None:
    _check_reduction(reduction)
    _check_equal_shapes(target, prediction)
    if _holds_indices(target):
        raise RuntimeError(f"target: expected floating numbers, got {target.dtype}")


def _check_equal_shapes(target: Array, prediction: Array) -> None:
    if target.shape != prediction.shape:
        raise ValueError(f"target: expected the shape of the prediction {prediction.shape}, got {target.shape}")


def _check_unit_interval(values: Array, name: str) -> None:
    if not ((values >= 0) & (values <= 1)).all():
        raise RuntimeError(f"all elements of {name} should be between 0 and 1")


def _check_reduction(reduction: str) -> None:
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction")
