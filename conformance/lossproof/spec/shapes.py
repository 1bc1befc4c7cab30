"""Shapes that follow from others: of what the spec's words mean, and of answers."""

from __future__ import annotations

from collections.abc import Mapping

from lossproof.case import Scalar, Tensor
from lossproof.spec.operations import Operation

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
Parameters = Mapping[str, Scalar | Tensor]


def answer_shape(operation: Operation, question: str, inputs: Shapes, parameters: Parameters) -> Shape:
    """Shape of the answer to a question: of the result, or of the input that is differentiated."""
    if question in ("value", "tangent"):
        return result_shape(operation, inputs, parameters)
    return inputs[operation.differentiated(question)]


def result_shape(operation: Operation, inputs: Shapes, parameters: Parameters) -> Shape:
    """Shape of the value for inputs of these shapes: () when reduced, else as the operation states."""
    reduction = operation.parameters.get("reduction")
    if reduction is not None and parameters.get("reduction", reduction.default) != "none":
        return ()
    return shape_of(operation.result_shape, operation, inputs, parameters)


def shape_of(word: str, operation: Operation, inputs: Shapes, parameters: Parameters) -> Shape:
    """The shape that a word of the spec means, beside a prediction (and rows of the classes) of these shapes."""
    prediction = inputs[operation.differentiable[0]]
    match word:
        case "rows":
            whole = logits_shape(operation, inputs, parameters)
            axis = class_axis(operation, len(whole), parameters)
            return whole[:axis] + whole[axis + 1 :]
        case "rows classes" | "elements":
            return logits_shape(operation, inputs, parameters)
        case "rows features":
            return prediction
        case "classes":
            return (class_count(operation, inputs, parameters),)
        case "classes features":
            return (class_count(operation, inputs, parameters), *prediction[-1:])
    raise ValueError(f"expected a word for a shape, got {word!r}")


def class_count(operation: Operation, inputs: Shapes, parameters: Parameters) -> int:
    """The number of classes."""
    whole = logits_shape(operation, inputs, parameters)
    return whole[class_axis(operation, len(whole), parameters)]


def logits_shape(operation: Operation, inputs: Shapes, parameters: Parameters) -> Shape:
    """Shape of what has one number for each row and class, or element; it need not be an input."""
    prediction = inputs[operation.differentiable[0]]
    if operation.class_rows is None:
        return prediction
    rows = prediction[:-1]
    axis = class_axis(operation, len(prediction), parameters)
    classes = inputs[operation.class_rows][:1] or (0,)
    return rows[:axis] + classes + rows[axis:]


def class_axis(operation: Operation, axes: int, parameters: Parameters) -> int:
    """The axis of the classes, counted from the front, among this number of axes."""
    match operation.class_axis:
        case "second":
            return min(axes - 1, 1)
        case "last" | None:
            return axes - 1
        case name:
            stated = parameters.get(name, operation.parameters[name].default)
            assert isinstance(stated, int)
            return stated % axes
