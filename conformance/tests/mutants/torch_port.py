"""Every loss of the spec from ordinary torch operations, right, and differentiated by autograd: what mutants spoil.

Steps are those of the reference algorithms, in the dtype of the prediction, half dtypes in float32.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  # the name that torch's documentation uses
from torch import Tensor

framework = "torch"
dialect = "torch"

torch.set_num_threads(1)

LOWEST_LOG = -100.0
LOWEST_DIVISOR = torch.tensor(1e-12, dtype=torch.float32).item()  # a constant that torch holds in float32
KERAS_EPSILON = 1e-7


# Losses of torch.nn.functional over classes


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Negative log-softmax of the target: logits (C,), (N, C) or (N, C, ...), target of indices or probabilities."""
    check_reduction(reduction)
    check_smoothing(label_smoothing)
    loss = class_loss(inside(logits), target, weight, ignore_index, reduction, label_smoothing)
    return loss.to(logits.dtype)


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """`cross_entropy` of input times the transposed linear_weight, plus linear_bias."""
    check_reduction(reduction)
    check_smoothing(label_smoothing)
    if target.is_floating_point() and ignore_index is not None:
        raise RuntimeError("expected no ignore_index beside probabilities")
    logits = inside(input) @ inside(linear_weight).T
    if linear_bias is not None:
        check_bias(linear_bias, linear_weight)
        logits = logits + inside(linear_bias)
    ignored = -100 if ignore_index is None else ignore_index
    return class_loss(logits, target, weight, ignored, reduction, label_smoothing).to(input.dtype)


def nll_loss(
    log_probs: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Minus the log-probability of each target index."""
    check_reduction(reduction)
    if target.is_floating_point():
        raise RuntimeError("expected a target of integers")
    rows = inside(log_probs).movedim(class_axis(log_probs), -1)
    weights = class_weights(weight, rows)
    labels, kept = kept_labels(target, log_probs, ignore_index)
    losses = torch.where(kept, -weights[labels] * picked(rows, labels), 0)
    return reduced(losses, kept_weight(weights, labels, kept), reduction).to(log_probs.dtype)


def log_softmax(logits: Tensor, *, axis: int = -1) -> Tensor:
    """Log-probabilities along `axis`."""
    log_probs = row_log_softmax(inside(logits).movedim(axis, -1))
    return log_probs.movedim(-1, axis).to(logits.dtype)


# Losses of torch.nn.functional over elements


def binary_cross_entropy(
    probs: Tensor, target: Tensor, *, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """Binary cross-entropy of probabilities, no logarithm below -100."""
    check_reduction(reduction)
    check_floating(target)
    check_unit_interval(probs, target)
    p, y = inside(probs), inside(target)
    log_p, log_rest = torch.clamp(torch.log(p), min=LOWEST_LOG), torch.clamp(torch.log1p(-p), min=LOWEST_LOG)
    losses = -(y * log_p + (1 - y) * log_rest)
    if weight is not None:
        losses = losses * inside(weight)
    return reduced(losses, element_count(losses), reduction).to(probs.dtype)


def binary_cross_entropy_vjp(
    cotangent: Tensor, probs: Tensor, target: Tensor, *, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """Gradient of `binary_cross_entropy` as torch defines it, the clamp of the logarithms left out."""
    p, y = inside(probs), inside(target)
    slopes = (p - y) / torch.clamp(p * (1 - p), min=LOWEST_DIVISOR)
    if weight is not None:
        slopes = slopes * inside(weight)
    scale = inside(cotangent)
    if reduction == "mean":
        scale = scale / p.numel()
    return (scale * slopes).to(probs.dtype)


def binary_cross_entropy_vjp_target(
    cotangent: Tensor, probs: Tensor, target: Tensor, *, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """Gradient of `binary_cross_entropy` for the target, the clamp of the logarithms left out."""
    p = inside(probs)
    slopes = torch.log1p(-p) - torch.log(p)
    if weight is not None:
        slopes = slopes * inside(weight)
    scale = inside(cotangent)
    if reduction == "mean":
        scale = scale / p.numel()
    return (scale * slopes).to(target.dtype)


def binary_cross_entropy_with_logits(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross-entropy of logits, element by element."""
    check_reduction(reduction)
    check_floating(target)
    check_equal_shapes(logits, target)
    x, y = inside(logits), inside(target)
    positive = y if pos_weight is None else y * inside(pos_weight).expand(logits.shape)
    losses = binary_losses(x, positive, 1 - y)
    if weight is not None:
        losses = losses * inside(weight).expand(logits.shape)
    return reduced(losses, element_count(losses), reduction).to(logits.dtype)


# Losses of keras.losses


def categorical_crossentropy(
    target: Tensor, probs: Tensor, *, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """-sum of y log q along `axis`, q being probs over their sum and clipped, or the softmax."""
    check_equal_shapes(probs, target)
    shares = smoothed(inside(target).movedim(axis, -1), label_smoothing)
    log_probs = keras_log_probs(inside(probs).movedim(axis, -1), probs, from_logits)
    return (-shares * log_probs).sum(-1).to(probs.dtype)


def sparse_categorical_crossentropy(
    target: Tensor, probs: Tensor, *, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Tensor:
    """`categorical_crossentropy` of integer labels; an ignored label has loss 0."""
    labels = target.long()
    if target.ndim == probs.ndim:
        labels = labels.squeeze(axis)
    kept = (labels >= 0) & (labels < probs.shape[axis])
    if ignore_class is not None:
        kept = kept & (labels != ignore_class)
    rows = torch.where(kept[..., None], inside(probs).movedim(axis, -1), 1)
    log_probs = picked(keras_log_probs(rows, probs, from_logits), torch.where(kept, labels, 0))
    return torch.where(kept, -log_probs, 0).to(probs.dtype)


def binary_crossentropy(
    target: Tensor, probs: Tensor, *, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """Mean along `axis` of the binary loss of clipped probabilities, or of logits."""
    check_equal_shapes(probs, target)
    y = smoothed(inside(target), label_smoothing, classes=2)
    if from_logits:
        losses = binary_losses(inside(probs), y, 1 - y)
    else:
        q = clipped(inside(probs), probs)
        losses = -(y * torch.log(q) + (1 - y) * torch.log(1 - q))
    return losses.mean(axis).to(probs.dtype)


# The definition


def distribution_cross_entropy(p: Tensor, q: Tensor, *, reduction: str = "mean") -> Tensor:
    """-sum of p log q over the last axis, 0 where p is 0."""
    check_reduction(reduction)
    check_equal_shapes(q, p)
    none = (p == 0) & (q == 0)
    logs = torch.log(torch.where(none, 1, inside(q)))
    losses = -(inside(p) * logs).sum(-1)
    return reduced(losses, element_count(losses), reduction).to(q.dtype)


# Formulas that several losses share


def class_loss(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> Tensor:
    """The cross-entropy of logits that are wide already."""
    rows = logits.movedim(class_axis(logits), -1)
    weights = class_weights(weight, rows)
    if target.is_floating_point():
        if target.shape != logits.shape:
            raise ValueError("expected a probability target of the shape of the logits")
        shares = smoothed(inside(target).movedim(class_axis(logits), -1), label_smoothing)
        losses = -(weights * shares * row_log_softmax(rows)).sum(-1)
        return reduced(losses, element_count(losses), reduction)
    labels, kept = kept_labels(target, logits, ignore_index)
    # What an ignored row holds must reach neither the loss nor, as 0 times infinity, the gradient.
    log_probs = row_log_softmax(torch.where(kept[..., None], rows, 0))
    losses = -weights[labels] * picked(log_probs, labels)
    if label_smoothing > 0:
        uniform = -(weights * log_probs).sum(-1) / rows.shape[-1]
        losses = (1 - label_smoothing) * losses + label_smoothing * uniform
    losses = torch.where(kept, losses, 0)
    return reduced(losses, kept_weight(weights, labels, kept), reduction)


def row_log_softmax(rows: Tensor) -> Tensor:
    """(x - m) - log sum exp(x - m) over the last axis."""
    if rows.shape[-1] == 0:
        return rows * rows  # as empty, and differentiable twice
    shifted = rows - rows.detach().amax(-1, keepdim=True)
    return shifted - torch.log(torch.exp(shifted).sum(-1, keepdim=True))


def binary_losses(logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """-(positive log sigmoid(x) + negative log sigmoid(-x)), where a share of 0 is 0 even beside an infinity."""
    up = scaled(positive, F.logsigmoid(logits))
    down = scaled(negative, F.logsigmoid(-logits))
    return -(up + down)


def scaled(share: Tensor, term: Tensor) -> Tensor:
    return torch.where((share == 0) & torch.isinf(term), 0, share * term)


def smoothed(shares: Tensor, smoothing: float, classes: int | None = None) -> Tensor:
    """(1 - smoothing) y + smoothing / classes."""
    if smoothing == 0:
        return shares
    return (1 - smoothing) * shares + smoothing / (classes or shares.shape[-1])


def keras_log_probs(rows: Tensor, probs: Tensor, from_logits: bool) -> Tensor:
    """log q of every class, classes last."""
    if from_logits:
        return row_log_softmax(rows)
    q = rows / rows.sum(-1, keepdim=True)
    return torch.log(clipped(q, probs))


def clipped(q: Tensor, probs: Tensor) -> Tensor:
    """q between 1e-7 and 1 - 1e-7 as the dtype of probs holds them; a NaN stays one, as does its gradient."""
    low, high = torch.tensor([KERAS_EPSILON, 1 - KERAS_EPSILON], dtype=torch.float64).to(probs.dtype).tolist()
    return torch.where(q < low, low, torch.where(q > high, high, q))


# Targets, weights, reductions


def inside(array: Tensor) -> Tensor:
    """The dtype in which the steps are taken: float32 for half dtypes, else the array's own."""
    return array.float() if array.dtype in (torch.float16, torch.bfloat16) else array


def class_axis(logits: Tensor) -> int:
    return min(1, logits.ndim - 1)


def kept_labels(target: Tensor, logits: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """The labels, 0 in place of ignored ones, and which are kept."""
    rows = logits.movedim(class_axis(logits), -1).shape[:-1]
    labels = target.long()
    if logits.ndim == 1 and target.shape == (1,):
        labels = labels.squeeze(0)
    if labels.shape != rows:
        raise ValueError(f"expected a target of shape {tuple(rows)}, got {tuple(target.shape)}")
    kept = labels != ignore_index
    return torch.where(kept, labels, 0), kept


def picked(rows: Tensor, labels: Tensor) -> Tensor:
    """The element of each row that its label names."""
    return rows.gather(-1, labels[..., None]).squeeze(-1)


def class_weights(weight: Tensor | None, rows: Tensor) -> Tensor:
    if weight is None:
        return rows.new_ones(rows.shape[-1])
    if weight.shape != rows.shape[-1:]:
        raise ValueError("expected one weight for each class")
    return inside(weight)


def kept_weight(weights: Tensor, labels: Tensor, kept: Tensor) -> Tensor:
    """What a mean divides by."""
    total = torch.where(kept, weights[labels], 0).sum()
    return torch.where(total == 0, torch.nan, total)


def element_count(losses: Tensor) -> Tensor:
    return losses.new_tensor(losses.numel())


def reduced(losses: Tensor, total: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return losses
    return losses.sum() / total if reduction == "mean" else losses.sum()


# What torch and Keras refuse


def check_reduction(reduction: str) -> None:
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")


def check_smoothing(label_smoothing: float) -> None:
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"expected a label_smoothing from 0 to 1, got {label_smoothing}")


def check_bias(linear_bias: Tensor, linear_weight: Tensor) -> None:
    if linear_bias.shape != linear_weight.shape[:1]:
        raise ValueError(f"expected one bias for each class, got {tuple(linear_bias.shape)}")


def check_equal_shapes(prediction: Tensor, target: Tensor) -> None:
    if target.shape != prediction.shape:
        raise ValueError(f"expected a target of shape {tuple(prediction.shape)}, got {tuple(target.shape)}")


def check_floating(target: Tensor) -> None:
    if not target.is_floating_point():
        raise RuntimeError(f"expected a target of floating numbers, got {target.dtype}")


def check_unit_interval(probs: Tensor, target: Tensor) -> None:
    check_equal_shapes(probs, target)
    if not all(bool(((each >= 0) & (each <= 1)).all()) for each in (probs, target)):
        raise RuntimeError("expected probabilities and targets between 0 and 1")
