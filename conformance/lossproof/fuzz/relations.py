"""Strategies for relations: what must hold between two calls of any operation of which its file says so."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from lossproof.case import Call, Case, Relation, Scalar, Tensor
from lossproof.fuzz.draws import pick
from lossproof.fuzz.strategies import Parameters, Rules, cases, ignored_label
from lossproof.numerics import overflow_threshold, round_to
from lossproof.spec.operations import Operation
from lossproof.spec.shapes import class_axis, logits_shape, shape_of

# Integers, so that adding one to plain logits is exact in most dtypes.
_SHIFTS = (1.0, -8.0, 64.0, 1024.0, 16384.0, 1048576.0)
# How the domain of an input says that it goes through a softmax, which no shift changes.
_SOFTMAX = "is a class that cannot occur"


@st.composite
def relations(draw: st.DrawFn, operation: Operation, rules: Rules, dtypes: Sequence[str]) -> Case:
    """A case of kind relation between values, or of kind value where no relation holds for what was drawn."""
    case = draw(cases(operation, rules, dtypes, ("value",)))
    if any(tensor.recipe for tensor in (*case.inputs.values(), *_tensors(case.parameters).values())):
        return case
    # Changed inputs need not lie in memory as these do.
    case = replace(case, inputs={name: replace(each, layout=None) for name, each in case.inputs.items()})
    related = [each for build in _BUILDERS for each in build(case, operation, rules)]
    if not related:
        return case
    relation = pick(draw, related)
    shared = {name: value for name, value in case.parameters.items() if _is_shared(name, value, relation)}
    return replace(case, kind="relation", parameters=shared, relation=relation)


def _is_shared(name: str, value: Scalar | Tensor, relation: Relation) -> bool:
    return all(call.parameters.get(name) == value for call in relation.calls)


def _reductions(case: Case, operation: Operation, rules: Rules) -> list[Relation]:
    """Adding what is not reduced is the sum; dividing by the number of terms is the mean where all of them count."""
    if "reduction" not in operation.parameters:
        return []
    calls = {name: _call(case, {"reduction": name}) for name in operation.parameters["reduction"].choices}
    related = [Relation("sum_of_first_is_second", (calls["none"], calls["sum"]))]
    if _all_terms_count(case, operation, rules):
        related.append(Relation("mean_of_first_is_second", (calls["none"], calls["mean"])))
    return related


def _all_terms_count(case: Case, operation: Operation, rules: Rules) -> bool:
    """Whether a mean divides by the number of terms: there are some, no label is ignored or weighs other than 1."""
    labels = {each: case.inputs[each.name] for each in operation.inputs if case.inputs[each.name].kind == "integer"}
    weighed = any(operation.parameters[name].shape == "classes" for name in _tensors(case.parameters))
    ignored = any(
        ignored_label(each, operation, case.parameters, rules) in (tensor.values or ())
        for each, tensor in labels.items()
    )
    shapes = {name: tensor.shape for name, tensor in case.inputs.items()}
    rows = shape_of(operation.result_shape, operation, shapes, case.parameters)
    return math.prod(rows) > 0 and not (labels and (weighed or ignored))


def _rows(case: Case, operation: Operation, rules: Rules) -> list[Relation]:  # noqa: ARG001 - like the other builders
    """Rows in reverse order give reversed results; reduced ones stay what they are."""
    shapes = {name: tensor.shape for name, tensor in case.inputs.items()}
    whole = logits_shape(operation, shapes, case.parameters)
    axis = class_axis(operation, len(whole), case.parameters) if operation.class_axis else None
    if axis == 0 or whole[0] < 2:
        return []
    moved = {
        each.name: tensor if each.shape == "classes features" else _taken(tensor, range(whole[0])[::-1], 0)
        for each, tensor in ((each, case.inputs[each.name]) for each in operation.inputs)
    }
    parameters = {
        name: _taken(tensor, range(whole[0])[::-1], 0)
        for name, tensor in _tensors(case.parameters).items()
        if operation.parameters[name].shape == "elements"
        and tensor.shape[:1] == whole[:1]
        and len(tensor.shape) == len(whole)
    }
    return _moved(case, replace(_call(case, parameters), inputs=moved), operation, whole[0])


def _moved(case: Case, second: Call, operation: Operation, length: int) -> list[Relation]:
    first = _call(case, {})
    reduction = operation.parameters.get("reduction")
    if reduction is not None and case.parameters.get("reduction", reduction.default) != "none":
        return [Relation("equal", (first, second))]
    return [Relation("permutation", (first, second), order=tuple(range(length))[::-1], axis=0)]


def _classes(case: Case, operation: Operation, rules: Rules) -> list[Relation]:
    """Classes in reverse order, labels and weights with them, give the same rows."""
    if operation.class_axis is None or operation.class_rows or operation.result_shape != "rows":
        return []
    shape = case.inputs[operation.differentiable[0]].shape
    axis = class_axis(operation, len(shape), case.parameters)
    classes = shape[axis]
    if classes < 2:
        return []
    inputs, parameters = {}, {}
    for each in operation.inputs:
        tensor = case.inputs[each.name]
        ignored = ignored_label(each, operation, case.parameters, rules)
        if tensor.kind == "floating":
            inputs[each.name] = _taken(tensor, range(classes)[::-1], axis)
            continue
        if ignored is not None and 0 <= ignored < classes:
            # The ignored class moves too, which only a stated parameter can say.
            if each.ignored_by is None or each.ignored_by not in case.parameters:
                return []
            parameters[each.ignored_by] = classes - 1 - ignored
        values = tuple(int(classes - 1 - v) if 0 <= v < classes else v for v in tensor.values or ())
        inputs[each.name] = replace(tensor, values=values)
    weights = {
        name: _taken(tensor, range(classes)[::-1], 0)
        for name, tensor in _tensors(case.parameters).items()
        if operation.parameters[name].shape == "classes"
    }
    second = replace(_call(case, {**parameters, **weights}), inputs=inputs)
    return [Relation("equal", (_call(case, {}), second))]


def _shifts(case: Case, operation: Operation, rules: Rules) -> list[Relation]:  # noqa: ARG001 - like the other builders
    """A number added to all logits changes nothing, where adding it is exact."""
    name = operation.differentiable[0]
    domain = next(each.domain for each in operation.inputs if each.name == name)
    if _SOFTMAX not in domain:
        return []
    logits, dtype = case.inputs[name], case.dtypes[0]
    shifted = ((shift, np.array(logits.values, dtype=np.float64) + shift) for shift in _SHIFTS)
    return [
        Relation("equal", (_call(case, {}), _with_input(case, name, tuple(numbers.tolist()))))
        for shift, numbers in shifted
        if _is_exact(numbers, np.array(logits.values, dtype=np.float64), shift, dtype)
    ]


def _is_exact(
    shifted: np.typing.NDArray[np.float64], numbers: np.typing.NDArray[np.float64], shift: float, dtype: str
) -> bool:
    """Whether each finite number was shifted without rounding, in binary64 and in the dtype."""
    finite = np.isfinite(numbers)
    near = np.abs(shifted[finite]) < overflow_threshold(dtype)
    held = round_to(dtype, shifted[finite]).astype(np.float64) == shifted[finite]
    return bool((near & held & (shifted[finite] - shift == numbers[finite])).all())


def _with_input(case: Case, name: str, values: tuple[float, ...]) -> Call:
    return Call(case.operation, {**case.inputs, name: replace(case.inputs[name], values=values)}, case.parameters)


def _call(case: Case, parameters: Parameters) -> Call:
    return Call(case.operation, case.inputs, {**case.parameters, **parameters})


def _taken(tensor: Tensor, order: Sequence[int], axis: int) -> Tensor:
    """The tensor with the slices along an axis in another order."""
    numbers = np.array(tensor.values).reshape(tensor.shape)
    return replace(tensor, values=tuple(np.take(numbers, order, axis).ravel().tolist()), layout=None)


def _tensors(parameters: Parameters) -> Mapping[str, Tensor]:
    return {name: value for name, value in parameters.items() if isinstance(value, Tensor)}


_BUILDERS: tuple[Callable[[Case, Operation, Rules], list[Relation]], ...] = (_reductions, _rows, _classes, _shifts)
