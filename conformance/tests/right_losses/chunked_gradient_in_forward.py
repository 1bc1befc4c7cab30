"""Chunks of 100 classes, each with its own maximum and sum, joined at the end; the gradient is made chunk by chunk."""

from __future__ import annotations

import numpy as np
from masks_and_reductions import Array, Formulas, losses, smoothed, smoothing_constants

CHUNK = 100


def chunks(rows: Array) -> list[slice]:
    return [slice(start, start + CHUNK) for start in range(0, rows.shape[-1], CHUNK)]


def normaliser(rows: Array) -> tuple[Array, Array]:
    """The maximum m and sum exp(x - m): the sums of the chunks, each rescaled once."""
    if not rows.shape[-1]:
        nothing = np.zeros((*rows.shape[:-1], 1), rows.dtype)
        return nothing, nothing
    maxima = np.stack([rows[..., chunk].max(-1) for chunk in chunks(rows)], -1)
    sums = np.stack([np.exp(rows[..., chunk] - safe(m)[..., None]).sum(-1) for chunk, m in pairs(rows, maxima)], -1)
    m = maxima.max(-1, keepdims=True)
    return m, (np.exp(maxima - m) * sums).sum(-1, keepdims=True)


def pairs(rows: Array, maxima: Array) -> list[tuple[slice, Array]]:
    return [(chunk, maxima[..., index]) for index, chunk in enumerate(chunks(rows))]


def safe(m: Array) -> Array:
    """A chunk of nothing but -inf has the sum 0."""
    return np.where(m == -np.inf, 0, m).astype(m.dtype)


def log_softmax(rows: Array) -> Array:
    m, s = normaliser(rows)
    return np.asarray((rows - m) - np.log(s))


def label_losses(rows: Array, labels: Array, weight: Array | None, smoothing: float) -> Array:
    """log s - (x_t - m), the target's logit picked from its chunk; the smoothing is added up chunk by chunk."""
    m, s = normaliser(rows)
    target = np.take_along_axis(rows, labels[..., None], -1)
    terms = (np.log(s) - (target - m))[..., 0]
    terms = terms if weight is None else weight[labels] * terms
    if smoothing == 0:
        return np.asarray(terms)
    keep, share = smoothing_constants(smoothing, rows)
    spread = [weighed(np.log(s) - (rows[..., chunk] - m), weight, chunk).sum(-1) for chunk in chunks(rows)]
    return np.asarray(keep * terms + share * np.stack(spread, -1).sum(-1))


def weighed(terms: Array, weight: Array | None, chunk: slice) -> Array:
    return terms if weight is None else weight[chunk] * terms


def share_slopes(c: Array, rows: Array, y: Array, weight: Array | None, smoothing: float) -> Array:
    """Each chunk's logits are overwritten by its gradient, scaled before the cotangent is known."""
    wy = smoothed(y, smoothing)
    wy = wy if weight is None else weight * wy
    m, s = normaliser(rows)
    mass = wy.sum(-1, keepdims=True)
    gradient = rows.copy()
    for chunk in chunks(rows):
        gradient[..., chunk] = np.exp(gradient[..., chunk] - m) / s * mass - wy[..., chunk]
    gradient *= c[..., None]
    return gradient


def product(left: Array, right: Array) -> Array:
    """A matrix product, 100 columns of the right factor at a time."""
    blocks = [left @ right[:, start : start + CHUNK] for start in range(0, right.shape[1], CHUNK)]
    return np.concatenate(blocks, -1) if blocks else left @ right


globals().update(
    losses(Formulas(log_softmax=log_softmax, label_losses=label_losses, share_slopes=share_slopes, product=product))
)
