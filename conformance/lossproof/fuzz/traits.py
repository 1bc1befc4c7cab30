"""What a case has beyond the plainest one: the traits by which faults are told apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from lossproof.case import Case, Scalar, Tensor
from lossproof.numerics import FORMATS
from lossproof.spec.operations import Operation, Parameter

_LARGE = 1000.0
_USUAL_AXES = 2


def traits(case: Case, operation: Operation, ignored: Mapping[str, int | None]) -> tuple[str, ...]:
    """Words for the parameters, shapes and values that the plainest case of an operation lacks, in a fixed order.

    `ignored` gives the label that does not count, for inputs that have one.
    """
    found: list[str] = []
    for call in case.calls:
        for name, value in call.parameters.items():
            found += _of_parameter(operation.parameters[name], value)
        tensors = {**call.inputs, **{name: v for name, v in call.parameters.items() if isinstance(v, Tensor)}}
        for name, tensor in tensors.items():
            found += _of_tensor(tensor, case.dtypes[0], ignored.get(name))
        axes = len(call.inputs[operation.differentiable[0]].shape)
        if axes != _USUAL_AXES:
            found.append("single-row" if axes < _USUAL_AXES else "more-axes")
        found += ["soft-target"] * any(
            each.dtype == "index-or-floating" and call.inputs[each.name].kind == "floating" for each in operation.inputs
        )
    if case.relation:
        found.append(case.relation.name.replace("_", "-"))
    return tuple(dict.fromkeys(found))


def _of_parameter(parameter: Parameter, value: Scalar | Tensor) -> Iterator[str]:
    name = parameter.name.replace("_", "-")
    if parameter.type == "choice":
        if value != parameter.choices[0]:
            yield f"{name}-{value}"
    elif isinstance(value, Tensor) or value != parameter.default:
        yield name


def _of_tensor(tensor: Tensor, dtype: str, ignored: int | None) -> Iterator[str]:
    layout = FORMATS[dtype]
    values = tensor.values or ()
    if tensor.layout:
        yield tensor.layout.replace("_", "-")
    if tensor.dtype not in (None, "int64"):
        yield str(tensor.dtype)
    if ignored is not None and ignored in values:
        yield "ignored"
    if tensor.recipe:
        yield "wide"
    if 0 in tensor.shape:
        yield "empty"
    if tensor.kind == "integer":
        return
    if any(math.isnan(value) for value in values):
        yield "nan"
    if any(math.isinf(value) for value in values):
        yield "masked"
    sizes = [abs(value) for value in values if math.isfinite(value)]
    if any(size >= layout.largest / 16 for size in sizes):
        yield "huge"
    elif any(size >= _LARGE for size in sizes):
        yield "large"
    if any(0 < size < layout.smallest_normal for size in sizes):
        yield "subnormal"
