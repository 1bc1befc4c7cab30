"""An online softmax: blocks of 32 classes with a running maximum and a rescaled sum, as fused kernels do."""

from __future__ import annotations

import numpy as np
from masks_and_reductions import Array, Formulas, losses, pairwise_sum

BLOCK = 32


def running(rows: Array) -> tuple[Array, Array]:
    """m and s corrected block by block: s := s exp(m - m') + sum exp(x - m')."""
    m = np.full(rows.shape[:-1], -np.inf, rows.dtype)
    s = np.zeros(rows.shape[:-1], rows.dtype)
    for start in range(0, rows.shape[-1], BLOCK):
        block = rows[..., start : start + BLOCK]
        larger = np.maximum(m, block.max(-1))
        before = np.where(s == 0, 0, s * np.exp(m - larger))
        added = pairwise_sum(np.where(block == -np.inf, 0, np.exp(block - larger[..., None])).astype(rows.dtype))
        s, m = (before + added).astype(rows.dtype), larger
    return m[..., None], np.where(m == -np.inf, np.nan, s).astype(rows.dtype)[..., None]


def log_softmax(rows: Array) -> Array:
    m, s = running(rows)
    return np.asarray((rows - m) - np.log(s))


def softmax(rows: Array) -> Array:
    m, s = running(rows)
    return np.asarray(np.exp(rows - m) / s)


globals().update(losses(Formulas(log_softmax=log_softmax, softmax=softmax)))
