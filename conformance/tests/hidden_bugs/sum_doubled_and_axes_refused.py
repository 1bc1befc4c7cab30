"""Two bugs: a sum is twice what it should be, and more than two axes raise."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
RIGHT = runpy.run_path(str(Path(__file__).parents[3] / "implementations" / "numpy_reference.py"))


def nll_loss(
    log_probs: Array,
    target: Array,
    *,
    weight: Array | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Array:
    if log_probs.ndim > 2:
        raise ValueError(f"expected at most 2 axes, got {log_probs.ndim}")
    loss = RIGHT["nll_loss"](log_probs, target, weight=weight, ignore_index=ignore_index, reduction=reduction)
    doubled: Array = np.asarray(loss * loss.dtype.type(2 if reduction == "sum" else 1))
    return doubled
