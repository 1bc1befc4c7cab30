"""Takes a logit of exactly 0 for padding, a class that cannot occur."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
RIGHT = runpy.run_path(str(Path(__file__).parents[3] / "implementations" / "numpy_reference.py"))


def log_softmax(logits: Array, *, axis: int = -1) -> Array:
    padded = np.where(logits == 0, -np.inf, logits).astype(logits.dtype)
    answer: Array = RIGHT["log_softmax"](padded, axis=axis)
    return answer
