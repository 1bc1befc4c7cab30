"""Apple's cut-cross-entropy: its Triton kernels on CUDA, what it gives torch.compile on the CPU."""

import torch
from cut_cross_entropy import linear_cross_entropy as cut_linear_cross_entropy
from torch import Tensor

framework = "torch"
dialect = "cut_cross_entropy"
package = "cut-cross-entropy"

# After eight dtypes and parameters torch.compile would refuse further ones.
torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = 100_000


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy of a linear layer's logits against class indices, in float32."""
    if target.is_floating_point():
        raise NotImplementedError("cut-cross-entropy takes class indices")
    if input.dtype == torch.float64:
        raise NotImplementedError("cut-cross-entropy states its loss as that of logits in float32")
    wants_gradient = input.requires_grad or linear_weight.requires_grad
    if input.is_cuda and input.dtype == torch.float32 and wants_gradient:
        raise NotImplementedError("cut-cross-entropy's kernels differentiate half dtypes")
    impl = "cce" if input.is_cuda else "torch_compile"
    return cut_linear_cross_entropy(
        input, linear_weight, target, ignore_index=ignore_index, reduction=reduction, impl=impl
    )
