"""Losses put together from the steps that right and wrong implementations take differently; torch's rules."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Loss = Callable[..., Array]


def pairwise_sum(terms: Array) -> Array:
    """Sum over the last axis, halves with halves: ceil(log2 n) roundings in the dtype of the terms."""
    if terms.shape[-1] == 0:
        return np.zeros(terms.shape[:-1], terms.dtype)
    while terms.shape[-1] > 1:
        count = terms.shape[-1]
        paired = terms[..., 0 : count - count % 2 : 2] + terms[..., 1:count:2]
        terms = np.concatenate([paired, terms[..., count - 1 :]], axis=-1) if count % 2 else paired
    return terms[..., 0]


def shifted_log_softmax(rows: Array, total: Callable[[Array], Array]) -> Array:
    """(x - m) - log sum exp(x - m)."""
    shifted = rows - rows.max(-1, keepdims=True, initial=-np.inf)
    log_probabilities: Array = shifted - np.log(total(np.exp(shifted)))[..., None]
    return log_probabilities


def plain_softplus(z: Array) -> Array:
    """max(z, 0) + log(1 + exp(-|z|))."""
    one = z.dtype.type(1)
    softplus: Array = np.maximum(z, z.dtype.type(0)) + np.log(one + np.exp(-np.abs(z)))
    return softplus


def stable_sigmoid(x: Array) -> Array:
    """1 / (1 + e) or e / (1 + e), with e = exp(-|x|)."""
    one, e = x.dtype.type(1), np.exp(-np.abs(x))
    quotient: Array = np.where(x < 0, e, one) / (one + e)
    return np.where(np.isnan(x), x, quotient)


def own_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Every step in the dtype of the inputs."""
    return dtype


def half_in_float32(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Half dtypes in float32, as GPU kernels do."""
    return np.dtype(np.float32) if dtype.itemsize == 2 else dtype


def always_float64(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Everything in float64."""
    return np.dtype(np.float64)


@dataclass(frozen=True)
class Steps:
    """What an implementation does at each step; the defaults are the reference algorithm.

    `inside` is the dtype in which the steps are taken, `reducing` the one in which losses are added over rows.
    """

    inside: Callable[[np.dtype[Any]], np.dtype[Any]] = own_dtype
    reducing: Callable[[np.dtype[Any]], np.dtype[Any]] = half_in_float32
    read: Callable[[Array], Array] = lambda x: x
    total: Callable[[Array], Array] = pairwise_sum
    log_softmax: Callable[[Array, Callable[[Array], Array]], Array] = shifted_log_softmax
    softmax: Callable[[Array, Array], Array] = lambda rows, log_probabilities: np.exp(log_probabilities)
    softplus: Callable[[Array], Array] = plain_softplus
    sigmoid: Callable[[Array], Array] = stable_sigmoid
    cotangent: Callable[[Array], Array] = lambda c: c
    denominator: Callable[[Array, Array], Array] = lambda kept_weights, kept: kept_weights
    smoothing_classes: Callable[[int], int] = lambda classes: classes
    class_axis: Callable[[int], int] = lambda axes: min(1, axes - 1)
    is_ignored: Callable[[Array, int], Array] = lambda target, ignore_index: target == ignore_index
    finish: Callable[[Array], Array] = lambda answer: answer
    ignored_gradient: bool = False


def losses(steps: Steps) -> tuple[Loss, Loss, Loss, Loss, Loss, Loss]:
    """cross_entropy, log_softmax, binary_cross_entropy_with_logits, and the gradients of each."""

    def wide(x: Array, like: Array) -> Array:
        return x.astype(steps.inside(like.dtype))

    def to_rows(x: Array, axis: int) -> Array:
        return np.moveaxis(x, axis, -1)

    def reduced(terms: Array, weights: Array | None, reduction: str, dtype: np.dtype[Any]) -> Array:
        if reduction == "none":
            return terms.astype(dtype)
        added = steps.total(terms.ravel().astype(steps.reducing(dtype)))
        if reduction == "mean":
            counted = np.ones(terms.size, added.dtype) if weights is None else weights.ravel().astype(added.dtype)
            added = added / steps.total(counted)
        return np.asarray(added).astype(dtype)

    def scale(cotangent: Array, weights: Array | None, count: int, reduction: str, dtype: np.dtype[Any]) -> Array:
        c = steps.cotangent(cotangent)
        if reduction != "mean":
            return c.astype(steps.inside(dtype))
        kept = np.ones(count) if weights is None else weights.ravel()
        added = steps.total(kept.astype(steps.reducing(dtype)))
        scaled: Array = np.asarray(c.astype(added.dtype) / added).astype(steps.inside(dtype))
        return scaled

    def constants(smoothing: float, classes: int, dtype: np.dtype[Any]) -> tuple[Any, Any]:
        held = dtype.type
        return held(1 - smoothing), held(smoothing / steps.smoothing_classes(classes))

    def read_labels(target: Array, classes: int, ignore_index: int) -> tuple[Array, Array]:
        kept = ~steps.is_ignored(target, ignore_index)
        labels = np.where(kept, target, 0).astype(np.int64)
        if ((labels < 0) | (labels >= classes)).any():
            raise IndexError("a label is no class")
        return labels, kept

    def check(logits: Array, target: Array, weight: Array | None, reduction: str, smoothing: float) -> None:
        if reduction not in ("none", "mean", "sum") or not 0 <= smoothing <= 1 or logits.ndim == 0:
            raise ValueError("bad parameter")
        axis = steps.class_axis(logits.ndim)
        without = logits.shape[:axis] + logits.shape[axis + 1 :]
        wanted = logits.shape if target.dtype.kind not in "iu" else without
        if target.shape != wanted or (weight is not None and weight.shape != (logits.shape[axis],)):
            raise ValueError("shapes do not fit")

    def prepared(logits: Array, weight: Array | None) -> tuple[int, Array, Array | None]:
        axis = steps.class_axis(logits.ndim)
        rows = to_rows(wide(steps.read(logits), logits), axis)
        return axis, rows, None if weight is None else wide(weight, logits)

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
        check(logits, target, weight, reduction, label_smoothing)
        axis, rows, w = prepared(logits, weight)
        classes = rows.shape[-1]
        l = steps.log_softmax(rows, steps.total)
        keep, share = constants(label_smoothing, classes, l.dtype)
        if target.dtype.kind not in "iu":
            y = to_rows(wide(target, logits), axis)
            y = y if label_smoothing == 0 else keep * y + share
            terms = -steps.total((y if w is None else w * y) * l)
            return steps.finish(reduced(terms, None, reduction, logits.dtype))
        labels, kept = read_labels(target, classes, ignore_index)
        terms = -(l if w is None else w * l)
        picked = np.take_along_axis(terms, labels[..., None], -1)[..., 0]
        if label_smoothing:
            picked = keep * picked + share * steps.total(terms)
        weights = (np.ones(classes, l.dtype) if w is None else w)[labels] * kept
        return steps.finish(
            reduced(np.where(kept, picked, 0), steps.denominator(weights, kept), reduction, logits.dtype)
        )

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
        check(logits, target, weight, reduction, label_smoothing)
        axis, rows, w = prepared(logits, weight)
        classes = rows.shape[-1]
        keep, share = constants(label_smoothing, classes, rows.dtype)
        weights, kept = None, np.ones(rows.shape[:-1], bool)
        if target.dtype.kind in "iu":
            labels, kept = read_labels(target, classes, ignore_index)
            y = np.equal(labels[..., None], np.arange(classes)).astype(rows.dtype)
            weights = (np.ones(classes, rows.dtype) if w is None else w)[labels] * kept
            weights = steps.denominator(weights, kept)
        else:
            y = to_rows(wide(target, logits), axis)
        y = y if label_smoothing == 0 else keep * y + share
        wy = y if w is None else w * y
        c = scale(cotangent, weights, kept.size, reduction, logits.dtype)[..., None]
        p = steps.softmax(rows, steps.log_softmax(rows, steps.total))
        slopes = c * (steps.total(wy)[..., None] * p - wy)
        if not steps.ignored_gradient:
            slopes = np.where(kept[..., None], slopes, 0)
        return steps.finish(np.moveaxis(slopes, -1, axis).astype(logits.dtype))

    @np.errstate(all="ignore")
    def log_softmax(logits: Array, *, axis: int = -1) -> Array:
        rows = to_rows(wide(steps.read(logits), logits), axis)
        return steps.finish(np.moveaxis(steps.log_softmax(rows, steps.total), -1, axis).astype(logits.dtype))

    @np.errstate(all="ignore")
    def log_softmax_vjp(cotangent: Array, logits: Array, *, axis: int = -1) -> Array:
        rows, g = to_rows(wide(steps.read(logits), logits), axis), to_rows(wide(cotangent, logits), axis)
        g = steps.cotangent(g)
        p = steps.softmax(rows, steps.log_softmax(rows, steps.total))
        slopes = g - p * steps.total(g)[..., None]
        return steps.finish(np.moveaxis(slopes, -1, axis).astype(logits.dtype))

    def binary(logits: Array, target: Array, reduction: str, *weights: Array | None) -> tuple[Array, ...]:
        if reduction not in ("none", "mean", "sum") or target.shape != logits.shape:
            raise ValueError("bad parameter")
        one = np.ones((), steps.inside(logits.dtype))
        spread = [one if w is None else np.broadcast_to(wide(w, logits), logits.shape) for w in weights]
        return wide(steps.read(logits), logits), wide(target, logits), *spread

    @np.errstate(all="ignore")
    def bce(
        logits: Array,
        target: Array,
        *,
        weight: Array | None = None,
        pos_weight: Array | None = None,
        reduction: str = "mean",
    ) -> Array:
        x, y, w, v = binary(logits, target, reduction, weight, pos_weight)
        one = y.dtype.type(1)
        terms = (one - y) * x + (one if pos_weight is None else one + (v - one) * y) * steps.softplus(-x)
        positive, negative = v * y, one - y
        limit = np.where(positive == 0, 0, positive * steps.softplus(-x))
        limit = limit + np.where(negative == 0, 0, negative * steps.softplus(x))
        terms = np.where(np.isinf(x), limit, terms)
        return steps.finish(reduced(terms if weight is None else w * terms, None, reduction, logits.dtype))

    @np.errstate(all="ignore")
    def bce_vjp(
        cotangent: Array,
        logits: Array,
        target: Array,
        *,
        weight: Array | None = None,
        pos_weight: Array | None = None,
        reduction: str = "mean",
    ) -> Array:
        x, y, w, v = binary(logits, target, reduction, weight, pos_weight)
        one = y.dtype.type(1)
        sigma = steps.sigmoid(x)
        slopes = sigma - y if pos_weight is None else (one + (v - one) * y) * sigma - v * y
        slopes = scale(cotangent, None, math.prod(x.shape), reduction, logits.dtype) * slopes
        return steps.finish((slopes if weight is None else w * slopes).astype(logits.dtype))

    return cross_entropy, cross_entropy_vjp, log_softmax, log_softmax_vjp, bce, bce_vjp
