"""Hides NaN behind nan_to_num."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "right_losses"))

import numpy as np
from steps import Array, Steps, half_in_float32, losses


def hidden(answer: Array) -> Array:
    return np.asarray(np.where(np.isnan(answer), answer.dtype.type(0), answer))


(
    cross_entropy,
    cross_entropy_vjp,
    log_softmax,
    log_softmax_vjp,
    binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_vjp,
) = losses(Steps(inside=half_in_float32, finish=hidden))
