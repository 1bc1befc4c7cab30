"""Prints, as JSON, which parameters functions have: those of an adapter, and library functions beside them.

Run by path with the adapter's file, then the names of functions in it as NAME and library functions as MODULE:NAME or
"onnx operator NAME", in a process of its own: two frameworks may not share one. The line that is printed last maps each
to its parameters in order, and these to whether they may be left out.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import operator
import os
import sys
from typing import Any

ONNX_OPERATOR = "onnx operator "


def main(path: str, *functions: str) -> None:
    """Reads all of them; a function that the adapter lacks is null."""
    spec = importlib.util.spec_from_file_location("adapter", path)
    assert spec is not None
    assert spec.loader is not None
    adapter = importlib.util.module_from_spec(spec)
    sys.path.append(os.path.dirname(path))
    spec.loader.exec_module(adapter)
    print("\n" + json.dumps({function: read(adapter, function) for function in functions}))


def read(adapter: Any, function: str) -> dict[str, bool] | None:
    """The parameters of one function."""
    if function.startswith(ONNX_OPERATOR):
        return read_operator(function.removeprefix(ONNX_OPERATOR))
    module, colon, name = function.partition(":")
    if colon:
        return parameters_of(operator.attrgetter(name)(importlib.import_module(module)))
    return parameters_of(getattr(adapter, function)) if hasattr(adapter, function) else None


def parameters_of(function: Any) -> dict[str, bool]:
    """Those of a Python function; what it takes as **kwargs has no names."""
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(function).parameters.values()
    return {each.name: each.default is not each.empty for each in parameters if each.kind in named}


def read_operator(name: str) -> dict[str, bool]:
    """The inputs and the attributes of an ONNX operator."""
    defs = importlib.import_module("onnx.defs")
    schema = defs.get_schema(name)
    optional = defs.OpSchema.FormalParameterOption.Optional
    inputs = {each.name: each.option == optional for each in schema.inputs}
    return inputs | {name: not attribute.required for name, attribute in schema.attributes.items()}


if __name__ == "__main__":
    main(*sys.argv[1:])
