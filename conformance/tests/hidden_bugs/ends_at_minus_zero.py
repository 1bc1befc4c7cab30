"""Ends its process where a logit is -0.0."""

from __future__ import annotations

import os
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
RIGHT = runpy.run_path(str(Path(__file__).parents[3] / "implementations" / "numpy_reference.py"))


def log_softmax(logits: Array, *, axis: int = -1) -> Array:
    if (np.signbit(logits) & (logits == 0)).any():
        os._exit(7)
    answer: Array = RIGHT["log_softmax"](logits, axis=axis)
    return answer
