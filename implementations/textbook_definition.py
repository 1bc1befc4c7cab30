"""The definitions typed in as they stand: softmax, then the logarithm, then minus the sum of p log q.

Right for moderate numbers and probabilities above 0. Breaks where the softmax overflows (float32 logits above 88) or
underflows to log 0, where 0 log 0 is NaN instead of 0 (a prediction of exactly 0 or 1), and loses the digits of losses
near 0, since a probability near 1 no longer holds them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

framework = "numpy"
dialect = "textbook"

Array = npt.NDArray[Any]


@np.errstate(all="ignore")
def cross_entropy(logits: Array, target: Array, *, reduction: str = "mean") -> Any:
    """-log of the softmax at the target: logits (N, C), target (N,) of indices or (N, C) of probabilities."""
    if logits.ndim != 2:
        raise NotImplementedError("the formula is written for logits (N, C)")
    exps = np.exp(logits)
    probs = exps / exps.sum(axis=1, keepdims=True)
    if target.ndim == 2:
        return _reduced(-(target * np.log(probs)).sum(axis=1), reduction)
    return _reduced(-np.log(probs)[np.arange(len(target)), target], reduction)


@np.errstate(all="ignore")
def binary_cross_entropy(probs: Array, target: Array, *, reduction: str = "mean") -> Any:
    """-(y log p + (1 - y) log(1 - p)) of each element, for equal shapes."""
    return _reduced(-(target * np.log(probs) + (1 - target) * np.log(1 - probs)), reduction)


@np.errstate(all="ignore")
def distribution_cross_entropy(p: Array, q: Array, *, reduction: str = "mean") -> Any:
    """-sum of p log q over the last axis."""
    return _reduced(-(p * np.log(q)).sum(axis=-1), reduction)


def _reduced(losses: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.mean()
