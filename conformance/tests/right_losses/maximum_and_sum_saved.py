"""The forward saves m and log s of each row; the backward recomputes exp((x - m) - log s) from them."""

from __future__ import annotations

import numpy as np
from masks_and_reductions import Array, Formulas, losses, pairwise_sum


def saved(rows: Array) -> tuple[Array, Array]:
    m = rows.max(-1, keepdims=True, initial=-np.inf)
    return m, np.log(np.exp(rows - m).sum(-1, keepdims=True))


def log_softmax(rows: Array) -> Array:
    m, log_s = saved(rows)
    return np.asarray((rows - m) - log_s)


def log_softmax_pull(rows: Array, g: Array) -> Array:
    """g_j (1 - p_j) - p_j sum of the other g, without a difference of g_j and its own share."""
    m, log_s = saved(rows)
    p = np.exp((rows - m) - log_s)
    return np.asarray(g - p * pairwise_sum(g)[..., None])


def label_slopes(c: Array, rows: Array, labels: Array, weight: Array | None, smoothing: float) -> Array:
    """exp((x - m) - log s) c W, less c w_j y_j where y_j is not 0."""
    m, log_s = saved(rows)
    classes = rows.shape[-1]
    w = np.ones(classes, rows.dtype) if weight is None else weight
    target = np.equal(labels[..., None], np.arange(classes))
    share = rows.dtype.type(smoothing / max(classes, 1))
    own = np.where(target, rows.dtype.type(1 - smoothing) + share, share) * w
    mass = w[labels] if smoothing == 0 else own.sum(-1)
    return np.asarray(np.exp((rows - m) - log_s) * (c * mass)[..., None] - np.where(own != 0, own * c[..., None], 0))


globals().update(
    losses(Formulas(log_softmax=log_softmax, log_softmax_pull=log_softmax_pull, label_slopes=label_slopes))
)
