"""Hugging Face transformers' losses: of tokens, of smoothed labels as its Trainer takes them, and of many labels."""

from torch import Tensor
from transformers import PretrainedConfig
from transformers.loss.loss_utils import ForSequenceClassificationLoss, fixed_cross_entropy
from transformers.trainer_pt_utils import LabelSmoother

framework = "torch"
dialect = "torch"
package = "transformers"


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of the logits; smoothed by LabelSmoother, which takes class indices, and classes last.

    A mean is over the kept targets, or over the items that the caller has counted: over 1 it is the sum.
    """
    if reduction not in ("mean", "sum"):
        raise NotImplementedError("transformers has the mean and the sum alone")
    items = 1 if reduction == "sum" else None
    if label_smoothing == 0:
        return fixed_cross_entropy(logits, target, num_items_in_batch=items, ignore_index=ignore_index)

    if target.is_floating_point():
        raise NotImplementedError("LabelSmoother takes class indices")
    smoother = LabelSmoother(epsilon=label_smoothing, ignore_index=ignore_index)
    last = logits.movedim(1, -1) if logits.dim() > 1 else logits
    return smoother({"logits": last}, target, num_items_in_batch=items)


def binary_cross_entropy_with_logits(logits: Tensor, target: Tensor) -> Tensor:
    """Mean binary cross-entropy of logits, the loss of a classifier of many labels."""
    config = PretrainedConfig(problem_type="multi_label_classification")
    return ForSequenceClassificationLoss(target, logits, config)
