"""The levels at which a call of a case stands."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from lossproof.case import Call, Case, Scalar, Tensor
from lossproof.coverage.factors import (
    FEW,
    LABEL_DTYPES,
    MOST_FEW,
    NEED_AN_ELEMENT,
    PROBABILITIES,
    RANKS,
    SIZES,
    Levels,
    has_elements,
    layout_of,
    target_of,
)
from lossproof.materialise import materialise
from lossproof.spec.operations import Operation, Parameter
from lossproof.spec.shapes import Parameters, Shapes, class_count
from lossproof.spec.tensors import size


@dataclass(frozen=True)
class Asked:
    """Levels of one call in one dtype; a factor whose value is none of its levels is missing."""

    case: str
    levels: Levels


def asked(operation: Operation, cases: Iterable[Case]) -> Iterator[Asked]:
    """What the cases ask of an operation; a case without a value to be right about asks nothing."""
    for case in cases:
        if case.kind in ("raises", "policy", "hazard") or case.profile != "default" or case.transform == "vmap":
            continue
        for call in case.calls:
            if call.operation == operation.name:
                levels = levels_of(operation, call)
                yield from (Asked(case.id, {**levels, "dtype": dtype}) for dtype in case.dtypes)


def levels_of(operation: Operation, call: Call) -> dict[str, str]:
    """The level of each factor but the dtype."""
    shapes = {name: tensor.shape for name, tensor in call.inputs.items()}
    found = {
        "size": size_level(operation, shapes, call.parameters),
        "rank": _known(str(len(shapes[operation.differentiable[0]])), RANKS),
        **_target_levels(operation, call),
        **{layout_of(name): _layout(tensor) for name, tensor in call.inputs.items()},
        **{name: _parameter_level(operation, parameter, call) for name, parameter in operation.parameters.items()},
    }
    return {name: level for name, level in found.items() if level is not None}


def size_level(operation: Operation, shapes: Shapes, parameters: Parameters) -> str | None:
    """The level of the number of classes, or of elements; "0" where the prediction is empty."""
    prediction = shapes[operation.differentiable[0]]
    if math.prod(prediction) == 0:
        return "0"
    number = count(operation, shapes, parameters)
    if number in SIZES:
        return str(number)
    return FEW if number <= MOST_FEW else None


def count(operation: Operation, shapes: Shapes, parameters: Parameters) -> int:
    """The number of classes; of elements where there are no classes."""
    if has_elements(operation):
        return math.prod(shapes[operation.differentiable[0]])
    return class_count(operation, shapes, parameters)


def differs(layout: str, shape: tuple[int, ...]) -> bool:
    """Whether an array of this shape lies in memory otherwise than contiguously, if it is laid out so."""
    long = [length for length in shape if length != 1]
    if 0 in shape and layout in NEED_AN_ELEMENT:
        return False
    match layout:
        case "transposed":
            return len(long) > 1
        case "channels_last":
            return len(shape) > 1 and shape[1] != 1 and any(length != 1 for length in shape[2:])
        case "expanded":
            return shape[:1] != (1,)
        case "reversed":
            return shape[-1:] != (1,)
        case _:
            return True


def _layout(tensor: Tensor) -> str | None:
    if tensor.layout is None:
        return "contiguous"
    return tensor.layout if differs(tensor.layout, tensor.shape) else None


def _known(level: str, levels: tuple[str, ...]) -> str | None:
    return level if level in levels else None


def _target_levels(operation: Operation, call: Call) -> Mapping[str, str | None]:
    each = target_of(operation)
    tensor = call.inputs[each.name]
    if tensor.kind == "integer":
        return {"target": _known(tensor.dtype or "int64", LABEL_DTYPES), "ignored": _ignored(operation, call, tensor)}
    if each.dtype != "floating":
        return {"target": PROBABILITIES, "ignored": "none"}
    if each.role == "target" and has_elements(operation):
        return {"target": "hard" if set(_numbers(tensor)) <= {0.0, 1.0} else "soft"}
    return {}


def _ignored(operation: Operation, call: Call, target: Tensor) -> str | None:
    name = operation.ignored_by
    if name is None:
        return None
    label = call.parameters.get(name, operation.parameters[name].default)
    matches = [number == label for number in _numbers(target)]
    if not any(matches):
        return "none"
    return "all" if all(matches) else "some"


def _parameter_level(operation: Operation, parameter: Parameter, call: Call) -> str | None:
    if parameter.name not in call.parameters:
        return "absent" if parameter.type == "tensor" else "default"
    value = call.parameters[parameter.name]
    if isinstance(value, Tensor):
        return _tensor_level(parameter, value, call.inputs[operation.differentiable[0]].shape)
    if value is None:
        return "absent" if parameter.type == "tensor" else "default"
    if parameter.name == operation.ignored_by:
        shapes = {name: tensor.shape for name, tensor in call.inputs.items()}
        return "inside" if value in range(count(operation, shapes, call.parameters)) else "outside"
    if parameter.name == operation.class_axis:
        return _axis_level(value, len(call.inputs[operation.differentiable[0]].shape))
    return _plain_level(parameter, value)


def _plain_level(parameter: Parameter, value: Scalar) -> str | None:
    match parameter.type:
        case "choice":
            return _known(str(value), parameter.choices)
        case "number":
            return f"{value:g}" if value in (parameter.minimum, parameter.maximum) else "inside"
        case "boolean":
            return str(value).lower()
        case _:
            return "stated"


def _axis_level(axis: Scalar, rank: int) -> str:
    assert isinstance(axis, int)
    if axis < 0:
        return "negative"
    if axis == 0:
        return "first"
    return "last" if axis == rank - 1 else "middle"


def _tensor_level(parameter: Parameter, tensor: Tensor, prediction: tuple[int, ...]) -> str:
    if parameter.shape == "elements" and tensor.shape != prediction:
        return "broadcast"
    return "with-zero" if 0.0 in _numbers(tensor) else "plain"


def _numbers(tensor: Tensor) -> list[float]:
    """All numbers of a tensor; a recipe's own where it states them, as a large one need not be filled for that."""
    if tensor.recipe is not None and tensor.recipe.name in ("fill", "periodic") and size(tensor.shape):
        terms = tensor.recipe.terms or (tensor.recipe.value,)
        return [float(term) for term in terms[: size(tensor.shape)]]
    numbers: list[float] = materialise(tensor, "float64").ravel().tolist()
    return numbers
