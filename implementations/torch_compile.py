"""The losses of torch_eager.py through torch.compile, as it comes: inductor, shapes dynamic once they change."""

import torch
import torch_eager as eager  # type: ignore[import-not-found]  # the adapter beside this one

framework = "torch"
dialect = "torch"

# After eight kinds of input torch.compile would compile no further ones.
torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = 100_000


# Without fullgraph a single call inside vmap or jvp of torch.func leaves the loss uncompiled from there on, silently.
cross_entropy = torch.compile(eager.cross_entropy, fullgraph=True)
linear_cross_entropy = torch.compile(eager.linear_cross_entropy, fullgraph=True)
nll_loss = torch.compile(eager.nll_loss, fullgraph=True)
log_softmax = torch.compile(eager.log_softmax, fullgraph=True)
binary_cross_entropy = torch.compile(eager.binary_cross_entropy, fullgraph=True)
binary_cross_entropy_with_logits = torch.compile(eager.binary_cross_entropy_with_logits, fullgraph=True)
