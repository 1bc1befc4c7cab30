"""The forward saves lse = m + log s of each row, and everything else is exp(x - lse), as flash kernels have it."""

from __future__ import annotations

import numpy as np
from masks_and_reductions import Array, Formulas, losses, pairwise_sum, smoothing_constants


def lse(rows: Array) -> Array:
    m = rows.max(-1, keepdims=True, initial=-np.inf)
    return np.asarray(m + np.log(pairwise_sum(np.exp(rows - m)))[..., None])


def log_softmax(rows: Array) -> Array:
    return np.asarray(rows - lse(rows))


def label_losses(rows: Array, labels: Array, weight: Array | None, smoothing: float) -> Array:
    """lse - x_t; smoothed (1 - eps) (lse - x_t) + (eps / K) sum w_j (lse - x_j)."""
    normaliser = lse(rows)
    loss = (normaliser - np.take_along_axis(rows, labels[..., None], -1))[..., 0]
    loss = loss if weight is None else weight[labels] * loss
    if smoothing == 0:
        return np.asarray(loss)
    keep, share = smoothing_constants(smoothing, rows)
    gaps = normaliser - rows
    return np.asarray(keep * loss + share * pairwise_sum(gaps if weight is None else weight * gaps))


def label_slopes(c: Array, rows: Array, labels: Array, weight: Array | None, smoothing: float) -> Array:
    p = np.exp(rows - lse(rows))
    y = np.equal(labels[..., None], np.arange(rows.shape[-1])).astype(rows.dtype)
    if smoothing:
        keep, share = smoothing_constants(smoothing, rows)
        y = y * keep + share
    wy = y if weight is None else y * weight
    return np.asarray((p * pairwise_sum(wy)[..., None] - wy) * c[..., None])


globals().update(losses(Formulas(log_softmax=log_softmax, label_losses=label_losses, label_slopes=label_slopes)))
