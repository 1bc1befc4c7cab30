"""A case held against its operation: parameters, shapes, and what only a policy may contain."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from lossproof.case import Case, Scalar, Tensor
from lossproof.numerics import overflow_threshold
from lossproof.spec.operations import Input, Operation, Parameter
from lossproof.spec.shapes import class_axis
from lossproof.spec.tensors import size
from lossproof.spec.yaml import Place, show

Shape = tuple[int, ...]
Parameters = Mapping[str, Scalar | Tensor]


def check_case(case: Case, operation: Operation, place: Place) -> None:
    """Raise SpecError where a case does not fit its operation; what raises on purpose may break shapes and ranges."""
    _check_inputs(case, operation, place)
    for call in case.calls or (case.parameters,):
        _check_parameters(case, call, operation, place)
        if case.kind != "raises":
            _check_shapes(case, call, operation, place)
            _check_labels(case, call, operation, place)
    if case.kind not in ("raises", "policy", "hazard"):
        _check_ranges(case, operation, place)
    for name, tensor in case.inputs.items():
        _check_finite(tensor, case.dtypes, place.at("inputs", name))


def _check_inputs(case: Case, operation: Operation, place: Place) -> None:
    if tuple(case.inputs) != operation.input_names:
        wish = f"the inputs {', '.join(operation.input_names)}, in this order"
        raise place.at("inputs").error(wish, ", ".join(case.inputs) or "none")
    for each in operation.inputs:
        tensor = case.inputs[each.name]
        wishes = {"floating": ("floating",), "index": ("integer",)}.get(each.dtype, ("integer", "floating"))
        if tensor.kind not in wishes and case.kind != "raises":
            wish = "integers" if wishes == ("integer",) else "numbers with a point (floats)"
            raise place.at("inputs", each.name).error(wish, f"{tensor.kind} numbers")


def _check_parameters(case: Case, stated: Parameters, operation: Operation, place: Place) -> None:
    for name, value in stated.items():
        here = place.at("parameters", name)
        if name not in operation.parameters:
            known = ", ".join(operation.parameters)
            raise here.error(f"a parameter of {operation.name} ({known})", show(name))
        if case.kind != "raises":
            _check_value(operation.parameters[name], value, here)
        if isinstance(value, Tensor):
            _check_finite(value, case.dtypes, here)


def _check_value(parameter: Parameter, value: Scalar | Tensor, place: Place) -> None:
    if value is None and parameter.default is None:
        return
    wish = _wish(parameter)
    fits = {
        "tensor": isinstance(value, Tensor) and value.kind == "floating",
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "number": isinstance(value, int | float) and not isinstance(value, bool),
        "choice": value in parameter.choices,
        "boolean": isinstance(value, bool),
    }[parameter.type]
    if fits and isinstance(value, int | float):
        low = -math.inf if parameter.minimum is None else parameter.minimum
        high = math.inf if parameter.maximum is None else parameter.maximum
        fits = low <= value <= high
    if not fits:
        got = f"a {value.kind} tensor" if isinstance(value, Tensor) else show(value)
        raise place.error(f"{wish} (kind raises may have others)", got)


def _wish(parameter: Parameter) -> str:
    if parameter.type == "choice":
        return ", ".join(parameter.choices)
    if parameter.type == "tensor":
        return "a tensor of floats"
    if parameter.type == "boolean":
        return "true or false"
    kind = "an integer" if parameter.type == "integer" else "a number"
    if parameter.minimum is not None and parameter.maximum is not None:
        return f"{kind} from {parameter.minimum} to {parameter.maximum}"
    return kind


def _check_shapes(case: Case, stated: Parameters, operation: Operation, place: Place) -> None:
    prediction = case.inputs[operation.differentiable[0]]
    rows, classes = prediction.shape, 0
    if operation.class_axis is not None:
        if not prediction.shape:
            here = place.at("inputs", operation.differentiable[0])
            raise here.error("at least one axis, the classes", "a single number")
        axis = class_axis(operation, len(prediction.shape), stated)
        rows, classes = prediction.shape[:axis] + prediction.shape[axis + 1 :], prediction.shape[axis]
    for each in operation.inputs:
        tensor = case.inputs[each.name]
        wish = rows if _has_rows_only(each, tensor) else prediction.shape
        if tensor.shape != wish:
            raise place.at("inputs", each.name).error(f"the shape {wish}", str(tensor.shape))
    for name, value in stated.items():
        if isinstance(value, Tensor):
            shape = operation.parameters[name].shape
            _check_parameter_shape(shape, value, prediction.shape, classes, place.at("parameters", name))


def _has_rows_only(each: Input, tensor: Tensor) -> bool:
    return each.shape == "rows" or (each.shape.startswith("rows, or") and tensor.kind == "integer")


def _check_parameter_shape(form: str | None, tensor: Tensor, elements: Shape, classes: int, place: Place) -> None:
    if form == "classes" and tensor.shape != (classes,):
        raise place.error(f"the shape {(classes,)} (kind raises may have others)", str(tensor.shape))
    if form == "elements" and not _broadcasts(tensor.shape, elements):
        raise place.error(f"a shape that broadcasts to {elements}", str(tensor.shape))


def _broadcasts(shape: Shape, target: Shape) -> bool:
    if len(shape) > len(target):
        return False
    aligned = target[len(target) - len(shape) :]
    return all(length in (1, wish) for length, wish in zip(shape, aligned, strict=True))


def _check_labels(case: Case, stated: Parameters, operation: Operation, place: Place) -> None:
    """Labels lie below the number of classes or are ignored, except where the dialect decides."""
    if case.kind in ("policy", "hazard") or operation.class_axis is None:
        return
    prediction = case.inputs[operation.differentiable[0]]
    classes = prediction.shape[class_axis(operation, len(prediction.shape), stated)]
    for each in operation.inputs:
        tensor = case.inputs[each.name]
        if tensor.kind != "integer" or each.role != "target":
            continue
        ignored = None
        if each.ignored_by is not None:
            ignored = stated.get(each.ignored_by, operation.parameters[each.ignored_by].default)
        for label in _labels(tensor):
            if label != ignored and not 0 <= label < classes:
                wish = f"an index below {classes} (classes; kind policy may have others)"
                raise place.at("inputs", each.name).error(wish, str(label))


def _labels(tensor: Tensor) -> tuple[int | float, ...]:
    if tensor.values is not None:
        return tensor.values
    if tensor.recipe is None or not size(tensor.shape):
        return ()
    if tensor.recipe.name == "hash_index":
        return (tensor.recipe.below - 1,)
    return tensor.recipe.terms or (tensor.recipe.value,)


def _check_ranges(case: Case, operation: Operation, place: Place) -> None:
    """Numbers lie in the range on which the operation is defined; NaN does not."""
    for each in operation.inputs:
        if each.minimum is None or each.maximum is None:
            continue
        for number in case.inputs[each.name].values or ():
            if not each.minimum <= number <= each.maximum:
                wish = f"numbers from {each.minimum} to {each.maximum} (kind policy may have others)"
                raise place.at("inputs", each.name).error(wish, show(number))


def _check_finite(tensor: Tensor, dtypes: tuple[str, ...], place: Place) -> None:
    """A finite number stays finite in every dtype, so that the case means the same in each."""
    if tensor.kind != "floating":
        return
    numbers: tuple[int | float, ...] = tensor.values or ()
    if tensor.recipe is not None:
        numbers = tensor.recipe.terms or (tensor.recipe.value, tensor.recipe.scale)
    largest = np.max(np.abs([number for number in numbers if math.isfinite(number)]), initial=0.0)
    for dtype in dtypes:
        if largest >= overflow_threshold(dtype):
            raise place.error(f"numbers that stay finite in {dtype}, or dtypes without it", show(float(largest)))
