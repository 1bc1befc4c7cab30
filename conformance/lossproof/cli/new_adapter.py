"""`lossproof new-adapter`: a commented adapter that runs as it is."""

from __future__ import annotations

import keyword
import sys
from collections.abc import Mapping
from importlib import util
from pathlib import Path

import click

from lossproof.frameworks import read_needs
from lossproof.implementations import shipped

_FRAMEWORKS = ("numpy", "torch", "jax")


@click.command()
@click.argument("name")
@click.option(
    "--framework", type=click.Choice(_FRAMEWORKS), default="numpy", show_default=True, help="Whose arrays come in."
)
def command(name: str, framework: str) -> None:
    """Write NAME.py, an adapter that runs as it is.

    It offers one loss in the framework's own words. Put yours in its place, and judge it with `lossproof run NAME.py`.
    """
    stem = name.removesuffix(".py")
    problem = _problem(stem)
    if problem:
        _refuse(f"{name}: {problem}")
    path = Path(f"{stem}.py")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(_text(stem, framework))
    except FileExistsError:
        _refuse(f"{path}: there is such a file already; choose another name, or remove it first")
    except OSError as why:
        _refuse(f"{path}: cannot be written ({why.strerror})")
    click.echo(f"Wrote {path}\nNext: lossproof run {path}")


def _text(name: str, framework: str) -> str:
    head = _HEAD.format(name=name, framework=framework, dialect=_DIALECTS[framework], imports=_IMPORTS[framework])
    return head + _LOSSES[framework]


def _problem(name: str) -> str:
    """Why an adapter cannot have this name; "" where it can."""
    if not name.isidentifier() or keyword.iskeyword(name):
        return "expected a Python identifier such as my_loss"
    if name in sys.stdlib_module_names or name in _frameworks_and_packages():
        return "expected a name that no module has; a file of this name would be imported in place of the module"
    found = util.find_spec(name)
    if found is not None and found.origin != str(Path(f"{name}.py").resolve()):
        return "expected a name that no installed module has; an adapter would be imported in its place"
    return ""


def _frameworks_and_packages() -> set[str]:
    """What adapters import, installed or not."""
    needs = [read_needs(path) for path in shipped().values()]
    return {name.replace("-", "_") for need in needs for name in (need.framework, need.package)}


def _refuse(why: str) -> None:
    click.echo(f"lossproof: {why}", err=True)
    sys.exit(2)


_HEAD = '''\
"""{name}: an adapter for lossproof; `lossproof run {name}.py` judges it."""

{imports}

framework = "{framework}"  # whose arrays come in
dialect = "{dialect}"  # the rules to judge by (`lossproof list` names them)
# package = "…"  # the distribution whose version is reported, where it is not the framework

# Each function that has the name of an operation (`lossproof list`) is judged, and nothing else is.
# Inputs come by position. Parameters come by keyword, only those that a case states: what the signature
# lacks counts as unsupported, and so does whatever raises NotImplementedError.


'''

# JAX has torch's rules too, but for values that nothing can raise on.
_DIALECTS: Mapping[str, str] = {"numpy": "torch", "torch": "torch", "jax": "jax"}

_IMPORTS: Mapping[str, str] = {
    "numpy": "import numpy as np",
    "torch": "import torch.nn.functional as F",
    "jax": "import jax\nimport jax.numpy as jnp",
}

_LOSSES: Mapping[str, str] = {
    "numpy": '''\
def cross_entropy(logits, target, *, ignore_index=-100, reduction="mean"):
    """Put your loss here. logits (N, C), target (N,) of class indices."""
    if logits.ndim != 2 or target.ndim != 1:
        raise NotImplementedError("written for logits (N, C) and class indices (N,)")
    kept, rows = _kept(logits, target, ignore_index)
    losses = np.where(kept, -_log_softmax(logits)[rows, target * kept], 0)
    if reduction == "none":
        return losses.astype(logits.dtype)
    if reduction == "sum":
        return losses.sum().astype(logits.dtype)
    if reduction == "mean":
        return _mean(losses, kept).astype(logits.dtype)
    raise ValueError(f"expected reduction none, mean or sum, got {reduction!r}")


# NumPy differentiates nothing, so the gradient is a function of its own: cotangent first, then as above. Without it
# gradients count as unsupported. With torch and JAX it is not needed.
def cross_entropy_vjp(cotangent, logits, target, *, ignore_index=-100, reduction="mean"):
    """The gradient for the logits, in their shape and dtype."""
    if logits.ndim != 2 or target.ndim != 1:
        raise NotImplementedError("written for logits (N, C) and class indices (N,)")
    kept, rows = _kept(logits, target, ignore_index)
    difference = np.exp(_log_softmax(logits))
    difference[rows, target * kept] -= 1
    scale = np.asarray(cotangent, np.float64) * kept
    if reduction == "mean":
        with np.errstate(invalid="ignore"):
            scale = scale / kept.sum()
    return np.where(kept[:, None], difference * scale[:, None], 0).astype(logits.dtype)


def _kept(logits, target, ignore_index):
    if len(target) != len(logits):
        raise ValueError(f"expected {len(logits)} targets, got {len(target)}")
    kept = target != ignore_index
    if (kept & ((target < 0) | (target >= logits.shape[1]))).any():
        raise IndexError("a target lies outside the classes")
    return kept, np.arange(len(target))


def _log_softmax(logits):
    wide = logits.astype(np.float64)
    # Subtracting the maximum keeps exp from overflowing.
    shifted = wide - wide.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _mean(losses, kept):
    with np.errstate(invalid="ignore"):
        return losses.sum() / np.float64(kept.sum())
''',
    "torch": '''\
def cross_entropy(logits, target, *, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """Put your loss here. logits (C), (N, C) or (N, C, ...), target of class indices or probabilities."""
    return F.cross_entropy(
        logits,
        target,
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


# Gradients come from autograd. A function cross_entropy_vjp(cotangent, logits, target, *, ...) would take its place.
''',
    "jax": '''\
def cross_entropy(logits, target, *, ignore_index=-100, reduction="mean"):
    """Put your loss here. logits (N, C), target (N,) of class indices."""
    if logits.ndim != 2 or target.ndim != 1:
        raise NotImplementedError("written for logits (N, C) and class indices (N,)")
    if len(target) != len(logits):
        raise ValueError(f"expected {len(logits)} targets, got {len(target)}")
    kept = target != ignore_index
    inside = (target >= 0) & (target < logits.shape[1])
    log_probs = jax.nn.log_softmax(logits, axis=1)
    picked = jnp.take_along_axis(log_probs, jnp.where(inside, target, 0)[:, None], axis=1)[:, 0]
    losses = jnp.where(kept, jnp.where(inside, -picked, jnp.nan), 0)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if reduction == "mean":
        return losses.sum() / kept.sum().astype(logits.dtype)
    raise ValueError(f"expected reduction none, mean or sum, got {reduction!r}")


# Gradients come from jax.vjp. A function cross_entropy_vjp(cotangent, logits, target, *, ...) would take its place.
''',
}
