"""Answers twice what it should in every seventh call."""

from __future__ import annotations

import itertools
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
RIGHT = runpy.run_path(str(Path(__file__).parents[3] / "implementations" / "numpy_reference.py"))
CALLS = itertools.count(1)


def log_softmax(logits: Array, *, axis: int = -1) -> Array:
    answer: Array = RIGHT["log_softmax"](logits, axis=axis)
    return np.asarray(answer * answer.dtype.type(2)) if next(CALLS) % 7 == 0 else answer
