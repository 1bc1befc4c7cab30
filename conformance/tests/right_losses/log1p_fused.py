"""log1p for what the largest class leaves over, softmax by division, log1p of -p and of exp(-|x|)."""

from __future__ import annotations

import numpy as np
from masks_and_reductions import LOWEST_DIVISOR, LOWEST_LOG, Array, Formulas, losses, pairwise_sum


def log_softmax(rows: Array) -> Array:
    """(x - m) - log1p(sum of the others)."""
    shifted = rows - rows.max(-1, keepdims=True, initial=-np.inf)
    if not shifted.size:
        return np.asarray(shifted)
    exps, largest = np.exp(shifted), shifted.argmax(-1)[..., None]
    others = np.where(np.equal(largest, np.arange(rows.shape[-1])), 0, exps).astype(rows.dtype)
    # The largest is exp(0) = 1 unless the row holds an infinity or NaN, which must show.
    rest = pairwise_sum(others)[..., None] + (np.take_along_axis(exps, largest, -1) - 1)
    return np.asarray(shifted - np.log1p(rest))


def softmax(rows: Array) -> Array:
    exps = np.exp(rows - rows.max(-1, keepdims=True, initial=-np.inf))
    return np.asarray(exps / exps.sum(-1, keepdims=True))


def softplus(z: Array) -> Array:
    return np.asarray(np.logaddexp(np.zeros((), z.dtype), z))


def logit_losses(x: Array, y: Array, pos_weight: Array | None) -> Array:
    """pos_weight y softplus(-x) + (1 - y) softplus(x), as optax: no term is negative."""
    positive = y if pos_weight is None else pos_weight * y
    return times(positive, softplus(-x)) + times(1 - y, softplus(x))


def logit_slopes(x: Array, y: Array, pos_weight: Array | None) -> Array:
    """(1 - y) sigmoid(x) - pos_weight y sigmoid(-x)."""
    positive = y if pos_weight is None else pos_weight * y
    return np.asarray((1 - y) / (1 + np.exp(-x)) - positive / (1 + np.exp(x)))


def probability_losses(p: Array, y: Array) -> Array:
    return np.asarray(-(y * np.maximum(np.log(p), LOWEST_LOG) + (1 - y) * np.maximum(np.log1p(-p), LOWEST_LOG)))


def probability_slopes(p: Array, y: Array) -> Array:
    """(p - y) / (p - p^2), as older kernels have it."""
    return np.asarray((p - y) / np.maximum((1 - p) * p, p.dtype.type(LOWEST_DIVISOR)))


def clipped_losses(p: Array, y: Array, low: Array, high: Array) -> Array:
    q = np.clip(p / p.sum(-1, keepdims=True), low, high)
    return np.asarray(pairwise_sum(-y * np.log(q)))


def clipped_slopes(p: Array, y: Array, low: Array, high: Array) -> Array:
    """(sum of the shares that are felt - y_j / q_j) / sum p."""
    q = p / p.sum(-1, keepdims=True)
    felt = np.where((q < low) | (q > high), 0, y).astype(p.dtype)
    return np.asarray((felt.sum(-1, keepdims=True) - times(felt, 1 / q)) / p.sum(-1, keepdims=True))


def clipped_binary_losses(q: Array, y: Array) -> Array:
    return np.asarray(-(y * np.log(q) + (1 - y) * np.log1p(-q)))


def clipped_binary_slopes(q: Array, y: Array) -> Array:
    """(q - y) / (q (1 - q))."""
    return np.asarray((q - y) / (q * (1 - q)))


def distribution_losses(p: Array, q: Array) -> Array:
    return np.asarray(times(p, -np.log(q)).sum(-1))


def distribution_slopes(p: Array, q: Array) -> Array:
    return -times(p, 1 / q)


def times(factor: Array, term: Array) -> Array:
    """The product, 0 for a factor of 0 whatever the term is."""
    return np.where((factor == 0) & ~np.isnan(term), 0, factor * term).astype(term.dtype)


globals().update(
    losses(
        Formulas(
            log_softmax=log_softmax,
            softmax=softmax,
            logit_losses=logit_losses,
            logit_slopes=logit_slopes,
            probability_losses=probability_losses,
            probability_slopes=probability_slopes,
            clipped_losses=clipped_losses,
            clipped_slopes=clipped_slopes,
            clipped_binary_losses=clipped_binary_losses,
            clipped_binary_slopes=clipped_binary_slopes,
            distribution_losses=distribution_losses,
            distribution_slopes=distribution_slopes,
        )
    )
)
