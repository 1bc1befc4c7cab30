"""exp2 and log2 for the binary loss: the rounded x log2(e) costs |x| roundings of a small probability."""

from __future__ import annotations

import numpy as np
from masks_and_reductions import Array, Formulas, losses

LOG2_E, LN_2 = np.log2(np.e), np.log(2)


def logit_losses(x: Array, y: Array, pos_weight: Array | None) -> Array:
    """(1 - y) x + v ln 2 log2(1 + 2^(-|x| log2 e)) and v max(-x, 0)."""
    v = x.dtype.type(1) if pos_weight is None else 1 + (pos_weight - 1) * y
    tail = np.log2(1 + np.exp2(-np.abs(x) * x.dtype.type(LOG2_E))) * x.dtype.type(LN_2)
    positive = y if pos_weight is None else pos_weight * y
    limit = times(positive, np.maximum(-x, 0) + tail) + times(1 - y, np.maximum(x, 0) + tail)
    return np.where(np.isinf(x), limit, (1 - y) * x + v * (np.maximum(-x, 0) + tail)).astype(x.dtype)


def times(factor: Array, term: Array) -> Array:
    return np.where(factor == 0, 0, factor * term)


def logit_slopes(x: Array, y: Array, pos_weight: Array | None) -> Array:
    e = np.exp2(-np.abs(x) * x.dtype.type(LOG2_E))
    sigma = np.where(x < 0, e, 1) / (1 + e)
    return np.asarray(sigma - y if pos_weight is None else (1 - y + pos_weight * y) * sigma - pos_weight * y)


globals().update(losses(Formulas(logit_losses=logit_losses, logit_slopes=logit_slopes)))
