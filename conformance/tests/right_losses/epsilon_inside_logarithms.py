"""1e-7 inside both logarithms, as TensorFlow.js documents, and the derivative of that."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from masks_and_reductions import Array, Formulas, losses, own_dtype

dialect = "tfjs"


def sides(p: Array) -> tuple[Array, Array]:
    """p and 1 - p, with 1e-7 as their dtype holds it."""
    added = p.dtype.type(1e-7)
    return p + added, (1 - p) + added


def probability_losses(p: Array, y: Array) -> Array:
    """-(y log(p + 1e-7) + (1 - y) log(1 - p + 1e-7))."""
    a, b = sides(p)
    return np.asarray(-(y * np.log(a) + (1 - y) * np.log(b)))


def probability_slopes(p: Array, y: Array) -> Array:
    """(1 - y) / (1 - p + 1e-7) - y / (p + 1e-7)."""
    a, b = sides(p)
    return np.asarray((1 - y) / b - y / a)


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
