"""The reference algorithm: shift, pairwise sums, every step rounded to the dtype."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from steps import Steps, losses

(
    cross_entropy,
    cross_entropy_vjp,
    log_softmax,
    log_softmax_vjp,
    binary_cross_entropy_with_logits,
    binary_cross_entropy_with_logits_vjp,
) = losses(Steps())
