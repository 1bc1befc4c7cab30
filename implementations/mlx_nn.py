"""MLX's own losses, as mlx.nn ships them."""

from __future__ import annotations

import mlx.core as mx
from mlx import nn

framework = "mlx"
dialect = "mlx"


def cross_entropy(
    logits: mx.array, target: mx.array, *, reduction: str = "mean", label_smoothing: float = 0.0
) -> mx.array:
    """Cross-entropy of logits against class indices or probabilities."""
    axis = 0 if logits.ndim == 1 else 1
    return nn.losses.cross_entropy(logits, target, axis=axis, label_smoothing=label_smoothing, reduction=reduction)


def nll_loss(log_probs: mx.array, target: mx.array, *, reduction: str = "mean") -> mx.array:
    """Negative log-likelihood of class indices, from log-probabilities."""
    axis = 0 if log_probs.ndim == 1 else 1
    return nn.losses.nll_loss(log_probs, target, axis=axis, reduction=reduction)


def log_softmax(logits: mx.array, *, axis: int = -1) -> mx.array:
    """Log-probabilities along `axis`."""
    return nn.log_softmax(logits, axis=axis)


def binary_cross_entropy(
    probs: mx.array, target: mx.array, *, weight: mx.array | None = None, reduction: str = "mean"
) -> mx.array:
    """Binary cross-entropy of probabilities, element by element."""
    return nn.losses.binary_cross_entropy(probs, target, weights=weight, with_logits=False, reduction=reduction)


def binary_cross_entropy_with_logits(
    logits: mx.array, target: mx.array, *, weight: mx.array | None = None, reduction: str = "mean"
) -> mx.array:
    """Binary cross-entropy of logits, element by element."""
    return nn.losses.binary_cross_entropy(logits, target, weights=weight, reduction=reduction)
