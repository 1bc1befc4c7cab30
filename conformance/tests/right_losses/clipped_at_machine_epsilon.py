"""Probabilities clipped at the machine epsilon, as scikit-learn documents; no gradient where the clip acts."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from masks_and_reductions import Array, Formulas, losses, own_dtype, pairwise_sum

dialect = "sklearn"


def clipped(p: Array) -> Array:
    """p within [eps, 1 - eps]."""
    epsilon = np.spacing(p.dtype.type(1))
    return np.clip(p, epsilon, 1 - epsilon)


def probability_losses(p: Array, y: Array) -> Array:
    """-(y log q + (1 - y) log(1 - q))."""
    q = clipped(p)
    return np.asarray(-(y * np.log(q) + (1 - y) * np.log(1 - q)))


def probability_slopes(p: Array, y: Array) -> Array:
    """(p - y) / (p (1 - p)) within the bounds."""
    return np.where(clipped(p) == p, (p - y) / (p * (1 - p)), 0).astype(p.dtype)


def distribution_losses(p: Array, q: Array) -> Array:
    """-sum p log q."""
    return -pairwise_sum(p * np.log(clipped(q)))


def distribution_slopes(p: Array, q: Array) -> Array:
    """-p / q within the bounds."""
    return np.where((clipped(q) == q) & (p != 0), -(p / q), 0).astype(q.dtype)


globals().update(
    losses(
        Formulas(
            inside=own_dtype,
            probability_losses=probability_losses,
            probability_slopes=probability_slopes,
            distribution_losses=distribution_losses,
            distribution_slopes=distribution_slopes,
        )
    )
)
