"""Keras's crossentropies as answers restate them in NumPy: clip to [1e-7, 1 - 1e-7], and the logarithm of what is left.

Right in float32 and float64 for probabilities that are neither close to 0 nor to 1. The binary formula goes through
log(q / (1 - q)) and back through the sigmoid, which loses digits near 1. From logits it still clips, so that no loss
exceeds 16.12, or it is infinite where the sigmoid overflows. In half precision 1 - 1e-7 is 1: log 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

framework = "numpy"
dialect = "keras"

Array = npt.NDArray[Any]


@np.errstate(all="ignore")
def categorical_crossentropy(target: Array, probs: Array, *, from_logits: bool = False) -> Any:
    """-sum of y log q over the last axis."""
    q = _softmax(probs) if from_logits else probs / probs.sum(axis=-1, keepdims=True)
    return -(target * np.log(_clipped(q))).sum(axis=-1)


@np.errstate(all="ignore")
def binary_crossentropy(target: Array, probs: Array, *, from_logits: bool = False) -> Any:
    """Mean over the last axis of -(y log q + (1 - y) log(1 - q))."""
    logits = probs
    if not from_logits:
        q = _clipped(probs)
        logits = np.log(q / (1 - q))
    losses = -target * np.log(_sigmoid(logits)) - (1 - target) * np.log(1 - _sigmoid(logits))
    return losses.mean(axis=-1)


def _clipped(q: Any) -> Any:
    return np.clip(q, 1e-7, 1 - 1e-7).astype(q.dtype)


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _softmax(x: Any) -> Any:
    exps = np.exp(x - x.max(axis=-1, keepdims=True))
    return exps / exps.sum(axis=-1, keepdims=True)
