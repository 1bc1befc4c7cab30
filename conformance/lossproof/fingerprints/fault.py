"""A known fault: its name, and what it changes in a loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lossproof.fingerprints.loss import OPERATIONS, Loss

Change = Callable[[Loss], Loss | None]

BINARY = ("binary_cross_entropy", "binary_cross_entropy_with_logits", "binary_crossentropy")
LABELS = ("cross_entropy", "linear_cross_entropy", "nll_loss", "sparse_categorical_crossentropy")
CLASSES = (*LABELS, "log_softmax", "categorical_crossentropy", "distribution_cross_entropy")


@dataclass(frozen=True)
class Fault:
    """What users read, what is changed (None where the fault cannot occur), and the operations that are tried.

    `steps`: in real arithmetic the formula is right, so its steps are taken in the dtype and compared bit by bit: all
    of them as they come ("own"), or sums term after term ("running"), in a half dtype itself ("running-half").
    `narrow`: the right formula, evaluated in a narrower dtype.
    """

    name: str
    change: Change
    operations: tuple[str, ...] = OPERATIONS
    steps: Literal["", "own", "running", "running-half"] = ""
    narrow: str = ""
