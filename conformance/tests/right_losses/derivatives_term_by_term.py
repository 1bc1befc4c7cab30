"""The binary gradient as differentiation of the definition gives it: (1 - y) / (1 - p) - y / p."""

from __future__ import annotations

import numpy as np
from masks_and_reductions import LOWEST_DIVISOR, LOWEST_LOG, Array, Formulas, losses


def probability_losses(p: Array, y: Array) -> Array:
    return np.asarray(-(y * np.maximum(np.log(p), LOWEST_LOG) + (1 - y) * np.maximum(np.log1p(-p), LOWEST_LOG)))


def probability_slopes(p: Array, y: Array) -> Array:
    """torch's bound of the divisor p (1 - p) where it holds."""
    lowest = p.dtype.type(LOWEST_DIVISOR)
    plain = (1 - y) / (1 - p) - y / p
    return np.asarray(np.where(p * (1 - p) < lowest, (p - y) / lowest, plain).astype(p.dtype))


globals().update(losses(Formulas(probability_losses=probability_losses, probability_slopes=probability_slopes)))
