"""TensorFlow's own losses, as tf.nn ships them, reduced by the mean or the sum as its users do."""

from __future__ import annotations

import tensorflow as tf

framework = "tensorflow"
dialect = "tensorflow"


def cross_entropy(logits: tf.Tensor, target: tf.Tensor, *, reduction: str = "mean") -> tf.Tensor:
    """Softmax cross-entropy against class indices, whose classes lie on the last axis, or against probabilities."""
    if target.dtype.is_floating:
        axis = 0 if logits.ndim == 1 else 1
        return _reduce(tf.nn.softmax_cross_entropy_with_logits(target, logits, axis=axis), reduction)
    if logits.ndim > 2:
        raise NotImplementedError("sparse_softmax_cross_entropy_with_logits takes classes on the last axis alone")
    return _reduce(tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits), reduction)


def log_softmax(logits: tf.Tensor, *, axis: int = -1) -> tf.Tensor:
    """Log-probabilities along `axis`."""
    return tf.nn.log_softmax(logits, axis=axis)


def binary_cross_entropy_with_logits(
    logits: tf.Tensor, target: tf.Tensor, *, pos_weight: tf.Tensor | None = None, reduction: str = "mean"
) -> tf.Tensor:
    """Sigmoid cross-entropy, element by element."""
    if pos_weight is None:
        return _reduce(tf.nn.sigmoid_cross_entropy_with_logits(target, logits), reduction)
    return _reduce(tf.nn.weighted_cross_entropy_with_logits(target, logits, pos_weight), reduction)


def _reduce(losses: tf.Tensor, reduction: str) -> tf.Tensor:
    match reduction:
        case "none":
            return losses
        case "sum":
            return tf.reduce_sum(losses)
        case "mean":
            return tf.reduce_mean(losses)
    raise ValueError(f"expected reduction none, mean or sum, got {reduction!r}")
