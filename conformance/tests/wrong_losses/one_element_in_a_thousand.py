"""Adds 1 to a single element of large answers."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "right_losses"))

import numpy as np
from steps import Array, Steps, half_in_float32, losses


def spoiled(answer: Array) -> Array:
    if answer.size > 1000:
        answer = answer.copy()
        answer.reshape(-1)[777] += 1
    return np.asarray(answer)


(
    cross_entropy,
    cross_entropy_vjp,
    log_softmax,
    log_softmax_vjp,
    binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_vjp,
) = losses(Steps(inside=half_in_float32, finish=spoiled))
