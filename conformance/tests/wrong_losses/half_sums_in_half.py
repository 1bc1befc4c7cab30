"""Adds the rows of a half dtype in the half dtype: sums of thousands overflow."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "right_losses"))

from steps import Steps, losses, own_dtype

(
    cross_entropy,
    cross_entropy_vjp,
    log_softmax,
    log_softmax_vjp,
    binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_vjp,
) = losses(Steps(reducing=own_dtype))
