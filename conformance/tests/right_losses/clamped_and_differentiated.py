"""Logarithms of at least -100, as MLX documents, and the derivative of that: nothing from a clamped one."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from masks_and_reductions import LOWEST_LOG, Array, Formulas, losses, own_dtype

dialect = "mlx"


def probability_losses(p: Array, y: Array) -> Array:
    """-(y log p + (1 - y) log(1 - p)), no logarithm below -100."""
    return np.asarray(-(y * clamped_log(p) + (1 - y) * clamped_log(1 - p)))


def clamped_log(a: Array) -> Array:
    return np.asarray(np.maximum(np.log(a), a.dtype.type(LOWEST_LOG)))


def probability_slopes(p: Array, y: Array) -> Array:
    """(p - y) / (p (1 - p)); where a logarithm is clamped what is left of (1 - y) / (1 - p) - y / p."""
    terms = passed_share(1 - y, 1 - p) - passed_share(y, p)
    is_clamped = np.minimum(np.log(p), np.log(1 - p)) < LOWEST_LOG
    return np.where(is_clamped | (p * (1 - p) == 0), terms, (p - y) / (p * (1 - p))).astype(p.dtype)


def passed_share(share: Array, a: Array) -> Array:
    return np.where(np.log(a) < LOWEST_LOG, 0, share / a).astype(a.dtype)


globals().update(
    losses(
        Formulas(
            inside=own_dtype,
            probability_losses=probability_losses,
            probability_slopes=probability_slopes,
            any_target=True,
        )
    )
)
