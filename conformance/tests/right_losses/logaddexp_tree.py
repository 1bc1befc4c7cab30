"""A tree of logaddexp over the shifted rows in place of the sum of exponentials."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from steps import Array, Steps, half_in_float32, losses


def tree_log_softmax(rows: Array, total: Callable[[Array], Array]) -> Array:
    """(x - m) - logaddexp of all x - m, halves with halves."""
    shifted = rows - rows.max(-1, keepdims=True, initial=-np.inf)
    level = shifted
    while level.shape[-1] > 1:
        if level.shape[-1] % 2:
            level = np.concatenate([level, np.full_like(level[..., :1], -np.inf)], axis=-1)
        level = np.logaddexp(level[..., ::2], level[..., 1::2])
    log_probabilities: Array = shifted - level
    return log_probabilities


(
    cross_entropy,
    cross_entropy_vjp,
    log_softmax,
    log_softmax_vjp,
    binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_vjp,
) = losses(Steps(inside=half_in_float32, log_softmax=tree_log_softmax))
