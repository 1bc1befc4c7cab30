"""Keras's losses of probabilities through log-softmax of their logarithms: log q = log p - lse(log p)."""

from __future__ import annotations

import numpy as np
from masks_and_reductions import Array, Formulas, losses, pairwise_sum


def log_softmax(rows: Array) -> Array:
    shifted = rows - rows.max(-1, keepdims=True, initial=-np.inf)
    return np.asarray(shifted - np.log(pairwise_sum(np.exp(shifted)))[..., None])


def clipped_losses(p: Array, y: Array, low: Array, high: Array) -> Array:
    return -pairwise_sum(y * np.clip(log_softmax(np.log(p)), np.log(low), np.log(high)))


def clipped_slopes(p: Array, y: Array, low: Array, high: Array) -> Array:
    """F / sum p - f_j / p_j, f the shares that the clip lets through, F their sum."""
    l = log_softmax(np.log(p))
    felt = np.where((l < np.log(low)) | (l > np.log(high)), 0, y).astype(p.dtype)
    whole = pairwise_sum(felt)[..., None]
    slopes = whole / pairwise_sum(p)[..., None] - np.where(felt == 0, 0, felt / p)
    return np.where(np.isnan(l), l, slopes).astype(p.dtype)


globals().update(
    losses(Formulas(log_softmax=log_softmax, clipped_losses=clipped_losses, clipped_slopes=clipped_slopes))
)
