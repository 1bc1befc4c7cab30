"""max(x, 0) - x y + log1p(exp(-|x|)), as TensorFlow has it; sigmoid as exp(x - softplus(x))."""

from __future__ import annotations

import numpy as np
from masks_and_reductions import Array, Formulas, losses


def softplus(x: Array) -> Array:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def logit_losses(x: Array, y: Array, pos_weight: Array | None) -> Array:
    """With a weight (1 - y) x + (1 + (pos_weight - 1) y) softplus(-x); at infinite logits the limit."""
    positive = y if pos_weight is None else pos_weight * y
    limit = times(positive, softplus(-x)) + times(1 - y, softplus(x))
    if pos_weight is None:
        loss = np.maximum(x, 0) - x * y + np.log1p(np.exp(-np.abs(x)))
    else:
        loss = (1 - y) * x + (1 + (pos_weight - 1) * y) * softplus(-x)
    return np.where(np.isinf(x), limit, loss).astype(x.dtype)


def times(factor: Array, term: Array) -> Array:
    return np.where(factor == 0, 0, factor * term)


def logit_slopes(x: Array, y: Array, pos_weight: Array | None) -> Array:
    sigma = np.where(np.isinf(x), np.where(x > 0, 1, 0), np.exp(x - softplus(x))).astype(x.dtype)
    return np.asarray(sigma - y if pos_weight is None else (1 + (pos_weight - 1) * y) * sigma - pos_weight * y)


globals().update(losses(Formulas(logit_losses=logit_losses, logit_slopes=logit_slopes)))
