"""Takes the logarithm to base 2."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "right_losses"))

import numpy as np
from steps import Array, Steps, half_in_float32, losses, shifted_log_softmax


def binary_log_softmax(rows: Array, total: Callable[[Array], Array]) -> Array:
    return np.asarray(shifted_log_softmax(rows, total) / rows.dtype.type(np.log(2)))


(
    cross_entropy,
    cross_entropy_vjp,
    log_softmax,
    log_softmax_vjp,
    binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_vjp,
) = losses(Steps(inside=half_in_float32, log_softmax=binary_log_softmax))
