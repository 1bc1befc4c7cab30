"""tinygrad's own losses, methods of its Tensor."""

from __future__ import annotations

from tinygrad import Tensor

framework = "tinygrad"
dialect = "tinygrad"


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy against class indices or probabilities; where a label is ignored the one for classes that lie last.

    Raises NotImplementedError where a label is ignored and the classes do not lie last.
    """
    if ignore_index is None:
        return logits.cross_entropy(target, reduction=reduction, label_smoothing=label_smoothing)
    if logits.ndim > 2:
        raise NotImplementedError(
            "sparse_categorical_crossentropy, which ignores labels, takes classes on the last axis"
        )
    return logits.sparse_categorical_crossentropy(
        target, ignore_index=ignore_index, label_smoothing=label_smoothing, reduction=reduction
    )


def nll_loss(
    log_probs: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log-likelihood of class indices, from log-probabilities."""
    return log_probs.nll_loss(target, weight=weight, ignore_index=ignore_index, reduction=reduction)


def log_softmax(logits: Tensor, *, axis: int = -1) -> Tensor:
    """Log-probabilities along `axis`."""
    return logits.log_softmax(axis)


def binary_cross_entropy(probs: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """Binary cross-entropy of probabilities, element by element."""
    return probs.binary_crossentropy(target, reduction=reduction)


def binary_cross_entropy_with_logits(
    logits: Tensor, target: Tensor, *, pos_weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """Binary cross-entropy of logits, element by element."""
    return logits.binary_crossentropy_logits(target, reduction=reduction, pos_weight=pos_weight)
