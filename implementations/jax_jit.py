"""The losses of jax_eager.py and their gradients, compiled by jax.jit."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax
import jax_eager as eager  # type: ignore[import-not-found]  # the adapter beside this one
from jax import Array

framework = "jax"
dialect = "jax"

Loss = Callable[..., Array]


def compiled(loss: Loss, *, prediction: int = 0, static: str = "reduction") -> tuple[Loss, Loss]:
    """The loss and its gradient for the input at position `prediction`, compiled for each shape and `static`.

    Other parameters are traced, so that a new ignore_index or a new positive label_smoothing compiles nothing.
    """

    def gradient(cotangent: Array, *inputs: Array, **parameters: Any) -> Array:
        def of_prediction(array: Array) -> Array:
            return loss(*inputs[:prediction], array, *inputs[prediction + 1 :], **parameters)

        _, pull_back = jax.vjp(of_prediction, inputs[prediction])
        pulled: Array = pull_back(cotangent)[0]
        return pulled

    return jax.jit(loss, static_argnames=static), jax.jit(gradient, static_argnames=static)


nll_loss, nll_loss_vjp = compiled(eager.nll_loss)
log_softmax, log_softmax_vjp = compiled(eager.log_softmax, static="axis")
binary_cross_entropy, binary_cross_entropy_vjp = compiled(eager.binary_cross_entropy)
binary_cross_entropy_with_logits, binary_cross_entropy_with_logits_vjp = compiled(
    eager.binary_cross_entropy_with_logits
)
distribution_cross_entropy, distribution_cross_entropy_vjp = compiled(eager.distribution_cross_entropy, prediction=1)
_cross_entropy, _cross_entropy_vjp = compiled(eager.cross_entropy)
_linear_cross_entropy, _linear_cross_entropy_vjp = compiled(eager.linear_cross_entropy)


@wraps(eager.cross_entropy)
def cross_entropy(logits: Array, target: Array, **parameters: Any) -> Array:
    """Softmax cross-entropy, compiled; values that a trace cannot refuse are checked before it."""
    return _cross_entropy(logits, target, **_checked(target, **parameters))


@wraps(eager.cross_entropy)
def cross_entropy_vjp(cotangent: Array, logits: Array, target: Array, **parameters: Any) -> Array:
    """Gradient of the softmax cross-entropy for the logits, compiled."""
    return _cross_entropy_vjp(cotangent, logits, target, **_checked(target, **parameters))


@wraps(eager.linear_cross_entropy)
def linear_cross_entropy(input: Array, linear_weight: Array, target: Array, **parameters: Any) -> Array:
    """Softmax cross-entropy of a linear layer's logits, compiled."""
    return _linear_cross_entropy(input, linear_weight, target, **_linear_checked(target, **parameters))


@wraps(eager.linear_cross_entropy)
def linear_cross_entropy_vjp(
    cotangent: Array,
    input: Array,
    linear_weight: Array,
    target: Array,
    **parameters: Any,
) -> Array:
    """Gradient of the linear cross-entropy for the input, compiled."""
    checked = _linear_checked(target, **parameters)
    return _linear_cross_entropy_vjp(cotangent, input, linear_weight, target, **checked)


def _linear_checked(target: Array, *, ignore_index: int | None = None, **others: Any) -> dict[str, Any]:
    eager.check_linear_values(target, ignore_index)
    return {**_checked(target, **others), "ignore_index": ignore_index}


def _checked(target: Array, *, ignore_index: int = -100, label_smoothing: float = 0.0, **others: Any) -> dict[str, Any]:
    """The parameters, without a label_smoothing of 0: it needs a smaller program, not a traced value."""
    eager.check_values(target, ignore_index, label_smoothing)
    smoothing = {} if label_smoothing == 0 else {"label_smoothing": label_smoothing}
    return {"ignore_index": ignore_index, **smoothing, **others}
