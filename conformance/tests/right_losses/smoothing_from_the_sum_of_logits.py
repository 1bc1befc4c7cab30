"""lse - (1 - eps) x_t - (eps / K) sum x, as fused kernels smooth: the logits are added, not their losses."""

from __future__ import annotations

import numpy as np
from masks_and_reductions import Array, Formulas, losses, pairwise_sum, smoothing_constants


def lse(rows: Array) -> Array:
    m = rows.max(-1, initial=-np.inf)
    return np.asarray(m + np.log(pairwise_sum(np.exp(rows - m[..., None]))))


def log_softmax(rows: Array) -> Array:
    return np.asarray(rows - lse(rows)[..., None])


def label_losses(rows: Array, labels: Array, weight: Array | None, smoothing: float) -> Array:
    """With weights (1 - eps) w_t (lse - x_t) + (eps / K) (lse sum w - sum w x)."""
    normaliser = lse(rows)
    target = np.take_along_axis(rows, labels[..., None], -1)[..., 0]
    loss = normaliser - target
    loss = loss if weight is None else weight[labels] * loss
    if smoothing == 0:
        return np.asarray(loss)
    keep, share = smoothing_constants(smoothing, rows)
    if weight is None:
        return np.asarray(
            keep * loss + smoothing_part(normaliser, share * pairwise_sum(rows), rows.dtype.type(smoothing))
        )
    return np.asarray(keep * loss + share * (normaliser * weight.sum() - pairwise_sum(weight * rows)))


def smoothing_part(normaliser: Array, mean_logit: Array, epsilon: Array) -> Array:
    return np.asarray(epsilon * normaliser - mean_logit)


globals().update(losses(Formulas(log_softmax=log_softmax, label_losses=label_losses)))
