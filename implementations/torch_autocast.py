"""The losses of torch_eager.py under torch.autocast to bfloat16, as mixed precision calls them."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
import torch_eager as eager  # type: ignore[import-not-found]  # the adapter beside this one
from torch import Tensor

framework = "torch"
dialect = "torch_autocast"

Loss = Callable[..., Tensor]


def autocast(loss: Loss) -> Loss:
    """The loss under autocast on the device of its first input; the backward pass is left outside, as torch asks."""

    @wraps(loss)
    def call(*inputs: Tensor, **parameters: Any) -> Tensor:
        with torch.autocast(inputs[0].device.type, dtype=torch.bfloat16):
            return loss(*inputs, **parameters)

    return call


cross_entropy = autocast(eager.cross_entropy)
nll_loss = autocast(eager.nll_loss)
log_softmax = autocast(eager.log_softmax)
binary_cross_entropy = autocast(eager.binary_cross_entropy)
binary_cross_entropy_with_logits = autocast(eager.binary_cross_entropy_with_logits)
_linear_cross_entropy = autocast(eager.linear_cross_entropy)


@wraps(eager.linear_cross_entropy)
def linear_cross_entropy(input: Tensor, *others: Tensor, **parameters: Any) -> Tensor:
    """Cross-entropy of a linear layer's logits, whose factors autocast rounds to bfloat16 unless they are float64."""
    if input.dtype in (torch.float32, torch.float16):
        raise NotImplementedError("autocast makes the product in bfloat16, which is asked in bfloat16")
    return _linear_cross_entropy(input, *others, **parameters)
