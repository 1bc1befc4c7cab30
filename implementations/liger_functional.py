"""Liger-Kernel's Triton losses; where no CUDA device is there, in Triton's interpreter."""

import os

import torch
from torch import Tensor

if not torch.cuda.is_available():
    # Triton decides as it is imported.
    os.environ.setdefault("TRITON_INTERPRET", "1")

from liger_kernel.transformers import functional

framework = "torch"
dialect = "liger"
package = "liger-kernel"

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

if INTERPRETED:
    # torch.compile cannot trace what Triton interprets.
    not_compiled = torch.compiler.disable
    liger_cross_entropy = not_compiled(functional.liger_cross_entropy)  # type: ignore[no-untyped-call]
    liger_linear = not_compiled(functional.liger_fused_linear_cross_entropy)  # type: ignore[no-untyped-call]
else:
    liger_cross_entropy = functional.liger_cross_entropy
    liger_linear = functional.liger_fused_linear_cross_entropy


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of rows of logits (N, C) against class indices."""
    _check(logits, target, weight)
    return liger_cross_entropy(
        logits,
        target,
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of the logits that a linear layer gives, in chunks of rows."""
    _check(input, target, weight)
    return liger_linear(
        input,
        linear_weight,
        target,
        bias=linear_bias,
        ce_weight=weight,
        ignore_index=ignore_index,
        label_smoothing=label_smoothing,
        reduction=reduction,
    )


def _check(rows: Tensor, target: Tensor, weight: Tensor | None) -> None:
    for lacking, reason in (
        (not INTERPRETED and rows.device.type == "cpu", "Triton needs CUDA, or TRITON_INTERPRET=1"),
        (rows.dim() != 2, "Liger takes rows, arrays with two axes"),
        (rows.dtype == torch.float64, "Liger evaluates in float32"),
        (target.is_floating_point(), "Liger takes class indices"),
        (target.numel() < len(rows), "Liger reads past too few labels"),
        (INTERPRETED and rows.dtype == torch.bfloat16, "Triton's interpreter has no arithmetic in bfloat16"),
        (INTERPRETED and weight is not None, "Triton's interpreter passes no numbers like the sum of weights"),
        (INTERPRETED and len(rows) > 2000, "Triton's interpreter takes a millisecond for each row"),
    ):
        if lacking:
            raise NotImplementedError(reason)
