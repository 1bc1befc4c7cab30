"""Three shards of the classes; maximum, sum and target logit are reduced over all, as in tensor parallelism."""

from __future__ import annotations

import numpy as np
from masks_and_reductions import Array, Formulas, losses, smoothed, smoothing_constants

SHARDS = 3


def statistics(rows: Array) -> tuple[Array, Array]:
    """The all-reduced maximum, and the all-reduced sum of exponentials."""
    shards = [shard for shard in np.array_split(rows, SHARDS, -1) if shard.shape[-1]]
    if not shards:
        nothing = np.zeros((*rows.shape[:-1], 1), rows.dtype)
        return nothing, nothing
    m = np.max([shard.max(-1) for shard in shards], axis=0)[..., None]
    return m, np.add.reduce([np.exp(shard - m).sum(-1, keepdims=True) for shard in shards])


def log_softmax(rows: Array) -> Array:
    m, s = statistics(rows)
    return np.asarray((rows - m) - np.log(s))


def label_losses(rows: Array, labels: Array, weight: Array | None, smoothing: float) -> Array:
    """log s minus the target's shifted logit, which one shard holds and the others add 0 to."""
    m, s = statistics(rows)
    held = []
    for first, shard in zip(starts(rows), np.array_split(rows - m, SHARDS, -1), strict=True):
        local = labels - first
        here = (local >= 0) & (local < shard.shape[-1])
        index = np.where(here, local, 0)[..., None]
        held.append(
            np.where(here, np.take_along_axis(shard, index, -1)[..., 0], 0) if shard.shape[-1] else 0 * s[..., 0]
        )
    terms = np.log(s)[..., 0] - np.add.reduce(held)
    terms = terms if weight is None else weight[labels] * terms
    if smoothing == 0:
        return np.asarray(terms)
    keep, share = smoothing_constants(smoothing, rows)
    everything = -log_softmax(rows) if weight is None else -weight * log_softmax(rows)
    return np.asarray(keep * terms + share * np.add.reduce([a.sum(-1) for a in np.array_split(everything, SHARDS, -1)]))


def starts(rows: Array) -> list[int]:
    sizes = [shard.size for shard in np.array_split(np.arange(rows.shape[-1]), SHARDS)]
    return [0, sizes[0], sizes[0] + sizes[1]]


def label_slopes(c: Array, rows: Array, labels: Array, weight: Array | None, smoothing: float) -> Array:
    """Each shard of the softmax, less 1 where the target is its own; then the factors."""
    m, s = statistics(rows)
    shards = []
    for first, shard in zip(starts(rows), np.array_split(rows, SHARDS, -1), strict=True):
        own = np.equal(labels[..., None], first + np.arange(shard.shape[-1])).astype(rows.dtype)
        y = own
        if smoothing:
            keep, share = smoothing_constants(smoothing, rows)
            y = keep * own + share
        if weight is None:
            shards.append(np.exp(shard - m) / s - y)
            continue
        whole = weight[labels][..., None]
        if smoothing:
            whole = keep * whole + share * weight.sum()
        shards.append(whole * (np.exp(shard - m) / s) - weight[first : first + shard.shape[-1]] * y)
    return np.asarray(c[..., None] * np.concatenate(shards, -1))


def share_slopes(c: Array, rows: Array, y: Array, weight: Array | None, smoothing: float) -> Array:
    m, s = statistics(rows)
    wy = smoothed(y, smoothing)
    wy = wy if weight is None else weight * wy
    mass = np.add.reduce([shard.sum(-1, keepdims=True) for shard in np.array_split(wy, SHARDS, -1)])
    return np.asarray(c[..., None] * (mass * (np.exp(rows - m) / s) - wy))


globals().update(
    losses(
        Formulas(
            log_softmax=log_softmax, label_losses=label_losses, label_slopes=label_slopes, share_slopes=share_slopes
        )
    )
)
