"""The target logit is gathered before the sum; the gradient is a softmax from which the target is taken."""

from __future__ import annotations

import numpy as np
from masks_and_reductions import Array, Formulas, losses, pairwise_sum, smoothing_constants


def log_softmax(rows: Array) -> Array:
    m = rows.max(-1, keepdims=True, initial=-np.inf)
    return np.asarray(rows - m - np.log(pairwise_sum(np.exp(rows - m)))[..., None])


def label_losses(rows: Array, labels: Array, weight: Array | None, smoothing: float) -> Array:
    """log sum_k exp(x_k - m) + (m - x_t)."""
    m = rows.max(-1, initial=-np.inf)
    gap = m - np.take_along_axis(rows, labels[..., None], -1)[..., 0]
    logarithm = np.log(pairwise_sum(np.exp(rows - m[..., None])))
    w = 1 if weight is None else weight[labels]
    if smoothing == 0:
        return np.asarray(w * (logarithm + gap))
    keep, share = smoothing_constants(smoothing, rows)
    gaps = m[..., None] - rows + logarithm[..., None]
    return np.asarray(keep * (w * (logarithm + gap)) + share * pairwise_sum(gaps if weight is None else weight * gaps))


def label_slopes(c: Array, rows: Array, labels: Array, weight: Array | None, smoothing: float) -> Array:
    """p, 1 taken from the target in place, then one factor for each row."""
    p = np.exp(rows - rows.max(-1, keepdims=True, initial=-np.inf))
    p /= pairwise_sum(p)[..., None]
    where, w = labels[..., None], np.ones(labels.shape, rows.dtype) if weight is None else weight[labels]
    if smoothing == 0:
        np.put_along_axis(p, where, np.take_along_axis(p, where, -1) - 1, -1)
        return np.asarray(p * (c * w)[..., None])
    keep, share = smoothing_constants(smoothing, rows)
    shares = np.full_like(rows, share) if weight is None else np.broadcast_to(share * weight, rows.shape).copy()
    np.put_along_axis(shares, where, np.take_along_axis(shares, where, -1) + (keep * w)[..., None], -1)
    return np.asarray((pairwise_sum(shares)[..., None] * p - shares) * c[..., None])


globals().update(losses(Formulas(log_softmax=log_softmax, label_losses=label_losses, label_slopes=label_slopes)))
