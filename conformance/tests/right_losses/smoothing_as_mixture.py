"""Smoothing as (1 - eps) nll + eps mean(-l); means over micro-batches of two rows, joined by their weights."""

from __future__ import annotations

import numpy as np
from masks_and_reductions import Array, Formulas, OnRows, losses, pairwise_sum, smoothed

MICRO_BATCH = 2


def log_softmax(rows: Array) -> Array:
    shifted = rows - rows.max(-1, keepdims=True, initial=-np.inf)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))


def label_losses(rows: Array, labels: Array, weight: Array | None, smoothing: float) -> Array:
    surprisal = -log_softmax(rows)
    weighed = surprisal if weight is None else surprisal * weight
    nll = np.take_along_axis(weighed, labels[..., None], -1)[..., 0]
    if smoothing == 0:
        return nll
    held = rows.dtype.type
    return np.asarray((1 - held(smoothing)) * nll + held(smoothing) * (weighed / rows.shape[-1]).sum(-1))


def share_losses(rows: Array, y: Array, weight: Array | None, smoothing: float) -> Array:
    """(1 - eps) of the loss of the shares, and eps of the mean over the classes, where the row holds no -inf."""
    surprisal = -log_softmax(rows)
    weighed = surprisal if weight is None else surprisal * weight
    against = pairwise_sum(y * weighed)
    if smoothing == 0:
        return against
    held = rows.dtype.type
    return np.asarray((1 - held(smoothing)) * against + held(smoothing) * pairwise_sum(weighed / rows.shape[-1]))


def share_slopes(c: Array, rows: Array, y: Array, weight: Array | None, smoothing: float) -> Array:
    wy = smoothed(y, smoothing)
    wy = wy if weight is None else wy * weight
    p = np.exp(log_softmax(rows))
    return np.asarray((wy.sum(-1, keepdims=True) * p - wy) * c[..., None])


def over_micro_batches(terms: Array, weights: Array, total: OnRows) -> Array:
    """The means of micro-batches, each weighed with its own weight; those without weight take no part."""
    count = -(-terms.shape[-1] // MICRO_BATCH) if terms.size else 0
    parts = [slice(index * MICRO_BATCH, (index + 1) * MICRO_BATCH) for index in range(count)]
    masses = np.array([total(weights[..., part]) for part in parts], terms.dtype)
    sums = [total(terms[..., part]) for part in parts]
    weighed = [np.where(mass == 0, a, a / mass * mass) for a, mass in zip(sums, masses, strict=True)]
    together = total(np.stack(weighed, -1)) if weighed else np.zeros(terms.shape[:-1], terms.dtype)
    return np.asarray(together / total(masses))


globals().update(
    losses(
        Formulas(
            mean=over_micro_batches,
            log_softmax=log_softmax,
            label_losses=label_losses,
            share_losses=share_losses,
            share_slopes=share_slopes,
        )
    )
)
