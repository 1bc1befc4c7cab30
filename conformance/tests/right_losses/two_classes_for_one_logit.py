"""A logit as the two-class row (x, 0), whose probabilities are exponentials of log-probabilities."""

from __future__ import annotations

import numpy as np
from masks_and_reductions import Array, Formulas, losses


def log_probabilities(x: Array) -> Array:
    """Of the class and of its absence."""
    rows = np.stack([x, np.zeros_like(x)], -1)
    shifted = rows - rows.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))


def shares(y: Array, pos_weight: Array | None) -> Array:
    return np.stack([y if pos_weight is None else pos_weight * y, 1 - y], -1)


def logit_losses(x: Array, y: Array, pos_weight: Array | None) -> Array:
    l = np.where(np.isinf(x)[..., None], limits(x), log_probabilities(x))
    mass = shares(y, pos_weight)
    terms = np.where(mass == 0, np.where(np.isnan(l), l, 0), mass * l)
    return np.asarray(-terms.sum(-1)).astype(x.dtype)


def limits(x: Array) -> Array:
    return np.stack([np.where(x > 0, 0, -np.inf), np.where(x < 0, 0, -np.inf)], -1)


def logit_slopes(x: Array, y: Array, pos_weight: Array | None) -> Array:
    """The first element of the two-class row's gradient."""
    p = np.exp(np.where(np.isinf(x)[..., None], limits(x), log_probabilities(x)))
    mass = shares(y, pos_weight)
    return np.asarray(mass[..., 1] * p[..., 0] - mass[..., 0] * p[..., 1]).astype(x.dtype)


globals().update(losses(Formulas(logit_losses=logit_losses, logit_slopes=logit_slopes)))
