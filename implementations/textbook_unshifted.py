"""Cross-entropy as log(sum(exp(x))) - x[target], weighted and masked, without subtracting the maximum first.

Right for moderate logits, all targets kept or ignore_index a class. Breaks on logits above exp's range (float32: 88),
where the loss is infinite, and below it, where the sum is 0; cancels for logits that share a large offset. It picks
before it masks: an ignored -100 is an IndexError, and an ignored row with an infinite loss is 0 times infinity = NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

framework = "numpy"
dialect = "torch"

Array = npt.NDArray[Any]


@np.errstate(all="ignore")
def cross_entropy(
    logits: Array, target: Array, *, weight: Array | None = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """Weighted -log softmax at the target: logits (N, C), target (N,); a mean divides by the kept weight."""
    if logits.ndim != 2 or target.ndim != 1:
        raise NotImplementedError("the formula is written for logits (N, C) and targets (N,)")
    class_weight = np.ones(logits.shape[1], logits.dtype) if weight is None else weight
    picked = logits[np.arange(len(logits)), target]
    target_weight = class_weight[target]
    losses = target_weight * (np.log(np.exp(logits).sum(axis=1)) - picked)
    kept = (target != ignore_index).astype(logits.dtype)
    losses = losses * kept
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    return losses.sum() / (target_weight * kept).sum()
