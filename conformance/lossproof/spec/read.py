"""Operations and dialects together, as judging needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lossproof.spec.dialects import Dialect, read_dialects
from lossproof.spec.operations import Operation, read_operations


@dataclass(frozen=True)
class Spec:
    """What a run reads of the spec once: operations and dialects."""

    operations: Mapping[str, Operation]
    dialects: Mapping[str, Dialect]


def read_spec() -> Spec:
    """The operations and dialects; raises SpecError."""
    operations = read_operations()
    return Spec(operations, read_dialects(operations))
