"""One row after the other in Python floats with math.fsum, as somebody checks by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from masks_and_reductions import LOWEST_DIVISOR, Array, Formulas, always_float64, losses


def fsum(terms: Array) -> Array:
    """The exact sum of each row, rounded once; special values follow IEEE 754."""
    rows = np.reshape(terms, (math.prod(terms.shape[:-1]), terms.shape[-1]))
    sums = [math.fsum(row) if np.isfinite(row).all() else float(np.sum(row)) for row in rows]
    return np.array(sums).reshape(terms.shape[:-1])


def log_softmax(rows: Array) -> Array:
    flat = rows.reshape(math.prod(rows.shape[:-1]), rows.shape[-1])
    return np.array([of_row(row.tolist()) for row in flat], np.float64).reshape(rows.shape)


def of_row(row: Sequence[float]) -> list[float]:
    if any(math.isnan(x) or x == math.inf for x in row) or all(x == -math.inf for x in row):
        return [math.nan] * len(row)
    m = max(row)
    log_s = math.log(math.fsum(math.exp(x - m) for x in row))
    return [(x - m) - log_s for x in row]


def product(left: Array, right: Array) -> Array:
    """A matrix product, each element the exact sum of its rounded products."""
    return fsum(left[..., None, :] * right.T)


def logit_losses(x: Array, y: Array, pos_weight: Array | None) -> Array:
    v = np.ones_like(x) if pos_weight is None else pos_weight
    terms = [logit_loss(*each) for each in zip(x.ravel(), y.ravel(), v.ravel(), strict=True)]
    return np.array(terms, np.float64).reshape(x.shape)


def logit_loss(x: float, y: float, pos_weight: float) -> float:
    """pos_weight y softplus(-x) + (1 - y) softplus(x)."""
    if math.isnan(x):
        return x
    tail = math.log1p(math.exp(-abs(x)))
    positive, negative = pos_weight * y, 1 - y
    loss = positive * (max(-x, 0) + tail) if positive else 0.0
    return loss + negative * (max(x, 0) + tail) if negative else loss


def logit_slopes(x: Array, y: Array, pos_weight: Array | None) -> Array:
    v = np.ones_like(x) if pos_weight is None else pos_weight
    slopes = [logit_slope(*each) for each in zip(x.ravel(), y.ravel(), v.ravel(), strict=True)]
    return np.array(slopes, np.float64).reshape(x.shape)


def logit_slope(x: float, y: float, pos_weight: float) -> float:
    """((1 - y) e^x - pos_weight y) / (1 + e^x), by the smaller exponential."""
    if math.isnan(x):
        return x
    e = math.exp(-abs(x))
    return ((1 - y) * (1 if x >= 0 else e) - pos_weight * y * (e if x >= 0 else 1)) / (1 + e)


def probability_losses(p: Array, y: Array) -> Array:
    terms = [
        -(y_i * clamped_log(p_i) + (1 - y_i) * clamped_log(1 - p_i))
        for p_i, y_i in zip(p.ravel(), y.ravel(), strict=True)
    ]
    return np.array(terms, np.float64).reshape(p.shape)


def clamped_log(p: float) -> float:
    return max(math.log(p), -100) if p else -100


def probability_slopes(p: Array, y: Array) -> Array:
    slopes = [(p_i - y_i) / max(p_i * (1 - p_i), LOWEST_DIVISOR) for p_i, y_i in zip(p.ravel(), y.ravel(), strict=True)]
    return np.array(slopes, np.float64).reshape(p.shape)


globals().update(
    losses(
        Formulas(
            inside=always_float64,
            reducing=always_float64,
            total=fsum,
            product=product,
            log_softmax=log_softmax,
            logit_losses=logit_losses,
            logit_slopes=logit_slopes,
            probability_losses=probability_losses,
            probability_slopes=probability_slopes,
        )
    )
)
