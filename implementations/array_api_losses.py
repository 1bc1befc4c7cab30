"""The losses of torch, written with the array API standard alone, for any array that array-api-compat knows.

`--framework torch`, `--framework jax` or, on a GPU, `--framework cupy --device cuda` hands it other arrays than
NumPy's. Where the framework differentiates, so it does here: each formula is written such that its derivative, taken
term by term, does not cancel.
"""

from typing import Any

from array_api_compat import array_namespace, device, size

framework = "numpy"
dialect = "jax"
package = "array-api-compat"

# The standard is a protocol: neither arrays nor namespaces have a type of their own.
Array = Any
Namespace = Any

LOWEST_LOG = -100.0
LOWEST_DIVISOR = 9.999999960041972e-13  # torch holds its 1e-12 in float32.


def cross_entropy(
    logits: Array,
    target: Array,
    *,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    """Cross-entropy of logits (C), (N, C) or (N, C, ...) against class indices or probabilities.

    Labels outside the classes give NaN.
    """
    xp = array_namespace(logits, target, weight)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"expected label_smoothing between 0 and 1, got {label_smoothing}")
    rows, class_weight = classes_last(xp, logits), weight_of_classes(xp, weight, logits)
    if holds_indices(xp, target):
        check_shape(target, row_shape(logits))
        losses, kept_weights = against_indices(xp, rows, target, class_weight, ignore_index, label_smoothing)
    else:
        if ignore_index >= 0:
            raise ValueError(f"expected no ignore_index beside probabilities, got {ignore_index}")
        check_shape(target, logits.shape)
        losses = against_probabilities(xp, rows, classes_last(xp, target), class_weight, label_smoothing)
        kept_weights = xp.ones_like(losses)
    return xp.astype(reduced(xp, losses, kept_weights, reduction), logits.dtype)


def linear_cross_entropy(
    input: Array,
    linear_weight: Array,
    target: Array,
    *,
    linear_bias: Array | None = None,
    weight: Array | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Array:
    """Cross-entropy of the logits that a linear layer gives: input (F) or (N, F), linear_weight (C, F)."""
    xp = array_namespace(input, linear_weight, target, linear_bias, weight)
    if input.ndim not in (1, 2) or linear_weight.ndim != 2:
        raise ValueError(f"expected (F) or (N, F) and (C, F), got {input.shape} and {linear_weight.shape}")
    if ignore_index is not None and not holds_indices(xp, target):
        raise ValueError(f"expected no ignore_index beside probabilities, got {ignore_index}")
    logits = widened(xp, input) @ xp.matrix_transpose(widened(xp, linear_weight))
    if linear_bias is not None:
        check_shape(linear_bias, linear_weight.shape[:1])
        logits = logits + widened(xp, linear_bias)
    loss = cross_entropy(
        logits,
        target,
        weight=weight,
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )
    return xp.astype(loss, input.dtype)


def nll_loss(
    log_probs: Array,
    target: Array,
    *,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Array:
    """Negative log-likelihood of class indices, from log-probabilities; labels outside the classes give NaN."""
    xp = array_namespace(log_probs, target, weight)
    if not holds_indices(xp, target):
        raise TypeError(f"expected labels of an integer dtype, got {target.dtype}")
    rows, class_weight = classes_last(xp, log_probs), weight_of_classes(xp, weight, log_probs)
    check_shape(target, row_shape(log_probs))
    kept, one_hot = read_labels(xp, target, ignore_index, rows.shape[-1])
    losses, kept_weights = negative_log_likelihood(xp, rows, class_weight, kept, one_hot)
    return xp.astype(reduced(xp, losses, kept_weights, reduction), log_probs.dtype)


def log_softmax(logits: Array, *, axis: int = -1) -> Array:
    """Log-probabilities along `axis`."""
    xp = array_namespace(logits)
    if not -logits.ndim <= axis < logits.ndim:
        raise ValueError(f"expected an axis of {logits.shape}, got {axis}")
    log_probs = log_normalised(xp, xp.moveaxis(widened(xp, logits), axis, -1))
    return xp.astype(xp.moveaxis(log_probs, -1, axis), logits.dtype)


def binary_cross_entropy(probs: Array, target: Array, *, weight: Array | None = None, reduction: str = "mean") -> Array:
    """Binary cross-entropy of probabilities, with torch's clamps; values outside [0, 1] give NaN."""
    xp = array_namespace(probs, target, weight)
    check_shape(target, probs.shape)
    p, y = within_unit_interval(xp, probs), within_unit_interval(xp, target)
    log_p, log_not_p = xp.clip(xp.log(p), min=LOWEST_LOG), xp.clip(xp.log(1 - p), min=LOWEST_LOG)
    losses = weighed(xp, -(y * log_p + (1 - y) * log_not_p), weight)
    return xp.astype(reduced(xp, losses, xp.ones_like(losses), reduction), probs.dtype)


def binary_cross_entropy_vjp(
    cotangent: Array, probs: Array, target: Array, *, weight: Array | None = None, reduction: str = "mean"
) -> Array:
    """Gradient for the probabilities. torch bounds its divisor: it is not the derivative of the clamped logarithms."""
    xp = array_namespace(cotangent, probs, target, weight)
    check_shape(target, probs.shape)
    p, y = within_unit_interval(xp, probs), within_unit_interval(xp, target)
    slopes = weighed(xp, (p - y) / xp.clip(p * (1 - p), min=LOWEST_DIVISOR), weight)
    scale = widened(xp, cotangent) / (size(probs) if reduction == "mean" else 1)
    return xp.astype(scale * slopes, probs.dtype)


def binary_cross_entropy_with_logits(
    logits: Array,
    target: Array,
    *,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    reduction: str = "mean",
) -> Array:
    """Binary cross-entropy of logits, element by element."""
    xp = array_namespace(logits, target, weight, pos_weight)
    check_shape(target, logits.shape)
    x, y = widened(xp, logits), widened(xp, target)
    positive = weighed(xp, y * softplus(xp, -x), pos_weight)
    losses = weighed(xp, (1 - y) * softplus(xp, x) + positive, weight)
    return xp.astype(reduced(xp, losses, xp.ones_like(losses), reduction), logits.dtype)


def distribution_cross_entropy(p: Array, q: Array, *, reduction: str = "mean") -> Array:
    """-sum p log q over the last axis, with 0 log 0 = 0."""
    xp = array_namespace(p, q)
    check_shape(p, q.shape)
    wide_p, wide_q = widened(xp, p), widened(xp, q)
    # Where p is 0, log 1 stands in for log q, so that neither the term nor its gradient is 0 times infinity.
    losses = -sum_last(xp, wide_p * xp.log(xp.where(wide_p == 0, xp.ones_like(wide_q), wide_q)))
    return xp.astype(reduced(xp, losses, xp.ones_like(losses), reduction), q.dtype)


def against_probabilities(xp: Namespace, rows: Array, y: Array, weight: Array | None, label_smoothing: float) -> Array:
    """The loss of each row."""
    if label_smoothing > 0:
        y = (1 - label_smoothing) * y + label_smoothing / y.shape[-1]
    weighed_y = y if weight is None else weight * y
    return -sum_last(xp, weighed_y * log_normalised(xp, rows))


def against_indices(
    xp: Namespace, rows: Array, target: Array, weight: Array | None, ignore_index: int, label_smoothing: float
) -> tuple[Array, Array]:
    """Loss and weight of each row."""
    kept, one_hot = read_labels(xp, target, ignore_index, rows.shape[-1])
    # Ignored rows are blanked first: whatever they hold, even NaN, their gradient is exactly 0.
    log_probs = log_normalised(xp, xp.where(kept[..., None], rows, xp.zeros_like(rows)))
    losses, kept_weights = negative_log_likelihood(xp, log_probs, weight, kept, one_hot)
    if label_smoothing > 0:
        spread = -sum_last(xp, log_probs if weight is None else weight * log_probs)
        share = label_smoothing / rows.shape[-1]
        losses = (1 - label_smoothing) * losses + share * xp.where(kept, spread, xp.zeros_like(spread))
    return losses, kept_weights


def negative_log_likelihood(
    xp: Namespace, log_probs: Array, weight: Array | None, kept: Array, one_hot: Array
) -> tuple[Array, Array]:
    """Loss and weight of each row, both 0 where the row is not kept."""
    nothing = xp.zeros_like(log_probs)
    picked = xp.sum(xp.where(one_hot, log_probs, nothing), axis=-1)
    zero = xp.zeros_like(picked)
    row_weight = zero + 1 if weight is None else xp.sum(xp.where(one_hot, weight + nothing, nothing), axis=-1)
    losses = xp.where(xp.any(one_hot, axis=-1), -(row_weight * picked), zero + xp.nan)
    return xp.where(kept, losses, zero), xp.where(kept, row_weight, zero)


def read_labels(xp: Namespace, target: Array, ignore_index: int, classes: int) -> tuple[Array, Array]:
    """Which rows are kept, and a mask of their classes, which is empty for a label outside the classes."""
    labels = xp.astype(target, xp.int64)
    numbers = xp.arange(classes, dtype=xp.int64, device=device(labels))
    return labels != ignore_index, labels[..., None] == numbers


def log_normalised(xp: Namespace, rows: Array) -> Array:
    """Log-probabilities along the last axis."""
    if not rows.shape[-1]:
        return rows
    # As good a shift as the maximum, and a constant: what should cancel in a derivative of the maximum does not.
    shifted = rows - xp.round(xp.max(rows, axis=-1, keepdims=True))
    return shifted - xp.log(sum_last(xp, xp.exp(shifted)))[..., None]


def softplus(xp: Namespace, x: Array) -> Array:
    """log(1 + exp x)."""
    # Chosen by where, not by maximum and absolute value, whose second derivatives at 0 are not those of softplus.
    zero, is_positive = xp.zeros_like(x), x > 0
    return xp.where(is_positive, x, zero) + xp.log1p(xp.exp(xp.where(is_positive, -x, x)))


def reduced(xp: Namespace, losses: Array, weights: Array, reduction: str) -> Array:
    """The losses, their sum or their mean; raises ValueError for any other reduction."""
    match reduction:
        case "none":
            return losses
        case "sum":
            return sum_last(xp, xp.reshape(losses, (-1,)))
        case "mean":
            return sum_last(xp, xp.reshape(losses, (-1,))) / sum_last(xp, xp.reshape(weights, (-1,)))
    raise ValueError(f"expected reduction none, mean or sum, got {reduction!r}")


def sum_last(xp: Namespace, terms: Array) -> Array:
    """The sum along the last axis, four terms at a time: the standard leaves open in which order `sum` adds."""
    while terms.shape[-1] > 4:
        *rows, length = terms.shape
        quarter = length // 4
        fours = xp.sum(xp.reshape(terms[..., : 4 * quarter], (*rows, 4, quarter)), axis=-2)
        terms = xp.concat([fours, terms[..., 4 * quarter :]], axis=-1) if length % 4 else fours
    return xp.sum(terms, axis=-1)


def weighed(xp: Namespace, losses: Array, weight: Array | None) -> Array:
    """The losses times a weight that broadcasts to their shape."""
    return losses if weight is None else xp.broadcast_to(widened(xp, weight), losses.shape) * losses


def within_unit_interval(xp: Namespace, numbers: Array) -> Array:
    """The numbers, NaN where they are no probability."""
    wide = widened(xp, numbers)
    # Added and not selected, so that the gradient is NaN too.
    return wide + xp.where((wide >= 0) & (wide <= 1), xp.zeros_like(wide), xp.full_like(wide, xp.nan))


def widened(xp: Namespace, numbers: Array) -> Array:
    """The numbers in float32 at least: half dtypes are rounded once, at the end."""
    return xp.astype(numbers, xp.result_type(numbers.dtype, xp.float32))


def holds_indices(xp: Namespace, target: Array) -> bool:
    """Whether a target is of class indices."""
    # Unlike isdtype, this may be asked of dtypes that the standard lacks, such as bfloat16.
    return target.dtype in xp.__array_namespace_info__().dtypes(kind="integral").values()


def classes_last(xp: Namespace, tensor: Array) -> Array:
    """The tensor with its class axis, which is 1 or the only one, moved to the end."""
    return widened(xp, tensor if tensor.ndim == 1 else xp.moveaxis(tensor, 1, -1))


def row_shape(logits: Array) -> tuple[int, ...]:
    """The shape without the class axis."""
    return tuple(logits.shape[:1] + logits.shape[2:]) if logits.ndim > 1 else ()


def check_shape(tensor: Array, shape: tuple[int, ...]) -> None:
    """Raises ValueError for another shape."""
    if tuple(tensor.shape) != tuple(shape):
        raise ValueError(f"expected the shape {tuple(shape)}, got {tuple(tensor.shape)}")


def weight_of_classes(xp: Namespace, weight: Array | None, logits: Array) -> Array | None:
    """The weights of the classes, of which there must be one each."""
    if weight is None:
        return None
    check_shape(weight, (logits.shape[0 if logits.ndim == 1 else 1],))
    return widened(xp, weight)
