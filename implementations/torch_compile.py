"""The losses of torch_eager.py through torch.compile, as it comes: inductor, shapes dynamic once they change."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import torch

framework = "torch"
dialect = "torch"

# After eight kinds of input torch.compile would compile no further ones.
torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = 100_000


def load_sibling(name: str) -> ModuleType:
    """The adapter beside this one; adapters are loaded by path, so their folder is not on sys.path."""
    spec = importlib.util.spec_from_file_location(f"{__name__}_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # torch.compile looks modules up by their names.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


eager = load_sibling("torch_eager")

# Without fullgraph a single call inside vmap or jvp of torch.func leaves the loss uncompiled from there on, silently.
cross_entropy = torch.compile(eager.cross_entropy, fullgraph=True)
linear_cross_entropy = torch.compile(eager.linear_cross_entropy, fullgraph=True)
nll_loss = torch.compile(eager.nll_loss, fullgraph=True)
log_softmax = torch.compile(eager.log_softmax, fullgraph=True)
binary_cross_entropy = torch.compile(eager.binary_cross_entropy, fullgraph=True)
binary_cross_entropy_with_logits = torch.compile(eager.binary_cross_entropy_with_logits, fullgraph=True)
