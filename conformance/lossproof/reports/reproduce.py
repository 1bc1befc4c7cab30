"""A script that reproduces a golden with the framework alone, made from the adapter's own source."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lossproof.numerics import FORMATS
from lossproof.spec.golden import Golden, array
from lossproof.spec.operations import Operation


def reproduction(golden: Golden, operation: Operation, source: str, framework: str) -> str | None:
    """Imports, the adapter's definitions that the loss needs, inputs, call; None for a framework without a recipe.

    `source` is the text of the adapter file. Memory layouts are named in a comment and not made.
    """
    if framework not in _FRAMEWORKS:
        return None
    vjp = golden.question == "gradient" and _defines(source, f"{golden.operation}_vjp")
    function = f"{golden.operation}_vjp" if vjp else golden.operation
    write = _FRAMEWORKS[framework]
    lines = ["from __future__ import annotations", "", *write.preamble, *_definitions(source, function), ""]
    for name in operation.input_names:
        lines += _assign(name, golden.inputs[name], write)
    keywords = []
    for name, value in golden.parameters.items():
        if isinstance(value, dict):
            lines += _assign(name, value, write)
            keywords.append(f"{name}={name}")
        else:
            keywords.append(f"{name}={value!r}")
    if golden.cotangent is not None:
        lines += _assign("cotangent", golden.cotangent, write)
    arguments = [*operation.input_names, *keywords]
    prediction = operation.differentiable[0]
    if vjp:
        lines.append(f"print({function}({', '.join(['cotangent', *arguments])}))")
    elif golden.question == "gradient":
        lines += write.gradient(f"{function}({', '.join(arguments)})", prediction)
    else:
        lines.append(f"print({function}({', '.join(arguments)}))")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class _Writer:
    """How a framework writes arrays and gradients."""

    preamble: Sequence[str]
    tensor: Callable[[str, str], str]
    gradient: Callable[[str, str], list[str]]


def _torch_gradient(call: str, prediction: str) -> list[str]:
    return [
        f"{prediction}.requires_grad_()",
        f"{call}.backward(cotangent)",
        f"print({prediction}.grad)",
    ]


def _jax_gradient(call: str, prediction: str) -> list[str]:
    return [
        f"answer, pull_back = jax.vjp(lambda {prediction}: {call}, {prediction})",
        "print(pull_back(cotangent.astype(answer.dtype))[0])",
    ]


def _numpy_dtype(dtype: str) -> str:
    return "ml_dtypes.bfloat16" if dtype == "bfloat16" else f"np.{dtype}"


_FRAMEWORKS: Mapping[str, _Writer] = {
    "numpy": _Writer(
        ["import ml_dtypes", "import numpy as np"],
        lambda values, dtype: f"np.asarray({values}).astype({_numpy_dtype(dtype)})",
        lambda call, prediction: [f"print({call})  # NumPy differentiates nothing: {prediction}"],
    ),
    "torch": _Writer(
        ["import numpy as np", "import torch"],
        lambda values, dtype: f"torch.as_tensor({values}).to(torch.{dtype})",
        _torch_gradient,
    ),
    "jax": _Writer(
        [
            "import jax",
            "",
            'jax.config.update("jax_enable_x64", True)',
            "import jax.numpy as jnp",
            "import numpy as np",
        ],
        lambda values, dtype: f"jnp.asarray({values}).astype(jnp.{dtype})",
        _jax_gradient,
    ),
}


def _assign(name: str, stored: Mapping[str, Any], write: _Writer) -> Iterator[str]:
    if "layout" in stored:
        yield f"# {name} lies in memory {stored['layout']}"
    yield f"{name} = {write.tensor(_values(stored), stored['dtype'])}"


def _values(stored: Mapping[str, Any]) -> str:
    """A Python expression for the numbers: written out, or the recipe's formula for a large tensor."""
    shape = tuple(stored["shape"])
    if "recipe" not in stored:
        numbers = array(stored)
        wide = numbers.astype(np.float64) if stored["dtype"] in FORMATS else numbers
        nested = "np.array(" + _literal(wide.tolist()) + ")"
        return nested if wide.size else f"np.zeros({shape})"
    size = int(np.prod(shape))
    match stored["recipe"]:
        case "fill":
            return f"np.full({shape}, {_literal(float(stored['value']))})"
        case "periodic":
            return f"np.resize(np.array({_literal([float(term) for term in stored['terms']])}), {shape})"
    start = 1 + stored["seed"] * 7919
    hashed = f"(np.arange({start}, {start + size}) * 2654435769 % 2**32)"
    if stored["recipe"] == "hash_index":
        return f"(({hashed} >> 8) % {stored['below']}).reshape({shape})"
    bits = min(24, FORMATS[stored["dtype"]].precision)
    first, steps = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if stored["recipe"] == "hash" else (1, 2**bits)
    return f"((({hashed} >> {32 - bits}) + {first}) * {stored['scale'] / steps!r}).reshape({shape})"


def _literal(values: Any) -> str:
    return repr(values).replace("nan", "np.nan").replace("inf", "np.inf")


def _defines(source: str, name: str) -> bool:
    return any(isinstance(node, ast.FunctionDef) and node.name == name for node in ast.parse(source).body)


def _definitions(source: str, wanted: str) -> list[str]:
    """The adapter's imports, and the top-level definitions that `wanted` needs, in the file's order."""
    tree = ast.parse(source)
    bound = {name: node for node in tree.body for name in _bound_names(node)}
    needed: set[str] = set()
    pending = [wanted]
    while pending:
        name = pending.pop()
        if name in needed or name not in bound:
            continue
        needed.add(name)
        pending += [node.id for node in ast.walk(bound[name]) if isinstance(node, ast.Name)]
    lines = []
    for node in tree.body:
        if needed & set(_bound_names(node)) and not _is_future(node):
            first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
            definition = isinstance(node, ast.FunctionDef | ast.ClassDef)
            lines += ([""] if definition else []) + source.splitlines()[first - 1 : node.end_lineno]
    return lines


def _bound_names(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return [(alias.asname or alias.name).split(".")[0] for alias in names]
    return []


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"
