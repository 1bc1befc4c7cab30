"""Segmentation loss as tutorials spell it out: a softmax over the channels, then a loop that adds -log of each pixel.

Right for the moderate logits (N, C, H, W) of its page. Breaks where the softmax overflows or underflows, drifts over
large images because each pixel is added to one running sum, and knows no ignored pixel: -1 silently reads the last
class, -100 is an IndexError.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

framework = "numpy"
dialect = "torch"

Array = npt.NDArray[Any]


@np.errstate(all="ignore")
def cross_entropy(logits: Array, target: Array) -> Any:
    """Mean over all pixels of -log softmax at the target: logits (N, C, H, W), target (N, H, W) of indices."""
    if logits.ndim != 4 or target.ndim != 3:
        raise NotImplementedError("the loop is written for logits (N, C, H, W) and targets (N, H, W)")
    images, _, height, width = logits.shape
    exps = np.exp(logits)
    probs = exps / exps.sum(axis=1, keepdims=True)
    loss: Any = 0.0
    for image in range(images):
        for row in range(height):
            for column in range(width):
                loss -= np.log(probs[image, target[image, row, column], row, column])
    return loss / (images * height * width)
