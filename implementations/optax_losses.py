"""Optax's own losses, reduced by the mean or the sum as its users do."""

import jax
import jax.numpy as jnp
import optax  # type: ignore[import-untyped]  # optax ships no py.typed
from jax import Array

framework = "jax"
dialect = "optax"
package = "optax"


def cross_entropy(logits: Array, target: Array, *, reduction: str = "mean", label_smoothing: float = 0.0) -> Array:
    """Softmax cross-entropy against class indices, or against probabilities (also where indices are smoothed)."""
    axis = 0 if logits.ndim == 1 else 1
    has_probabilities = jnp.issubdtype(target.dtype, jnp.floating)
    if not has_probabilities and label_smoothing == 0:
        losses = optax.losses.softmax_cross_entropy_with_integer_labels(logits, target, axis=axis)
        return _reduce(losses, reduction)

    labels = target if has_probabilities else jax.nn.one_hot(target, logits.shape[axis], dtype=logits.dtype, axis=axis)
    if label_smoothing != 0:
        labels = optax.losses.smooth_labels(labels, label_smoothing, axis=axis)
    return _reduce(optax.losses.softmax_cross_entropy(logits, labels, axis=axis), reduction)


def binary_cross_entropy_with_logits(logits: Array, target: Array, *, reduction: str = "mean") -> Array:
    """Sigmoid cross-entropy, element by element."""
    return _reduce(optax.losses.sigmoid_binary_cross_entropy(logits, target), reduction)


def _reduce(losses: Array, reduction: str) -> Array:
    match reduction:
        case "none":
            return losses
        case "sum":
            return jnp.sum(losses)
        case "mean":
            return jnp.mean(losses)
    raise ValueError(f"expected reduction none, mean or sum, got {reduction!r}")
