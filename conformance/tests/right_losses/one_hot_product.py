"""A product with the one-hot target, the weights and the smoothing folded into it; no index is looked up."""

from __future__ import annotations

import numpy as np
from masks_and_reductions import Array, Formulas, losses, pairwise_sum, smoothing_constants


def log_softmax(rows: Array) -> Array:
    shifted = rows - np.amax(rows, -1, keepdims=True, initial=-np.inf)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))


def folded(rows: Array, labels: Array, weight: Array | None, smoothing: float) -> Array:
    """w_j y_j, y the smoothed one-hot target."""
    y = np.eye(rows.shape[-1], dtype=rows.dtype)[labels] if rows.shape[-1] < 5000 else scattered(rows, labels)
    if smoothing:
        keep, share = smoothing_constants(smoothing, rows)
        y = y * keep + share
    return y if weight is None else y * weight


def scattered(rows: Array, labels: Array) -> Array:
    y = np.zeros_like(rows)
    np.put_along_axis(y, labels[..., None], 1, -1)
    return y


def label_losses(rows: Array, labels: Array, weight: Array | None, smoothing: float) -> Array:
    """-<w y, l>; a share of 0 takes no part, or a class that cannot occur would give 0 times infinity."""
    wy = folded(rows, labels, weight, smoothing)
    named = np.where(scattered(rows, labels) == 0, wy == 0, False)
    return -pairwise_sum(np.where(named, 0, wy * log_softmax(rows)).astype(rows.dtype))


def label_slopes(c: Array, rows: Array, labels: Array, weight: Array | None, smoothing: float) -> Array:
    """(c W) p - (c w) y: scaled first, subtracted last."""
    wy = folded(rows, labels, weight, smoothing) * c[..., None]
    shifted = np.exp(rows - np.amax(rows, -1, keepdims=True, initial=-np.inf))
    return np.asarray(pairwise_sum(wy)[..., None] * (shifted / pairwise_sum(shifted)[..., None]) - wy)


globals().update(losses(Formulas(log_softmax=log_softmax, label_losses=label_losses, label_slopes=label_slopes)))
