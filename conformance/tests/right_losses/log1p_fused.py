"""log1p for what the largest class leaves over, softmax by division, softplus by logaddexp."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from steps import Array, Steps, half_in_float32, losses


def careful_log_softmax(rows: Array, total: Callable[[Array], Array]) -> Array:
    """(x - m) - log1p(sum of the others)."""
    shifted = rows - rows.max(-1, keepdims=True, initial=-np.inf)
    exps = np.exp(shifted)
    first = np.equal(shifted.argmax(-1)[..., None], np.arange(rows.shape[-1]))
    others = total(np.where(first, 0, exps).astype(rows.dtype))
    # The largest is exp(0) = 1 unless the row holds an infinity or NaN, which must show.
    largest = np.take_along_axis(exps, shifted.argmax(-1)[..., None], -1) if exps.size else exps.sum(-1, keepdims=True)
    log_probabilities: Array = shifted - np.log1p(others[..., None] + (largest - 1))
    return log_probabilities


def softmax_by_division(rows: Array, log_probabilities: Array) -> Array:
    exps = np.exp(rows - rows.max(-1, keepdims=True, initial=-np.inf))
    probabilities: Array = exps / exps.sum(-1, keepdims=True)
    return probabilities


def softplus(z: Array) -> Array:
    sum_of_two: Array = np.logaddexp(np.zeros((), z.dtype), z)
    return sum_of_two


(
    cross_entropy,
    cross_entropy_vjp,
    log_softmax,
    log_softmax_vjp,
    binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_vjp,
) = losses(
    Steps(inside=half_in_float32, log_softmax=careful_log_softmax, softmax=softmax_by_division, softplus=softplus)
)
