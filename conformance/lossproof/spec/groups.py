"""How many different programs the cases make a compiling framework build."""

from __future__ import annotations

from collections.abc import Iterable

from lossproof.case import Call, Case, Tensor

Group = tuple[str, tuple[tuple[int, ...], ...], str, object, tuple[str, ...]]

MOST_GROUPS = 400


def shape_groups(cases: Iterable[Case]) -> frozenset[Group]:
    """Groups of operation, input shapes, dtype, stated reduction and names of the tensors among the parameters.

    What is asked in the profile huge alone does not count.
    """
    return frozenset(
        group_of(call, dtype)
        for case in cases
        if case.profile == "default"
        for dtype in case.dtypes
        for call in case.calls
    )


def group_of(call: Call, dtype: str) -> Group:
    """The group of one call in one dtype."""
    return (
        call.operation,
        tuple(tensor.shape for tensor in call.inputs.values()),
        dtype,
        call.parameters.get("reduction"),
        tuple(sorted(name for name, value in call.parameters.items() if isinstance(value, Tensor))),
    )
