"""An online softmax: blocks of 32 classes with a running maximum and a rescaled sum, as fused kernels do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from steps import Array, Steps, half_in_float32, losses

BLOCK = 32


def online_log_softmax(rows: Array, total: Callable[[Array], Array]) -> Array:
    """m and s are corrected block by block: s := s exp(m - m') + sum exp(x - m')."""
    m = np.full(rows.shape[:-1], -np.inf, rows.dtype)
    s = np.zeros(rows.shape[:-1], rows.dtype)
    for start in range(0, rows.shape[-1], BLOCK):
        block = rows[..., start : start + BLOCK]
        larger = np.maximum(m, block.max(-1))
        before = np.where(s == 0, 0, s * np.exp(m - larger))
        added = total(np.where(block == -np.inf, 0, np.exp(block - larger[..., None])))
        s, m = (before + added).astype(rows.dtype), larger
    s = np.where(m == -np.inf, np.nan, s)
    log_probabilities: Array = (rows - m[..., None]) - np.log(s)[..., None]
    return log_probabilities.astype(rows.dtype)


(
    cross_entropy,
    cross_entropy_vjp,
    log_softmax,
    log_softmax_vjp,
    binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_vjp,
) = losses(Steps(inside=half_in_float32, log_softmax=online_log_softmax))
