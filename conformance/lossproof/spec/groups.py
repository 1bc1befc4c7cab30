"""How many different programs the cases make a compiling framework build."""

from __future__ import annotations

from collections.abc import Iterable

from lossproof.case import Case, Tensor

Group = tuple[str, tuple[tuple[int, ...], ...], str, object, tuple[str, ...]]

MOST_GROUPS = 400


def shape_groups(cases: Iterable[Case]) -> frozenset[Group]:
    """Groups of operation, input shapes, dtype, stated reduction and names of the tensors among the parameters."""
    return frozenset(
        (
            case.operation,
            tuple(tensor.shape for tensor in case.inputs.values()),
            dtype,
            parameters.get("reduction"),
            tuple(sorted(name for name, value in parameters.items() if isinstance(value, Tensor))),
        )
        for case in cases
        for dtype in case.dtypes
        for parameters in case.calls or (case.parameters,)
    )
