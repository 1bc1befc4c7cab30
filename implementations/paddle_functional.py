"""PaddlePaddle's own losses, as paddle.nn.functional ships them."""

from __future__ import annotations

import paddle.nn.functional as F  # noqa: N812  # the name that Paddle's documentation uses
from paddle import Tensor, is_floating_point

framework = "paddle"
dialect = "paddle"
package = "paddlepaddle"


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of logits against class indices or probabilities."""
    return F.cross_entropy(
        logits,
        target,
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        soft_label=is_floating_point(target),
        axis=0 if logits.ndim == 1 else 1,
        label_smoothing=label_smoothing,
    )


def nll_loss(
    log_probs: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of class indices, from log-probabilities."""
    return F.nll_loss(log_probs, target, weight=weight, ignore_index=ignore_index, reduction=reduction)


def log_softmax(logits: Tensor, *, axis: int = -1) -> Tensor:
    """Log-probabilities along `axis`."""
    return F.log_softmax(logits, axis=axis)


def binary_cross_entropy(
    probs: Tensor, target: Tensor, *, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """Binary cross-entropy of probabilities, element by element."""
    return F.binary_cross_entropy(probs, target, weight=weight, reduction=reduction)


def binary_cross_entropy_with_logits(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross-entropy of logits, element by element."""
    return F.binary_cross_entropy_with_logits(logits, target, weight=weight, pos_weight=pos_weight, reduction=reduction)
