"""A case written out as people write them: a topic file of spec/cases."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence

from lossproof.case import Call, Case, Number, Recipe, Scalar, Tensor
from lossproof.spec.golden import SPEC_VERSION

# Decimals of binary64 numbers are exact too, but only short ones look so.
_SHORT = 8
_PLAIN = re.compile(r"[a-z][a-z0-9_]*")
_WORDS = ("null", "true", "false")


def topic_file(case: Case, comment: Sequence[str]) -> str:
    """The text of a topic file with this case alone, beneath a comment."""
    name = case.id.split("/")[-1]
    lines = [f"# {line}" for line in comment]
    lines += [f'since: "{SPEC_VERSION}"', "cases:", f"  - name: {name}", f"    why: {_text(case.why)}"]
    return "\n".join([*lines, *(f"    {line}" for line in _keys(case))]) + "\n"


def content_hash(case: Case) -> str:
    """Eight hexadecimal digits of what the case asks, whatever it is called."""
    return hashlib.sha256("\n".join((case.operation, *_keys(case))).encode()).hexdigest()[:8]


def _keys(case: Case) -> Iterator[str]:
    if case.kind != "value":
        yield f"kind: {case.kind}"
    yield "inputs:"
    yield from (f"  {name}: {_tensor(tensor)}" for name, tensor in case.inputs.items())
    if case.parameters:
        yield f"parameters: {_parameters(case.parameters)}"
    yield f"dtypes: [{', '.join(case.dtypes)}]"
    yield f"questions: [{', '.join(case.questions)}]"
    for key, tensor in (("cotangent", case.cotangent), ("direction", case.direction)):
        if tensor is not None:
            yield f"{key}: {_tensor(tensor)}"
    if case.relation:
        yield f"relation: {case.relation.name}"
        if case.relation.order:
            yield f"order: {list(case.relation.order)}"
            yield f"axis: {case.relation.axis}"
        yield "calls:"
        yield from (f"  - {_call(call, case)}" for call in case.relation.calls)


def _call(call: Call, case: Case) -> str:
    """What a call states beside the case."""
    inputs = {name: _tensor(tensor) for name, tensor in call.inputs.items() if tensor != case.inputs[name]}
    parameters = {name: value for name, value in call.parameters.items() if case.parameters.get(name) != value}
    stated = [f"inputs: {_mapping(inputs)}"] * bool(inputs) + [f"parameters: {_parameters(parameters)}"]
    return f"{{{', '.join(stated)}}}"


def _parameters(parameters: Mapping[str, Scalar | Tensor]) -> str:
    return _mapping({n: _tensor(v) if isinstance(v, Tensor) else _scalar(v) for n, v in parameters.items()})


def _mapping(texts: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{name}: {text}" for name, text in texts.items()) + "}"


def _scalar(value: Scalar) -> str:
    # A hexadecimal float would be taken for a word here.
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(text: str) -> str:
    return text if _PLAIN.fullmatch(text) and text not in _WORDS else json.dumps(text, ensure_ascii=False)


def _tensor(tensor: Tensor) -> str:
    beside = {}
    if tensor.kind == "integer" and tensor.dtype not in (None, "int64"):
        beside["dtype"] = str(tensor.dtype)
    if tensor.layout:
        beside["layout"] = tensor.layout
    if tensor.recipe or 0 in tensor.shape:
        return _mapping({"shape": str(list(tensor.shape)), **_recipe(tensor), **beside})
    assert tensor.values is not None
    values = _nested([_number(value) for value in tensor.values], tensor.shape)
    # Among parameters, a single number in quotes would be taken for a word.
    return _mapping({"values": values, **beside}) if beside or values.startswith('"') else values


def _recipe(tensor: Tensor) -> dict[str, str]:
    """The recipe, or any that fits where there is no number."""
    recipe = tensor.recipe or Recipe("fill", value=0 if tensor.kind == "integer" else 0.0)
    match recipe.name:
        case "fill":
            return {"recipe": "fill", "value": _number(recipe.value)}
        case "hash_index":
            return {"recipe": "hash_index", "seed": str(recipe.seed), "below": str(recipe.below)}
        case "periodic":
            return {"recipe": "periodic", "terms": f"[{', '.join(map(_number, recipe.terms))}]"}
        case name:
            return {"recipe": name, "seed": str(recipe.seed), "scale": _number(recipe.scale)}


def _nested(texts: Sequence[str], shape: tuple[int, ...]) -> str:
    if not shape:
        return texts[0]
    step = len(texts) // shape[0]
    return f"[{', '.join(_nested(texts[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0]))}]"


def _number(number: Number) -> str:
    """Exact: an integer, a short decimal, or a hexadecimal float."""
    if isinstance(number, int):
        return str(number)
    if not math.isfinite(number):
        return f'"{number!r}"'
    if number == 0:
        return '"-0.0"' if math.copysign(1, number) < 0 else "0.0"
    decimal = repr(number)
    return decimal if len(decimal) <= _SHORT else f'"{_hexadecimal(number)}"'


def _hexadecimal(number: float) -> str:
    """As float.hex writes it, less the zeros that end its digits."""
    digits, exponent = number.hex().split("p")
    return f"{digits.rstrip('0').rstrip('.') if '.' in digits else digits}p{exponent}"
