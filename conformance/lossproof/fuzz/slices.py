"""Cases without one of their rows, classes or features: Hypothesis cannot take one out of several tensors at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from lossproof.case import Case, Tensor
from lossproof.fuzz.strategies import BY_WORDS
from lossproof.spec.operations import Operation
from lossproof.spec.shapes import class_axis, logits_shape, result_shape

# What an axis of a tensor is: an axis of the rows by its number, or one of these; None where it is broadcast.
_CLASSES, _FEATURES = -1, -2
Axes = tuple[int | None, ...]


def smaller(case: Case, operation: Operation) -> Iterator[Case]:
    """The case less one slice of each axis in turn; none where a relation or a recipe ties its numbers together."""
    tensors = {**case.inputs, **{n: v for n, v in case.parameters.items() if isinstance(v, Tensor)}}
    if case.relation or any(tensor.recipe for tensor in tensors.values()):
        return
    shapes = {name: tensor.shape for name, tensor in case.inputs.items()}
    whole = logits_shape(operation, shapes, case.parameters)
    position = class_axis(operation, len(whole), case.parameters) if operation.class_axis else None
    of_whole = tuple(_CLASSES if axis == position else axis for axis in range(len(whole)))
    axes = _axes_of(case, operation, of_whole, whole)
    lengths = dict(zip(of_whole, whole, strict=True))
    if operation.class_rows is not None:
        lengths[_FEATURES] = case.inputs[operation.class_rows].shape[-1]
    stated = case.parameters.get(operation.ignored_by or "")
    ignored = stated if isinstance(stated, int) else _CLASSES
    for axis, length in lengths.items():
        for index in range(length if length > 1 else 0):
            without = _without(case, axes, axis, index, ignored)
            if without is not None:
                yield without


def _axes_of(case: Case, operation: Operation, of_whole: Axes, whole: tuple[int, ...]) -> Mapping[str, Axes]:
    """The axes of each tensor by name, the cotangent and the direction included."""
    of_rows = tuple(axis for axis in of_whole if axis != _CLASSES)
    axes: dict[str, Axes] = {}
    for each in operation.inputs:
        word = each.shape
        if word.startswith(BY_WORDS):
            word = "rows classes" if case.inputs[each.name].kind == "floating" else "rows"
        axes[each.name] = {
            "rows": of_rows,
            "rows features": (*of_rows, _FEATURES),
            "classes features": (_CLASSES, _FEATURES),
        }.get(word, of_whole)
    for name, value in case.parameters.items():
        if isinstance(value, Tensor) and operation.parameters[name].shape == "classes":
            axes[name] = (_CLASSES,)
        elif isinstance(value, Tensor):
            start = len(whole) - len(value.shape)
            axes[name] = tuple(
                axis if length == whole[start + place] else None
                for place, (axis, length) in enumerate(zip(of_whole[start:], value.shape, strict=True))
            )
    reduced = not result_shape(operation, {name: tensor.shape for name, tensor in case.inputs.items()}, case.parameters)
    unreduced = of_rows if operation.result_shape == "rows" else of_whole
    return {**axes, "cotangent": () if reduced else unreduced, "direction": axes[operation.differentiable[0]]}


def _without(case: Case, axes: Mapping[str, Axes], axis: int, index: int, ignored: int) -> Case | None:
    """The case without one slice; None where a label names the class, or a class is ignored."""
    inputs = {}
    for name, tensor in case.inputs.items():
        less = _deleted(tensor, axes[name], axis, index)
        if axis == _CLASSES and tensor.kind == "integer":
            if index in (tensor.values or ()) or ignored >= 0:
                return None
            less = replace(less, values=tuple(label - (label > index) for label in less.values or ()))
        inputs[name] = less
    parameters = {
        name: _deleted(value, axes[name], axis, index) if isinstance(value, Tensor) else value
        for name, value in case.parameters.items()
    }
    cotangent, direction = (
        tensor and _deleted(tensor, axes[name], axis, index)
        for name, tensor in (("cotangent", case.cotangent), ("direction", case.direction))
    )
    return replace(case, inputs=inputs, parameters=parameters, cotangent=cotangent, direction=direction)


def _deleted(tensor: Tensor, axes: Axes, axis: int, index: int) -> Tensor:
    if axis not in axes:
        return tensor
    numbers = np.delete(np.array(tensor.values).reshape(tensor.shape), index, axes.index(axis))
    return replace(tensor, shape=numbers.shape, values=tuple(numbers.ravel().tolist()))
