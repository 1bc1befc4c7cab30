"""lse(x) - x_t without a shift, lse by logaddexp of one class after the other."""

from __future__ import annotations

import numpy as np
from masks_and_reductions import Array, Formulas, losses, smoothing_constants


def lse(rows: Array) -> Array:
    """A row that holds +inf, or nothing but -inf, has no finite normaliser."""
    total = np.logaddexp.reduce(rows, -1, keepdims=True, initial=-np.inf)
    return np.where(np.isinf(total), np.nan, total).astype(rows.dtype)


def log_softmax(rows: Array) -> Array:
    return np.asarray(rows - lse(rows))


def label_losses(rows: Array, labels: Array, weight: Array | None, smoothing: float) -> Array:
    surprisal = lse(rows) - rows
    weighed = surprisal if weight is None else surprisal * weight
    loss = np.take_along_axis(weighed, labels[..., None], -1)[..., 0]
    if smoothing == 0:
        return loss
    keep, share = smoothing_constants(smoothing, rows)
    return np.asarray(keep * loss + share * weighed.sum(-1))


globals().update(losses(Formulas(log_softmax=log_softmax, label_losses=label_losses)))
