"""A case held against its operation: parameters, shapes, and what only a policy may contain."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lossproof.case import Call, Case, Relation, Scalar, Tensor
from lossproof.numerics import overflow_threshold
from lossproof.spec.operations import Input, Operation, Parameter
from lossproof.spec.shapes import class_count, result_shape, shape_of
from lossproof.spec.tensors import size
from lossproof.spec.yaml import Place, show

Shape = tuple[int, ...]
Parameters = Mapping[str, Scalar | Tensor]

_OF_TWO = ("sum_of_first_is_second", "mean_of_first_is_second", "permutation")


def check_case(case: Case, operations: Mapping[str, Operation], place: Place) -> None:
    """Raise SpecError where a case does not fit its operation; what raises on purpose may break shapes and ranges."""
    _check_questions(case, operations[case.operation], place)
    for index, call in enumerate(case.calls):
        _check_call(case, call, operations[call.operation], place.at("calls", index) if case.relation else place)
    for name, tensor in (("cotangent", case.cotangent), ("direction", case.direction)):
        if tensor is not None:
            _check_finite(tensor, case.dtypes, place.at(name))
    _check_copies(case, place)
    if case.relation is not None:
        _check_relation(case, case.relation, place)
    elif case.kind == "relation":
        raise place.error("relation and calls where kind is relation", "neither")


def _check_questions(case: Case, operation: Operation, place: Place) -> None:
    for index, question in enumerate(case.questions):
        if question not in operation.questions:
            wish = f"a question of {operation.name} ({', '.join(operation.questions)})"
            raise place.at("questions", index).error(wish, show(question))
        tensor = case.inputs.get(operation.differentiated(question))
        if question != "value" and case.kind != "raises" and tensor is not None and tensor.kind == "integer":
            raise place.at("questions", index).error("a question about an input that holds no integers", show(question))
    has_cotangent = any(call.cotangent is not None for call in case.calls)
    if has_cotangent and all(question in ("value", "tangent") for question in case.questions):
        raise place.at("cotangent").error("a question about a gradient beside it", ", ".join(case.questions))
    if case.direction is not None and not {"hessian", "tangent"} & set(case.questions):
        raise place.at("direction").error("the question hessian or tangent beside it", ", ".join(case.questions))


def _check_call(case: Case, call: Call, operation: Operation, place: Place) -> None:
    leading: Shape = ()
    if case.transform == "vmap" and case.kind != "raises":
        leading, call = _first_slice(call, place)
    _check_inputs(case, call, operation, place)
    _check_parameters(case, call.parameters, operation, place)
    if case.kind != "raises":
        _check_shapes(call, operation, place)
        _check_labels(case, call, operation, place)
        _check_incoming(case, call, operation, leading, place)
    if case.kind not in ("raises", "policy", "hazard"):
        _check_ranges(call, operation, place)
    for name, tensor in call.inputs.items():
        _check_finite(tensor, case.dtypes, place.at("inputs", name))


def _first_slice(call: Call, place: Place) -> tuple[Shape, Call]:
    """The leading axis, and the call that vmap makes of it: every input without that axis."""
    leading = {tensor.shape[:1] for tensor in call.inputs.values()}
    if len(leading) != 1 or leading & {(), (0,)}:
        shapes = ", ".join(str(tensor.shape) for tensor in call.inputs.values())
        raise place.at("inputs").error("a leading axis of one length (transform vmap)", shapes)
    sliced = {name: replace(each, shape=each.shape[1:]) for name, each in call.inputs.items()}
    return leading.pop(), replace(call, inputs=sliced)


def _check_copies(case: Case, place: Place) -> None:
    if (case.copies > 1) != (case.profile == "huge"):
        raise place.error("copies exactly where the profile is huge", f"profile {case.profile}")
    for name, tensor in case.inputs.items():
        if case.copies > 1 and tensor.shape[:1] != (1,):
            raise place.at("inputs", name).error("a first axis of length 1, which is copied", str(tensor.shape))


def _check_relation(case: Case, relation: Relation, place: Place) -> None:
    if (relation.name == "same_bits") != (case.kind == "contract") or case.kind not in ("contract", "relation"):
        raise place.error("kind contract for same_bits, kind relation for every other relation", f"kind {case.kind}")
    if len(case.questions) != 1:
        raise place.at("questions").error("one question, which every call is asked", ", ".join(case.questions))
    if relation.name in _OF_TWO and len(relation.calls) != 2:
        raise place.at("calls").error(f"two calls for {relation.name}", str(len(relation.calls)))
    if relation.coefficients and not relation.coefficients[-1]:
        raise place.at("coefficients").error("a last coefficient other than 0", "0")
    if sorted(relation.order) != list(range(len(relation.order))):
        wish = f"every position from 0 to {len(relation.order) - 1} once"
        raise place.at("order").error(wish, ", ".join(map(str, relation.order)))
    for key, stated in (
        ("combination", len(relation.coefficients) == len(relation.calls)),
        ("permutation", bool(relation.order)),
        ("same_bits", relation.promise is not None),
    ):
        if stated != (relation.name == key):
            wish = "coefficients (one a call) for a combination, order for a permutation, property for same_bits"
            raise place.error(wish, f"the relation {relation.name}")


def _check_inputs(case: Case, call: Call, operation: Operation, place: Place) -> None:
    if tuple(call.inputs) != operation.input_names:
        wish = f"the inputs {', '.join(operation.input_names)}, in this order"
        raise place.at("inputs").error(wish, ", ".join(call.inputs) or "none")
    for each in operation.inputs:
        tensor = call.inputs[each.name]
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


def _check_shapes(call: Call, operation: Operation, place: Place) -> None:
    shapes = {name: tensor.shape for name, tensor in call.inputs.items()}
    prediction = operation.differentiable[0]
    if operation.class_axis is not None and not shapes[prediction]:
        raise place.at("inputs", prediction).error("at least one axis, the classes", "a single number")
    for each in operation.inputs:
        tensor = call.inputs[each.name]
        word = "rows" if _has_rows_only(each, tensor) else each.shape.removeprefix("rows, or ").split(" when")[0]
        wish = shape_of(word, operation, shapes, call.parameters)
        if tensor.shape != wish:
            raise place.at("inputs", each.name).error(f"the shape {wish}", str(tensor.shape))
    for name, value in call.parameters.items():
        form = operation.parameters[name].shape
        if isinstance(value, Tensor) and form is not None:
            wish = shape_of(form, operation, shapes, call.parameters)
            _check_parameter_shape(form, value, wish, place.at("parameters", name))


def _check_incoming(case: Case, call: Call, operation: Operation, leading: Shape, place: Place) -> None:
    """A cotangent has the shape of the value, a direction that of the prediction."""
    shapes = {name: tensor.shape for name, tensor in call.inputs.items()}
    for name, tensor, shape in (
        ("cotangent", call.cotangent, result_shape(operation, shapes, call.parameters)),
        ("direction", case.direction, shapes[operation.differentiable[0]]),
    ):
        if tensor is not None and tensor.shape != leading + shape:
            raise place.at(name).error(f"the shape {leading + shape}", str(tensor.shape))


def _has_rows_only(each: Input, tensor: Tensor) -> bool:
    return each.shape == "rows" or (each.shape.startswith("rows, or") and tensor.kind == "integer")


def _check_parameter_shape(word: str, tensor: Tensor, wish: Shape, place: Place) -> None:
    if word == "elements" and not _broadcasts(tensor.shape, wish):
        raise place.error(f"a shape that broadcasts to {wish}", str(tensor.shape))
    if word != "elements" and tensor.shape != wish:
        raise place.error(f"the shape {wish} (kind raises may have others)", str(tensor.shape))


def _broadcasts(shape: Shape, target: Shape) -> bool:
    if len(shape) > len(target):
        return False
    aligned = target[len(target) - len(shape) :]
    return all(length in (1, wish) for length, wish in zip(shape, aligned, strict=True))


def _check_labels(case: Case, call: Call, operation: Operation, place: Place) -> None:
    """Labels lie below the number of classes or are ignored, except where the dialect decides."""
    if case.kind in ("policy", "hazard") or operation.class_axis is None:
        return
    stated = call.parameters
    classes = class_count(operation, {name: tensor.shape for name, tensor in call.inputs.items()}, stated)
    for each in operation.inputs:
        tensor = call.inputs[each.name]
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


def _check_ranges(call: Call, operation: Operation, place: Place) -> None:
    """Numbers lie in the range on which the operation is defined; NaN does not."""
    for each in operation.inputs:
        if each.minimum is None or each.maximum is None:
            continue
        for number in call.inputs[each.name].values or ():
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
