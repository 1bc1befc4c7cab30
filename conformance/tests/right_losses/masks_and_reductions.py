"""What stands around a right loss's own formulas: arguments, masks, reductions, the way into and out of a dtype."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Dtype = np.dtype[Any]
Loss = Callable[..., Array]
OnRows = Callable[[Array], Array]
# Rows, labels or shares of the classes, class weights, smoothing.
RowLoss = Callable[[Array, Array, Array | None, float], Array]
# The same, after what the cotangent brings to each row.
RowSlope = Callable[[Array, Array, Array, Array | None, float], Array]
Logits = Callable[[Array, Array, Array | None], Array]
OnPairs = Callable[[Array, Array], Array]
# Probabilities, shares of the classes, the lower and the upper bound of Keras's clip.
Clipped = Callable[[Array, Array, Array, Array], Array]

REDUCTIONS = ("none", "mean", "sum")
KERAS_EPSILON = 1e-7
LOWEST_LOG = -100
LOWEST_DIVISOR = float(np.float32(1e-12))

# A worker runs one adapter: special values are what the goldens ask for.
np.seterr(all="ignore")


def own_dtype(dtype: Dtype) -> Dtype:
    """Every step in the dtype of the inputs."""
    return dtype


def half_in_float32(dtype: Dtype) -> Dtype:
    """Half dtypes in float32, as GPU kernels do."""
    return np.dtype(np.float32) if dtype.itemsize == 2 else dtype


def always_float64(dtype: Dtype) -> Dtype:
    """Everything in float64."""
    return np.dtype(np.float64)


def pairwise_sum(terms: Array) -> Array:
    """Sum over the last axis, halves with halves: ceil(log2 n) roundings in the dtype of the terms."""
    if terms.shape[-1] == 0:
        return np.zeros(terms.shape[:-1], terms.dtype)
    while terms.shape[-1] > 1:
        count = terms.shape[-1]
        paired = terms[..., 0 : count - count % 2 : 2] + terms[..., 1:count:2]
        terms = np.concatenate([paired, terms[..., count - 1 :]], axis=-1) if count % 2 else paired
    return terms[..., 0]


def mean_by_division(terms: Array, weights: Array, total: OnRows) -> Array:
    """Sum of the terms over the sum of the weights."""
    return np.asarray(total(terms) / total(weights))


def share_by_division(c: Array, weights: Array, total: OnRows) -> Array:
    """The cotangent over the sum of the weights."""
    return np.asarray(c / total(weights))


@dataclass(frozen=True)
class Formulas:
    """An implementation's own formulas, on wide arrays with the classes last; an operation without one is not offered.

    `inside` is the dtype of the steps, `reducing` that in which losses are added over rows, `total` a sum over the last
    axis. What is None is put together from the others. `any_target`: targets outside [0, 1] are factors like others.
    """

    inside: Callable[[Dtype], Dtype] = half_in_float32
    reducing: Callable[[Dtype], Dtype] = half_in_float32
    total: OnRows = pairwise_sum
    mean: Callable[[Array, Array, OnRows], Array] = mean_by_division
    share: Callable[[Array, Array, OnRows], Array] = share_by_division
    product: OnPairs = np.matmul
    log_softmax: OnRows | None = None
    softmax: OnRows | None = None
    log_softmax_pull: OnPairs | None = None
    label_losses: RowLoss | None = None
    label_slopes: RowSlope | None = None
    share_losses: RowLoss | None = None
    share_slopes: RowSlope | None = None
    logit_losses: Logits | None = None
    logit_slopes: Logits | None = None
    probability_losses: OnPairs | None = None
    probability_slopes: OnPairs | None = None
    any_target: bool = False
    clipped_losses: Clipped | None = None
    clipped_slopes: Clipped | None = None
    clipped_binary_losses: OnPairs | None = None
    clipped_binary_slopes: OnPairs | None = None
    distribution_losses: OnPairs | None = None
    distribution_slopes: OnPairs | None = None


def losses(formulas: Formulas) -> Mapping[str, Loss]:
    """The operations for which there are formulas, and their gradients, by the names that a worker looks for."""
    offered: dict[str, Loss] = {}
    if formulas.log_softmax:
        offered |= _over_classes(formulas) | _of_a_linear_layer(formulas) | _of_log_probabilities(formulas)
        offered |= _along_a_direction(formulas)
    if formulas.clipped_losses:
        offered |= _keras_over_classes(formulas)
    if formulas.logit_losses:
        offered |= _of_logits(formulas)
    if formulas.probability_losses:
        offered |= _of_probabilities(formulas)
    if formulas.logit_losses and formulas.clipped_binary_losses:
        offered |= _keras_binary(formulas)
    if formulas.distribution_losses:
        offered |= _of_distributions(formulas)
    return offered


def _over_classes(f: Formulas) -> dict[str, Loss]:
    label_losses, share_losses = f.label_losses or picked(f), f.share_losses or weighted(f)
    label_slopes, share_slopes = f.label_slopes or against_one_hot(f), f.share_slopes or against_shares(f)

    def cross_entropy(
        logits: Array,
        target: Array,
        *,
        weight: Array | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> Array:
        axis = checked_axis(logits, target, weight, ignore_index, reduction, label_smoothing)
        rows, w = rows_of(f, logits, axis), wide(f, weight, logits)
        if target.dtype.kind not in "iu":
            y = rows_of(f, target, axis, like=logits)
            return reduced(f, share_losses(rows, y, w, label_smoothing), None, reduction, logits.dtype)
        labels, kept = read_labels(target, rows.shape[-1], ignore_index)
        terms = np.where(kept, label_losses(rows, labels, w, label_smoothing), 0)
        return reduced(f, terms, kept_weights(f, labels, kept, w, logits), reduction, logits.dtype)

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
        axis = checked_axis(logits, target, weight, ignore_index, reduction, label_smoothing)
        rows, w = rows_of(f, logits, axis), wide(f, weight, logits)
        if target.dtype.kind not in "iu":
            c = scale(f, cotangent, None, rows.shape[:-1], reduction, logits.dtype)
            slopes = share_slopes(c, rows, rows_of(f, target, axis, like=logits), w, label_smoothing)
            return like(slopes, logits, axis)
        labels, kept = read_labels(target, rows.shape[-1], ignore_index)
        weights = kept_weights(f, labels, kept, w, logits)
        c = scale(f, cotangent, weights, rows.shape[:-1], reduction, logits.dtype)
        slopes = label_slopes(c, rows, labels, w, label_smoothing)
        return like(np.where(kept[..., None], slopes, 0), logits, axis)

    return {"cross_entropy": cross_entropy, "cross_entropy_vjp": cross_entropy_vjp}


def _of_a_linear_layer(f: Formulas) -> dict[str, Loss]:
    label_losses, share_losses = f.label_losses or picked(f), f.share_losses or weighted(f)
    label_slopes, share_slopes = f.label_slopes or against_one_hot(f), f.share_slopes or against_shares(f)

    def linear_cross_entropy(
        input: Array,
        linear_weight: Array,
        target: Array,
        *,
        linear_bias: Array | None = None,
        weight: Array | None = None,
        reduction: str = "mean",
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
    ) -> Array:
        rows = logits_of(f, input, linear_weight, linear_bias)
        checked_rows(rows, target, weight, ignore_index, reduction, label_smoothing)
        w = wide(f, weight, input)
        if target.dtype.kind not in "iu":
            terms = share_losses(rows, target.astype(rows.dtype), w, label_smoothing)
            return reduced(f, terms, None, reduction, input.dtype)
        labels, kept = read_labels(target, rows.shape[-1], ignore_index)
        terms = np.where(kept, label_losses(rows, labels, w, label_smoothing), 0)
        return reduced(f, terms, kept_weights(f, labels, kept, w, input), reduction, input.dtype)

    def slopes_of(
        cotangent: Array,
        input: Array,
        linear_weight: Array,
        target: Array,
        linear_bias: Array | None,
        weight: Array | None,
        reduction: str,
        ignore_index: int,
        label_smoothing: float,
    ) -> Array:
        rows = logits_of(f, input, linear_weight, linear_bias)
        checked_rows(rows, target, weight, ignore_index, reduction, label_smoothing)
        w, shape = wide(f, weight, input), rows.shape[:-1]
        if target.dtype.kind not in "iu":
            c = scale(f, cotangent, None, shape, reduction, input.dtype)
            return share_slopes(c, rows, target.astype(rows.dtype), w, label_smoothing)
        labels, kept = read_labels(target, rows.shape[-1], ignore_index)
        c = scale(f, cotangent, kept_weights(f, labels, kept, w, input), shape, reduction, input.dtype)
        return np.where(kept[..., None], label_slopes(c, rows, labels, w, label_smoothing), 0).astype(rows.dtype)

    def linear_cross_entropy_vjp(
        cotangent: Array,
        input: Array,
        linear_weight: Array,
        target: Array,
        *,
        linear_bias: Array | None = None,
        weight: Array | None = None,
        reduction: str = "mean",
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
    ) -> Array:
        slopes = slopes_of(
            cotangent, input, linear_weight, target, linear_bias, weight, reduction, ignore_index, label_smoothing
        )
        return product(f, slopes, linear_weight).astype(input.dtype)

    def linear_cross_entropy_vjp_linear_weight(
        cotangent: Array,
        input: Array,
        linear_weight: Array,
        target: Array,
        *,
        linear_bias: Array | None = None,
        weight: Array | None = None,
        reduction: str = "mean",
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
    ) -> Array:
        slopes = slopes_of(
            cotangent, input, linear_weight, target, linear_bias, weight, reduction, ignore_index, label_smoothing
        )
        flat, features = slopes.reshape(-1, linear_weight.shape[0]), input.reshape(-1, linear_weight.shape[1])
        counted = flat.any(-1)
        return product(f, flat[counted].T, features[counted]).astype(linear_weight.dtype)

    return {
        "linear_cross_entropy": linear_cross_entropy,
        "linear_cross_entropy_vjp": linear_cross_entropy_vjp,
        "linear_cross_entropy_vjp_linear_weight": linear_cross_entropy_vjp_linear_weight,
    }


def _along_a_direction(f: Formulas) -> dict[str, Loss]:
    assert f.log_softmax
    log_probabilities, softmax = f.log_softmax, f.softmax or exp_of(f)

    def log_softmax_jvp(direction: Array, logits: Array, *, axis: int = -1) -> Array:
        rows, v = rows_of(f, logits, axis), rows_of(f, direction, axis, like=logits)
        return like(v - f.total(softmax(rows) * v)[..., None], logits, axis)

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
        axis = checked_axis(logits, target, weight, ignore_index, reduction, label_smoothing)
        rows, w = rows_of(f, logits, axis), wide(f, weight, logits)
        c = scale(f, cotangent, None, rows.shape[:-1], reduction, logits.dtype)[..., None]
        surprisal = -log_probabilities(rows)
        slopes = c * (surprisal if w is None else w * surprisal)
        return like(slopes if label_smoothing == 0 else rows.dtype.type(1 - label_smoothing) * slopes, logits, axis)

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
        axis = checked_axis(logits, target, weight, ignore_index, reduction, label_smoothing)
        rows, v, w = rows_of(f, logits, axis), rows_of(f, direction, axis, like=logits), wide(f, weight, logits)
        y, kept, weights = effective(f, rows, target, w, ignore_index, label_smoothing, axis, logits)
        c = scale(f, cotangent, weights, rows.shape[:-1], reduction, logits.dtype)
        p = softmax(rows)
        pushed = (c * f.total(y))[..., None] * p * v
        return like(np.where(kept[..., None], pushed - p * f.total(pushed)[..., None], 0), logits, axis)

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
        axis = checked_axis(logits, target, weight, ignore_index, reduction, label_smoothing)
        rows, v, w = rows_of(f, logits, axis), rows_of(f, direction, axis, like=logits), wide(f, weight, logits)
        y, kept, weights = effective(f, rows, target, w, ignore_index, label_smoothing, axis, logits)
        pushed = v - f.total(softmax(rows) * v)[..., None]
        terms = np.where(kept, -f.total(np.where(y == 0, 0, y * pushed).astype(rows.dtype)), 0)
        return reduced(f, terms, weights, reduction, logits.dtype)

    return {
        "log_softmax_jvp": log_softmax_jvp,
        "cross_entropy_vjp_target": cross_entropy_vjp_target,
        "cross_entropy_hvp": cross_entropy_hvp,
        "cross_entropy_jvp": cross_entropy_jvp,
    }


def _of_log_probabilities(f: Formulas) -> dict[str, Loss]:
    assert f.log_softmax
    log_probabilities, pull = f.log_softmax, f.log_softmax_pull or pull_by_softmax(f)

    def log_softmax(logits: Array, *, axis: int = -1) -> Array:
        return like(log_probabilities(rows_of(f, logits, axis)), logits, axis)

    def log_softmax_vjp(cotangent: Array, logits: Array, *, axis: int = -1) -> Array:
        g = rows_of(f, cotangent, axis, like=logits)
        return like(pull(rows_of(f, logits, axis), g), logits, axis)

    def nll_loss(
        log_probs: Array,
        target: Array,
        *,
        weight: Array | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> Array:
        axis = checked_axis(log_probs, require_labels(target), weight, ignore_index, reduction, 0)
        rows, w = rows_of(f, log_probs, axis), wide(f, weight, log_probs)
        labels, kept = read_labels(target, rows.shape[-1], ignore_index)
        terms = -np.take_along_axis(rows, labels[..., None], -1)[..., 0]
        terms = np.where(kept, terms if w is None else w[labels] * terms, 0)
        return reduced(f, terms, kept_weights(f, labels, kept, w, log_probs), reduction, log_probs.dtype)

    def nll_loss_vjp(
        cotangent: Array,
        log_probs: Array,
        target: Array,
        *,
        weight: Array | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
    ) -> Array:
        axis = checked_axis(log_probs, require_labels(target), weight, ignore_index, reduction, 0)
        rows, w = rows_of(f, log_probs, axis), wide(f, weight, log_probs)
        labels, kept = read_labels(target, rows.shape[-1], ignore_index)
        weights = kept_weights(f, labels, kept, w, log_probs)
        c = scale(f, cotangent, weights, labels.shape, reduction, log_probs.dtype)
        slopes = np.zeros_like(rows)
        np.put_along_axis(slopes, labels[..., None], -(c if w is None else w[labels] * c)[..., None], -1)
        return like(np.where(kept[..., None], slopes, 0), log_probs, axis)

    return {
        "log_softmax": log_softmax,
        "log_softmax_vjp": log_softmax_vjp,
        "nll_loss": nll_loss,
        "nll_loss_vjp": nll_loss_vjp,
    }


def _keras_over_classes(f: Formulas) -> dict[str, Loss]:
    assert f.clipped_losses
    assert f.clipped_slopes
    clipped_losses, clipped_slopes = f.clipped_losses, f.clipped_slopes
    label_losses, share_losses = f.label_losses or picked(f), f.share_losses or weighted(f)
    label_slopes, share_slopes = f.label_slopes or against_one_hot(f), f.share_slopes or against_shares(f)

    def categorical_crossentropy(
        target: Array, probs: Array, *, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
    ) -> Array:
        rows, y = keras_rows(f, target, probs, label_smoothing, axis)
        values = share_losses(rows, y, None, 0) if from_logits else clipped_losses(rows, y, *bounds(probs, rows))
        return values.astype(probs.dtype)

    def categorical_crossentropy_vjp(
        cotangent: Array,
        target: Array,
        probs: Array,
        *,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
    ) -> Array:
        rows, y = keras_rows(f, target, probs, label_smoothing, axis)
        c = cotangent.astype(rows.dtype)
        if from_logits:
            return like(share_slopes(c, rows, y, None, 0), probs, axis)
        return like(c[..., None] * clipped_slopes(rows, y, *bounds(probs, rows)), probs, axis)

    def sparse_categorical_crossentropy(
        target: Array, probs: Array, *, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
    ) -> Array:
        rows = rows_of(f, probs, axis)
        labels, kept = keras_labels(target, rows, ignore_class)
        if from_logits:
            values = label_losses(rows, labels, None, 0)
        else:
            values = clipped_losses(rows, one_hot(labels, rows), *bounds(probs, rows))
        return np.where(kept, values, 0).astype(probs.dtype)

    def sparse_categorical_crossentropy_vjp(
        cotangent: Array,
        target: Array,
        probs: Array,
        *,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> Array:
        rows = rows_of(f, probs, axis)
        labels, kept = keras_labels(target, rows, ignore_class)
        c = cotangent.astype(rows.dtype)
        if from_logits:
            slopes = label_slopes(c, rows, labels, None, 0)
        else:
            slopes = c[..., None] * clipped_slopes(rows, one_hot(labels, rows), *bounds(probs, rows))
        return like(np.where(kept[..., None], slopes, 0), probs, axis)

    return {
        "categorical_crossentropy": categorical_crossentropy,
        "categorical_crossentropy_vjp": categorical_crossentropy_vjp,
        "sparse_categorical_crossentropy": sparse_categorical_crossentropy,
        "sparse_categorical_crossentropy_vjp": sparse_categorical_crossentropy_vjp,
    }


def _of_logits(f: Formulas) -> dict[str, Loss]:
    assert f.logit_losses
    assert f.logit_slopes
    logit_losses, logit_slopes = f.logit_losses, f.logit_slopes

    def binary_cross_entropy_with_logits(
        logits: Array,
        target: Array,
        *,
        weight: Array | None = None,
        pos_weight: Array | None = None,
        reduction: str = "mean",
    ) -> Array:
        x, y, w = elements(f, logits, target, weight, reduction)
        terms = logit_losses(x, y, spread(f, pos_weight, logits))
        return reduced(f, terms if w is None else w * terms, None, reduction, logits.dtype)

    def binary_cross_entropy_with_logits_vjp(
        cotangent: Array,
        logits: Array,
        target: Array,
        *,
        weight: Array | None = None,
        pos_weight: Array | None = None,
        reduction: str = "mean",
    ) -> Array:
        x, y, w = elements(f, logits, target, weight, reduction)
        slopes = logit_slopes(x, y, spread(f, pos_weight, logits))
        slopes = scale(f, cotangent, None, x.shape, reduction, logits.dtype) * slopes
        return np.asarray(slopes if w is None else w * slopes).astype(logits.dtype)

    def binary_cross_entropy_with_logits_vjp_target(
        cotangent: Array,
        logits: Array,
        target: Array,
        *,
        weight: Array | None = None,
        pos_weight: Array | None = None,
        reduction: str = "mean",
    ) -> Array:
        x, y, w = elements(f, logits, target, weight, reduction)
        slopes = logit_losses(x, np.ones_like(y), spread(f, pos_weight, logits)) - logit_losses(x, 0 * y, None)
        slopes = scale(f, cotangent, None, x.shape, reduction, logits.dtype) * slopes
        return np.asarray(slopes if w is None else w * slopes).astype(logits.dtype)

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
        x, y, w = elements(f, logits, target, weight, reduction)
        sigma = logit_slopes(x, 0 * y, None)
        v = spread(f, pos_weight, logits)
        curvature = sigma * -logit_slopes(x, np.ones_like(y), None) * (1 if v is None else 1 + (v - 1) * y)
        curvature = scale(f, cotangent, None, x.shape, reduction, logits.dtype) * direction.astype(x.dtype) * curvature
        return np.asarray(curvature if w is None else w * curvature).astype(logits.dtype)

    def binary_cross_entropy_with_logits_jvp(
        direction: Array,
        logits: Array,
        target: Array,
        *,
        weight: Array | None = None,
        pos_weight: Array | None = None,
        reduction: str = "mean",
    ) -> Array:
        x, y, w = elements(f, logits, target, weight, reduction)
        terms = logit_slopes(x, y, spread(f, pos_weight, logits)) * direction.astype(x.dtype)
        return reduced(f, terms if w is None else w * terms, None, reduction, logits.dtype)

    return {
        "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits,
        "binary_cross_entropy_with_logits_vjp": binary_cross_entropy_with_logits_vjp,
        "binary_cross_entropy_with_logits_vjp_target": binary_cross_entropy_with_logits_vjp_target,
        "binary_cross_entropy_with_logits_hvp": binary_cross_entropy_with_logits_hvp,
        "binary_cross_entropy_with_logits_jvp": binary_cross_entropy_with_logits_jvp,
    }


def _of_probabilities(f: Formulas) -> dict[str, Loss]:
    assert f.probability_losses
    assert f.probability_slopes
    probability_losses, probability_slopes = f.probability_losses, f.probability_slopes

    def binary_cross_entropy(
        probs: Array, target: Array, *, weight: Array | None = None, reduction: str = "mean"
    ) -> Array:
        p, y, w = elements(f, require_probabilities(probs), checked_target(f, target), weight, reduction)
        terms = probability_losses(p, y)
        return reduced(f, terms if w is None else w * terms, None, reduction, probs.dtype)

    def binary_cross_entropy_vjp(
        cotangent: Array, probs: Array, target: Array, *, weight: Array | None = None, reduction: str = "mean"
    ) -> Array:
        p, y, w = elements(f, require_probabilities(probs), checked_target(f, target), weight, reduction)
        slopes = probability_slopes(p, y)
        slopes = scale(f, cotangent, None, p.shape, reduction, probs.dtype) * slopes
        return np.asarray(slopes if w is None else w * slopes).astype(probs.dtype)

    return {"binary_cross_entropy": binary_cross_entropy, "binary_cross_entropy_vjp": binary_cross_entropy_vjp}


def _keras_binary(f: Formulas) -> dict[str, Loss]:
    assert f.logit_losses
    assert f.logit_slopes
    assert f.clipped_binary_losses
    assert f.clipped_binary_slopes
    logit_losses, logit_slopes = f.logit_losses, f.logit_slopes
    clipped_losses, clipped_slopes = f.clipped_binary_losses, f.clipped_binary_slopes

    def binary_crossentropy(
        target: Array, probs: Array, *, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
    ) -> Array:
        rows, y = keras_rows(f, target, probs, label_smoothing, axis, parts=2)
        terms = logit_losses(rows, y, None) if from_logits else clipped_losses(clipped(rows, probs), y)
        terms = terms.astype(f.reducing(probs.dtype))
        return f.mean(terms, np.ones(terms.shape[-1:], terms.dtype), f.total).astype(probs.dtype)

    def binary_crossentropy_vjp(
        cotangent: Array,
        target: Array,
        probs: Array,
        *,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
    ) -> Array:
        rows, y = keras_rows(f, target, probs, label_smoothing, axis, parts=2)
        counted = np.ones(rows.shape[-1], f.reducing(probs.dtype))
        c = f.share(cotangent.astype(counted.dtype), counted, f.total).astype(rows.dtype)[..., None]
        if from_logits:
            return like(c * logit_slopes(rows, y, None), probs, axis)
        q = clipped(rows, probs)
        return like(np.where((q == rows) | np.isnan(q), c * clipped_slopes(q, y), 0), probs, axis)

    return {"binary_crossentropy": binary_crossentropy, "binary_crossentropy_vjp": binary_crossentropy_vjp}


def _of_distributions(f: Formulas) -> dict[str, Loss]:
    assert f.distribution_losses
    assert f.distribution_slopes
    distribution_losses, distribution_slopes = f.distribution_losses, f.distribution_slopes

    def distribution_cross_entropy(p: Array, q: Array, *, reduction: str = "mean") -> Array:
        check(reduction, p.shape == q.shape)
        terms = distribution_losses(rows_of(f, p, -1, like=q), rows_of(f, q, -1))
        return reduced(f, terms, None, reduction, q.dtype)

    def distribution_cross_entropy_vjp(cotangent: Array, p: Array, q: Array, *, reduction: str = "mean") -> Array:
        check(reduction, p.shape == q.shape)
        c = scale(f, cotangent, None, q.shape[:-1], reduction, q.dtype)
        slopes = distribution_slopes(rows_of(f, p, -1, like=q), rows_of(f, q, -1))
        return np.asarray(c[..., None] * slopes).astype(q.dtype)

    return {
        "distribution_cross_entropy": distribution_cross_entropy,
        "distribution_cross_entropy_vjp": distribution_cross_entropy_vjp,
    }


# Losses of rows from log-probabilities and probabilities


def picked(f: Formulas) -> RowLoss:
    """-w_t l_t, smoothed over the classes."""
    assert f.log_softmax
    log_softmax = f.log_softmax

    def label_losses(rows: Array, labels: Array, weight: Array | None, smoothing: float) -> Array:
        l = log_softmax(rows)
        terms = -(l if weight is None else weight * l)
        chosen = np.take_along_axis(terms, labels[..., None], -1)[..., 0]
        if smoothing == 0:
            return chosen
        keep, share = smoothing_constants(smoothing, rows)
        return np.asarray(keep * chosen + share * f.total(terms))

    return label_losses


def weighted(f: Formulas) -> RowLoss:
    """-sum_j (w_j y_j) l_j of smoothed shares."""
    assert f.log_softmax
    log_softmax = f.log_softmax

    def share_losses(rows: Array, y: Array, weight: Array | None, smoothing: float) -> Array:
        y = smoothed(y, smoothing)
        return -f.total((y if weight is None else weight * y) * log_softmax(rows))

    return share_losses


def against_one_hot(f: Formulas) -> RowSlope:
    """The gradient for an index is that for its one-hot shares."""
    share_slopes = f.share_slopes or against_shares(f)

    def label_slopes(c: Array, rows: Array, labels: Array, weight: Array | None, smoothing: float) -> Array:
        return share_slopes(c, rows, one_hot(labels, rows), weight, smoothing)

    return label_slopes


def against_shares(f: Formulas) -> RowSlope:
    """c (W p_j - w_j y_j), W = sum_j w_j y_j."""
    softmax = f.softmax or exp_of(f)

    def share_slopes(c: Array, rows: Array, y: Array, weight: Array | None, smoothing: float) -> Array:
        y = smoothed(y, smoothing)
        wy = y if weight is None else weight * y
        return np.asarray(c[..., None] * (f.total(wy)[..., None] * softmax(rows) - wy))

    return share_slopes


def pull_by_softmax(f: Formulas) -> OnPairs:
    """g_j - p_j sum_k g_k."""
    softmax = f.softmax or exp_of(f)
    return lambda rows, g: np.asarray(g - softmax(rows) * f.total(g)[..., None])


def exp_of(f: Formulas) -> OnRows:
    """Probabilities as exponentials of the log-probabilities."""
    assert f.log_softmax
    log_softmax = f.log_softmax
    return lambda rows: np.exp(log_softmax(rows))


def smoothing_constants(smoothing: float, rows: Array) -> tuple[Any, Any]:
    """1 - eps and eps / K in the dtype of the rows."""
    held = rows.dtype.type
    return held(1 - smoothing), held(smoothing / rows.shape[-1])


def smoothed(y: Array, smoothing: float) -> Array:
    """(1 - eps) y + eps / K."""
    if smoothing == 0:
        return y
    keep, share = smoothing_constants(smoothing, y)
    return np.asarray(keep * y + share)


def one_hot(labels: Array, rows: Array) -> Array:
    """1 at each row's label, 0 elsewhere."""
    return np.equal(labels[..., None], np.arange(rows.shape[-1])).astype(rows.dtype)


# Arguments


def check(reduction: str, *fits: bool) -> None:
    """Raise ValueError for an unknown reduction, or for what does not fit."""
    if reduction not in REDUCTIONS or not all(fits):
        raise ValueError("bad argument")


def checked_axis(
    logits: Array, target: Array, weight: Array | None, ignore_index: int, reduction: str, smoothing: float
) -> int:
    """The class axis; raises ValueError for arguments that torch refuses."""
    check(reduction, 0 <= smoothing <= 1, logits.ndim > 0)
    axis = min(1, logits.ndim - 1)
    rows = np.moveaxis(logits, axis, -1)
    probabilities = target.dtype.kind not in "iu" and target.shape == logits.shape
    checked_rows(rows, np.moveaxis(target, axis, -1) if probabilities else target, weight, ignore_index, reduction, 0)
    return axis


def checked_rows(
    rows: Array, target: Array, weight: Array | None, ignore_index: int, reduction: str, smoothing: float
) -> None:
    """Raise ValueError for what does not fit rows with the classes last."""
    indices = target.dtype.kind in "iu"
    check(reduction, 0 <= smoothing <= 1, target.shape == (rows.shape[:-1] if indices else rows.shape))
    check(reduction, weight is None or weight.shape == rows.shape[-1:], indices or ignore_index < 0)


def require_labels(target: Array) -> Array:
    """Raise ValueError for labels that are no integers."""
    check("none", target.dtype.kind in "iu")
    return target


def require_probabilities(values: Array) -> Array:
    """Raise ValueError for values outside [0, 1]."""
    check("none", bool(((values >= 0) & (values <= 1)).all()))
    return values


def checked_target(f: Formulas, target: Array) -> Array:
    """Raise ValueError for targets that these formulas do not take."""
    return target if f.any_target else require_probabilities(target)


def read_labels(target: Array, classes: int, ignore_index: int | None) -> tuple[Array, Array]:
    """Labels, 0 in place of ignored ones, and which are kept; raises IndexError for one that is no class."""
    labels = target.astype(np.int64)
    kept = np.ones(labels.shape, bool) if ignore_index is None else labels != ignore_index
    labels = np.where(kept, labels, 0)
    if ((labels < 0) | (labels >= classes)).any():
        raise IndexError("a label is no class")
    return labels, kept


def keras_labels(target: Array, rows: Array, ignore_class: int | None) -> tuple[Array, Array]:
    """Labels of the rows, and which are kept."""
    check("none", target.shape == rows.shape[:-1])
    return read_labels(target, rows.shape[-1], ignore_class)


def keras_rows(
    f: Formulas, target: Array, probs: Array, smoothing: float, axis: int, parts: int | None = None
) -> tuple[Array, Array]:
    """Rows of predictions and of smoothed targets."""
    check("none", target.shape == probs.shape)
    rows, y = rows_of(f, probs, axis), rows_of(f, target, axis, like=probs)
    if smoothing:
        held = y.dtype.type
        y = held(1 - smoothing) * y + held(smoothing / (parts or y.shape[-1]))
    return rows, y


def bounds(probs: Array, rows: Array) -> tuple[Array, Array]:
    """Keras's 1e-7 and 1 - 1e-7 as the dtype of the probabilities holds them."""
    low, high = np.array([KERAS_EPSILON, 1 - KERAS_EPSILON]).astype(probs.dtype).astype(rows.dtype)
    return low, high


def clipped(rows: Array, probs: Array) -> Array:
    """The rows within Keras's bounds."""
    return np.clip(rows, *bounds(probs, rows))


def elements(
    f: Formulas, prediction: Array, target: Array, weight: Array | None, reduction: str
) -> tuple[Array, Array, Array | None]:
    """Predictions, targets and weights of equal shapes; raises ValueError where they do not fit."""
    check(reduction, target.shape == prediction.shape)
    dtype = f.inside(prediction.dtype)
    return prediction.astype(dtype), target.astype(dtype), spread(f, weight, prediction)


def spread(f: Formulas, weight: Array | None, prediction: Array) -> Array | None:
    """Weights broadcast to the elements."""
    return None if weight is None else np.broadcast_to(weight, prediction.shape).astype(f.inside(prediction.dtype))


# The way in and out, and reductions


def logits_of(f: Formulas, features: Array, matrix: Array, bias: Array | None) -> Array:
    """The rows of a linear layer."""
    check("none", matrix.ndim == 2, features.shape[-1:] == matrix.shape[1:])
    check("none", bias is None or bias.shape == matrix.shape[:1])
    held = f.inside(features.dtype)
    rows = product(f, features.astype(held), matrix.T)
    return rows if bias is None else rows + bias.astype(held)


def product(f: Formulas, left: Array, right: Array) -> Array:
    """A matrix product; that of half dtypes adds in float32 and rounds once."""
    held = half_in_float32(left.dtype)
    return f.product(left.astype(held), right.astype(held)).astype(left.dtype)


def effective(
    f: Formulas,
    rows: Array,
    target: Array,
    weight: Array | None,
    ignore_index: int,
    smoothing: float,
    axis: int,
    logits: Array,
) -> tuple[Array, Array, Array | None]:
    """w_j y_j of the smoothed target, which rows are kept, and the weights of a mean."""
    if target.dtype.kind in "iu":
        labels, kept = read_labels(target, rows.shape[-1], ignore_index)
        y, weights = one_hot(labels, rows), kept_weights(f, labels, kept, weight, logits)
    else:
        y, kept, weights = rows_of(f, target, axis, like=logits), np.ones(rows.shape[:-1], bool), None
    y = smoothed(y, smoothing)
    return (y if weight is None else weight * y), kept, weights


def rows_of(f: Formulas, tensor: Array, axis: int, like: Array | None = None) -> Array:
    """A wide copy with `axis` last; raises AxisError for an axis that there is not."""
    dtype = f.inside((tensor if like is None else like).dtype)
    return np.moveaxis(tensor, axis, -1).astype(dtype, order="C")


def wide(f: Formulas, weight: Array | None, prediction: Array) -> Array | None:
    """Class weights in the dtype of the steps."""
    return None if weight is None else weight.astype(f.inside(prediction.dtype))


def like(rows: Array, prediction: Array, axis: int) -> Array:
    """The rows rounded to the prediction's dtype, the classes back at `axis`."""
    return np.moveaxis(rows.astype(prediction.dtype), -1, axis)


def kept_weights(f: Formulas, labels: Array, kept: Array, weight: Array | None, prediction: Array) -> Array:
    """The weight of each kept row, 0 of an ignored one."""
    ones = np.ones(labels.shape, f.inside(prediction.dtype))
    return np.where(kept, ones if weight is None else weight[labels], 0)


def reduced(f: Formulas, terms: Array, weights: Array | None, reduction: str, dtype: Dtype) -> Array:
    """The losses, their sum, or their mean, rounded once."""
    if reduction == "none":
        return terms.astype(dtype)
    flat = terms.ravel().astype(f.reducing(dtype))
    if reduction == "sum":
        return np.asarray(f.total(flat)).astype(dtype)
    counted = np.ones(flat.size, flat.dtype) if weights is None else weights.ravel().astype(flat.dtype)
    return np.asarray(f.mean(flat, counted, f.total)).astype(dtype)


def scale(
    f: Formulas, cotangent: Array, weights: Array | None, shape: tuple[int, ...], reduction: str, dtype: Dtype
) -> Array:
    """What the cotangent brings to each row: itself, or for a mean its share."""
    held = f.reducing(dtype)
    c = cotangent.astype(held)
    if reduction == "mean":
        counted = np.ones(shape, held) if weights is None else weights.astype(held)
        c = f.share(c, counted.ravel(), f.total)
    return np.broadcast_to(c.astype(f.inside(dtype)), shape)
