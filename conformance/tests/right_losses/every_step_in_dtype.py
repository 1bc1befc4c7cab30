"""The reference algorithms: shift, pairwise sums, every step rounded to the dtype."""

from __future__ import annotations

import numpy as np
from masks_and_reductions import LOWEST_DIVISOR, LOWEST_LOG, Array, Formulas, losses, own_dtype, pairwise_sum


def log_softmax(rows: Array) -> Array:
    """(x - m) - log sum exp(x - m)."""
    shifted = rows - rows.max(-1, keepdims=True, initial=-np.inf)
    return np.asarray(shifted - np.log(pairwise_sum(np.exp(shifted)))[..., None])


def softplus(z: Array) -> Array:
    """max(z, 0) + log(1 + exp(-|z|))."""
    one = z.dtype.type(1)
    return np.asarray(np.maximum(z, z.dtype.type(0)) + np.log(one + np.exp(-np.abs(z))))


def sigmoid(x: Array) -> Array:
    """1 / (1 + e) or e / (1 + e), with e = exp(-|x|)."""
    one, e = x.dtype.type(1), np.exp(-np.abs(x))
    return np.where(np.isnan(x), x, np.where(x < 0, e, one) / (one + e))


def logit_losses(x: Array, y: Array, pos_weight: Array | None) -> Array:
    """(1 - y) x + v softplus(-x), v = 1 + (pos_weight - 1) y; its limit at infinite logits."""
    one = y.dtype.type(1)
    v, positive = (one, y) if pos_weight is None else (one + (pos_weight - one) * y, pos_weight * y)
    limit = np.where(positive == 0, 0, positive * softplus(-x)) + np.where(y == 1, 0, (one - y) * softplus(x))
    return np.where(np.isinf(x), limit, (one - y) * x + v * softplus(-x)).astype(x.dtype)


def logit_slopes(x: Array, y: Array, pos_weight: Array | None) -> Array:
    """v sigmoid(x) - pos_weight y."""
    one = y.dtype.type(1)
    if pos_weight is None:
        return np.asarray(sigmoid(x) - y)
    return np.asarray((one + (pos_weight - one) * y) * sigmoid(x) - pos_weight * y)


def probability_losses(p: Array, y: Array) -> Array:
    """-(y log p + (1 - y) log(1 - p)), no logarithm below -100."""
    one, lowest = p.dtype.type(1), p.dtype.type(LOWEST_LOG)
    return np.asarray(-(y * np.maximum(np.log(p), lowest) + (one - y) * np.maximum(np.log(one - p), lowest)))


def probability_slopes(p: Array, y: Array) -> Array:
    """(p - y) / max(p (1 - p), 1e-12)."""
    one = p.dtype.type(1)
    return np.asarray((p - y) / np.maximum(p * (one - p), p.dtype.type(LOWEST_DIVISOR)))


def clipped_losses(p: Array, y: Array, low: Array, high: Array) -> Array:
    """-sum y log q, q = p / sum p within the bounds."""
    q = np.clip(p / pairwise_sum(p)[..., None], low, high)
    return -pairwise_sum(y * np.log(q))


def clipped_slopes(p: Array, y: Array, low: Array, high: Array) -> Array:
    """(u_j - sum u_k q_k) / sum p, u = -y / q within the bounds and 0 outside."""
    mass = pairwise_sum(p)[..., None]
    q = p / mass
    u = np.where((q < low) | (q > high), 0, -(y / q)).astype(p.dtype)
    return np.asarray((u - pairwise_sum(u * q)[..., None]) / mass)


def clipped_binary_losses(q: Array, y: Array) -> Array:
    """-(y log q + (1 - y) log(1 - q))."""
    one = q.dtype.type(1)
    return np.asarray(-(y * np.log(q) + (one - y) * np.log(one - q)))


def clipped_binary_slopes(q: Array, y: Array) -> Array:
    """(1 - y) / (1 - q) - y / q."""
    one = q.dtype.type(1)
    return np.asarray((one - y) / (one - q) - y / q)


def distribution_losses(p: Array, q: Array) -> Array:
    """-sum p log q, 0 log 0 = 0."""
    return -pairwise_sum(np.where(p == 0, 0, p * np.log(q)).astype(q.dtype))


def distribution_slopes(p: Array, q: Array) -> Array:
    """-p / q, 0 where p is 0."""
    return np.where(p == 0, 0, -(p / q)).astype(q.dtype)


REFERENCE = Formulas(
    inside=own_dtype,
    log_softmax=log_softmax,
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

globals().update(losses(REFERENCE))
