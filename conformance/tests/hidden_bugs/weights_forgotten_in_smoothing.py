"""Forgets the class weights in the smoothed part of the loss; right without weights, or without smoothing."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
RIGHT = runpy.run_path(str(Path(__file__).parents[3] / "implementations" / "numpy_reference.py"))


def cross_entropy(
    logits: Array,
    target: Array,
    *,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    def loss(weight: Array | None, label_smoothing: float) -> Array:
        # In float64, lest infinities cancel beside the bug.
        answer: Array = RIGHT["cross_entropy"](
            logits.astype(np.float64),
            target,
            weight=weight,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
        )
        return answer

    if weight is None or label_smoothing == 0:
        return loss(weight, label_smoothing)
    unweighed = loss(None, label_smoothing) - (1 - label_smoothing) * loss(None, 0.0)
    mixed: Array = (1 - label_smoothing) * loss(weight, 0.0) + unweighed
    return np.asarray(mixed, logits.dtype)
