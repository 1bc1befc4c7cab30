"""The shape of an operation's result."""

from __future__ import annotations

from collections.abc import Mapping

from lossproof.case import Scalar, Tensor
from lossproof.spec.operations import Operation


def result_shape(
    operation: Operation, inputs: Mapping[str, tuple[int, ...]], parameters: Mapping[str, Scalar | Tensor]
) -> tuple[int, ...]:
    """Shape of the value for inputs of these shapes: () when reduced, else as the operation states."""
    reduction = operation.parameters.get("reduction")
    if reduction is not None and parameters.get("reduction", reduction.default) != "none":
        return ()
    shape = inputs[operation.differentiable[0]]
    if operation.result_shape != "rows":
        return shape
    axis = class_axis(operation, len(shape), parameters)
    return shape[:axis] + shape[axis + 1 :]


def class_axis(operation: Operation, axes: int, parameters: Mapping[str, Scalar | Tensor]) -> int:
    """The axis of the classes, counted from the front, in a prediction with this number of axes."""
    match operation.class_axis:
        case "second":
            return min(axes - 1, 1)
        case "last" | None:
            return axes - 1
        case name:
            stated = parameters.get(name, operation.parameters[name].default)
            assert isinstance(stated, int)
            return stated % axes
