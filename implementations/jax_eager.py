"""A port of torch's losses to JAX, exact to the level of the standard algorithms in value and gradient."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

framework = "jax"
dialect = "jax"

_LOWEST_DIVISOR = 9.999999960041972e-13  # torch holds its 1e-12 in float32.


def cross_entropy(
    logits: Array,
    target: Array,
    *,
    weight: Array | None = None,
    ignore_index: int | Array = -100,
    reduction: str = "mean",
    label_smoothing: float | Array = 0.0,
) -> Array:
    """Cross-entropy of logits of shape (C), (N, C) or (N, C, ...) against class indices or probabilities.

    Labels outside the classes give NaN. A traced `label_smoothing` is taken to be positive.
    """
    check_values(target, ignore_index, label_smoothing)
    rows, weight = _classes_last(logits), _check_weight(weight, logits)
    if _is_floating(target):
        y = _classes_last(_check_shape(target, logits.shape))
        losses = _against_probabilities(rows, y, weight, label_smoothing)
        kept_weights = jnp.ones_like(losses)
    else:
        _check_shape(target, _row_shape(logits))
        losses, kept_weights = _against_indices(rows, target, weight, ignore_index, label_smoothing)
    return _reduce(losses, kept_weights, reduction).astype(logits.dtype)


def linear_cross_entropy(
    input: Array,
    linear_weight: Array,
    target: Array,
    *,
    linear_bias: Array | None = None,
    weight: Array | None = None,
    reduction: str = "mean",
    ignore_index: int | Array | None = None,
    label_smoothing: float | Array = 0.0,
) -> Array:
    """Cross-entropy of the logits that a linear layer gives: input (F) or (N, F), linear_weight (C, F)."""
    check_linear_values(target, ignore_index)
    if input.ndim not in (1, 2) or linear_weight.ndim != 2:
        raise ValueError(f"expected (F) or (N, F) and (C, F), got {input.shape} and {linear_weight.shape}")
    logits = jnp.matmul(_widen(input), _widen(linear_weight).T, precision=lax.Precision.HIGHEST)
    if linear_bias is not None:
        if linear_bias.shape != linear_weight.shape[:1]:
            raise ValueError(f"expected a linear_bias of shape {linear_weight.shape[:1]}, got {linear_bias.shape}")
        logits = logits + _widen(linear_bias)
    loss = cross_entropy(
        logits,
        target,
        weight=weight,
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )
    return loss.astype(input.dtype)


def nll_loss(
    log_probs: Array,
    target: Array,
    *,
    weight: Array | None = None,
    ignore_index: int | Array = -100,
    reduction: str = "mean",
) -> Array:
    """Negative log-likelihood of class indices, from log-probabilities; labels outside the classes give NaN."""
    rows, weight = _classes_last(log_probs), _check_weight(weight, log_probs)
    kept, one_hot = _read_labels(_check_shape(target, _row_shape(log_probs)), ignore_index, rows.shape[-1])
    losses, kept_weights = _negative_log_likelihood(rows, weight, kept, one_hot)
    return _reduce(losses, kept_weights, reduction).astype(log_probs.dtype)


def log_softmax(logits: Array, *, axis: int = -1) -> Array:
    """Log-probabilities along `axis`."""
    return _log_softmax(_widen(logits), axis).astype(logits.dtype)


def binary_cross_entropy(probs: Array, target: Array, *, weight: Array | None = None, reduction: str = "mean") -> Array:
    """Binary cross-entropy of probabilities, with torch's clamps; values outside [0, 1] give NaN."""
    p, y = _within_unit_interval(probs), _within_unit_interval(_check_shape(target, probs.shape))
    losses = _weigh(_clamped_cross_entropy(p, y), weight)
    return _reduce(losses, jnp.ones_like(losses), reduction).astype(probs.dtype)


def binary_cross_entropy_with_logits(
    logits: Array,
    target: Array,
    *,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    reduction: str = "mean",
) -> Array:
    """Binary cross-entropy of logits, element by element."""
    x, y = _widen(logits), _widen(_check_shape(target, logits.shape))
    positive = jnp.ones_like(x) if pos_weight is None else jnp.broadcast_to(_widen(pos_weight), x.shape)
    losses = _weigh(_logistic_cross_entropy(x, y, positive), weight)
    return _reduce(losses, jnp.ones_like(losses), reduction).astype(logits.dtype)


def distribution_cross_entropy(p: Array, q: Array, *, reduction: str = "mean") -> Array:
    """-sum p log q over the last axis, with 0 log 0 = 0."""
    p, dtype = _widen(_check_shape(p, q.shape)), q.dtype
    # Where p is 0, log 1 stands in for log q, so that neither the term nor its gradient is 0 times infinity.
    losses = -_sum(p * jnp.log(jnp.where(p == 0, 1, _widen(q))), (-1,))
    return _reduce(losses, jnp.ones_like(losses), reduction).astype(dtype)


def check_values(target: Array, ignore_index: int | Array, label_smoothing: float | Array) -> None:
    """Raise ValueError for what torch refuses, where the values are known and not traced."""
    if isinstance(label_smoothing, (int, float)) and not 0 <= label_smoothing <= 1:
        raise ValueError(f"expected label_smoothing between 0 and 1, got {label_smoothing}")
    if isinstance(ignore_index, int) and ignore_index >= 0 and _is_floating(target):
        raise ValueError(f"expected no ignore_index beside probabilities, got {ignore_index}")


def check_linear_values(target: Array, ignore_index: int | Array | None) -> None:
    """Raise ValueError for any ignore_index beside probabilities."""
    if ignore_index is not None and _is_floating(target):
        raise ValueError(f"expected no ignore_index beside probabilities, got {ignore_index}")


def _against_probabilities(rows: Array, y: Array, weight: Array | None, label_smoothing: float | Array) -> Array:
    if _is_positive(label_smoothing):
        y = (1 - label_smoothing) * y + label_smoothing / max(y.shape[-1], 1)
    weighed = y if weight is None else weight * y
    return -_sum(weighed * _log_softmax(rows, -1), (-1,))


def _against_indices(
    rows: Array, target: Array, weight: Array | None, ignore_index: int | Array, label_smoothing: float | Array
) -> tuple[Array, Array]:
    kept, one_hot = _read_labels(target, ignore_index, rows.shape[-1])
    # Ignored rows are blanked first: whatever they hold, even NaN, their gradient is exactly 0.
    log_probs = _log_softmax(jnp.where(kept[..., None], rows, 0), -1)
    losses, kept_weights = _negative_log_likelihood(log_probs, weight, kept, one_hot)
    if _is_positive(label_smoothing):
        spread = -_sum(log_probs if weight is None else weight * log_probs, (-1,))
        share = label_smoothing / max(rows.shape[-1], 1)
        losses = (1 - label_smoothing) * losses + share * jnp.where(kept, spread, 0)
    return losses, kept_weights


def _negative_log_likelihood(
    log_probs: Array, weight: Array | None, kept: Array, one_hot: Array
) -> tuple[Array, Array]:
    """Loss and weight of each row, both 0 where the row is not kept."""
    picked = jnp.sum(jnp.where(one_hot, log_probs, 0), -1)
    row_weight = jnp.ones_like(picked) if weight is None else jnp.sum(jnp.where(one_hot, weight, 0), -1)
    losses = jnp.where(jnp.any(one_hot, -1), -(row_weight * picked), jnp.nan)
    return jnp.where(kept, losses, 0), jnp.where(kept, row_weight, 0)


def _read_labels(target: Array, ignore_index: int | Array, classes: int) -> tuple[Array, Array]:
    """Which rows are kept, and a mask of their classes, which is empty for a label outside the classes."""
    if not jnp.issubdtype(target.dtype, jnp.integer):
        raise TypeError(f"expected labels of an integer dtype, got {target.dtype}")
    labels = target.astype(int)
    return labels != ignore_index, labels[..., None] == jnp.arange(classes)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _log_softmax(x: Array, axis: int) -> Array:
    # Subtracting the maximum keeps exp from overflowing.
    shifted = x - jnp.max(x, axis, keepdims=True, initial=-jnp.inf)
    return shifted - jnp.log(jnp.expand_dims(_sum(jnp.exp(shifted), (axis,)), axis))


@_log_softmax.defjvp
def _log_softmax_jvp(axis: int, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    log_probs, tangent = _log_softmax(primals[0], axis), tangents[0]
    return log_probs, tangent - jnp.sum(jnp.exp(log_probs) * tangent, axis, keepdims=True)


@jax.custom_jvp
def _clamped_cross_entropy(p: Array, y: Array) -> Array:
    log_p, log_not_p = _clamped_logs(p)
    return -(y * log_p + (1 - y) * log_not_p)


@_clamped_cross_entropy.defjvp
def _clamped_cross_entropy_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    p, y = primals
    log_p, log_not_p = _clamped_logs(p)
    # torch bounds the divisor, not the derivative of its clamped logarithms.
    slope = (p - y) / jnp.maximum(p * (1 - p), _LOWEST_DIVISOR)
    return _clamped_cross_entropy(p, y), slope * tangents[0] + (log_not_p - log_p) * tangents[1]


def _clamped_logs(p: Array) -> tuple[Array, Array]:
    # XLA's log1p is 119 ulp off near -0.4 in float64 on CPU; its log is not.
    return jnp.maximum(jnp.log(p), -100), jnp.maximum(jnp.log(1 - p), -100)


@jax.custom_jvp
def _logistic_cross_entropy(x: Array, y: Array, pos_weight: Array) -> Array:
    return (1 - y) * x + (1 + (pos_weight - 1) * y) * _softplus(-x)


@_logistic_cross_entropy.defjvp
def _logistic_cross_entropy_jvp(
    primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]
) -> tuple[Array, Array]:
    x, y, pos_weight = primals
    exponential = jnp.exp(-jnp.abs(x))
    # Automatic differentiation gives exp(x - softplus(x)), which loses digits in proportion to both.
    sigmoid = jnp.where(x < 0, exponential, 1) / (1 + exponential)
    by_x = (1 + (pos_weight - 1) * y) * sigmoid - pos_weight * y
    by_y = (pos_weight - 1) * _softplus(-x) - x
    by_pos_weight = y * _softplus(-x)
    tangent = by_x * tangents[0] + by_y * tangents[1] + by_pos_weight * tangents[2]
    return _logistic_cross_entropy(x, y, pos_weight), tangent


def _softplus(z: Array) -> Array:
    return jnp.maximum(z, 0) + jnp.log1p(jnp.exp(-jnp.abs(z)))


def _reduce(losses: Array, weights: Array, reduction: str) -> Array:
    match reduction:
        case "none":
            return losses
        case "sum":
            return _sum(losses, None)
        case "mean":
            return _sum(losses, None) / _sum(weights, None)
    raise ValueError(f"expected reduction none, mean or sum, got {reduction!r}")


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _sum(terms: Array, axes: tuple[int, ...] | None) -> Array:
    """Sum over `axes` (None: all) with the rounding errors added back; XLA's own sum adds runs of 32 terms in order."""
    dimensions = range(terms.ndim) if axes is None else [axis % terms.ndim for axis in axes]
    zero = jnp.zeros((), terms.dtype)
    total, error = lax.reduce((terms, jnp.zeros_like(terms)), (zero, zero), _two_sum, tuple(dimensions))
    return jnp.where(jnp.isfinite(total), total + error, total)


@_sum.defjvp
def _sum_jvp(axes: tuple[int, ...] | None, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return _sum(primals[0], axes), jnp.sum(tangents[0], axes)


def _two_sum(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
    """a + b and what rounding takes from it (Knuth, The Art of Computer Programming, volume 2, section 4.2.2)."""
    total = a[0] + b[0]
    from_b = total - a[0]
    return total, a[1] + b[1] + ((a[0] - (total - from_b)) + (b[0] - from_b))


def _weigh(losses: Array, weight: Array | None) -> Array:
    return losses if weight is None else jnp.broadcast_to(_widen(weight), losses.shape) * losses


def _within_unit_interval(numbers: Array) -> Array:
    # Added and not selected, so that the gradient is NaN too.
    return _widen(numbers) + jnp.where((numbers >= 0) & (numbers <= 1), 0, jnp.nan)


def _widen(numbers: Array) -> Array:
    """The numbers in float32 at least: half dtypes are rounded once, at the end."""
    return numbers.astype(jnp.promote_types(numbers.dtype, jnp.float32))


def _is_floating(array: Array) -> bool:
    return bool(jnp.issubdtype(array.dtype, jnp.floating))


def _is_positive(label_smoothing: float | Array) -> bool:
    return isinstance(label_smoothing, Array) or label_smoothing > 0


def _classes_last(tensor: Array) -> Array:
    return _widen(tensor if tensor.ndim == 1 else jnp.moveaxis(tensor, 1, -1))


def _row_shape(logits: Array) -> tuple[int, ...]:
    return logits.shape[:1] + logits.shape[2:] if logits.ndim > 1 else ()


def _check_shape(tensor: Array, shape: tuple[int, ...]) -> Array:
    if tensor.shape != shape:
        raise ValueError(f"expected a target of shape {shape}, got {tensor.shape}")
    return tensor


def _check_weight(weight: Array | None, logits: Array) -> Array | None:
    classes = logits.shape[0 if logits.ndim == 1 else 1]
    if weight is not None and weight.shape != (classes,):
        raise ValueError(f"expected a weight of shape ({classes},), got {weight.shape}")
    return None if weight is None else _widen(weight)
