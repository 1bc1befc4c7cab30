"""Is right, but subtracts the maximum in the caller's own logits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def cross_entropy(logits: npt.NDArray[np.floating], target: npt.NDArray[np.integer]) -> np.floating:
    logits -= logits.max(axis=1, keepdims=True)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    mean: np.floating = -log_probabilities[np.arange(len(target)), target].mean()
    return mean
