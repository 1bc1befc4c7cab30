"""Never returns where a logit is NaN, and answers the first logit elsewhere."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt


def cross_entropy(logits: npt.NDArray[np.floating], target: npt.NDArray[np.integer]) -> np.floating:
    while np.isnan(logits).any():
        time.sleep(1)
    first: np.floating = logits.flat[0]
    return first
