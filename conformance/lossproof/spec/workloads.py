"""The workloads of the spec: shapes worth timing, with the bytes that must move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lossproof.case import Case, Scalar, Tensor
from lossproof.paths import SPEC
from lossproof.spec.cases import read_parameters
from lossproof.spec.check import check
from lossproof.spec.domain import check_case
from lossproof.spec.errors import SpecError
from lossproof.spec.models import WorkloadFile
from lossproof.spec.operations import Operation, read_operations
from lossproof.spec.tensors import read_tensor
from lossproof.spec.yaml import Place, file_name, read_document, show


@dataclass(frozen=True)
class Workload:
    """An operation at one size; bytes for the value alone, and for one pass that gives value and gradient."""

    name: str
    operation: str
    why: str
    inputs: Mapping[str, Tensor]
    parameters: Mapping[str, Scalar | Tensor]
    dtype: str
    value_bytes: int
    gradient_bytes: int


def read_workloads(folder: Path = SPEC) -> Mapping[str, Workload]:
    """Workloads by name, sorted; raises SpecError where a file breaks a rule or there is none."""
    operations = read_operations(folder)
    paths = sorted((folder / "workloads").glob("*.yaml"))
    if not paths:
        raise SpecError(f"{file_name(folder / 'workloads')}:1 $: expected a workload, got an empty folder")
    return {path.stem: _read_workload(path, operations) for path in paths}


def _read_workload(path: Path, operations: Mapping[str, Operation]) -> Workload:
    document = read_document(path)
    form = check(WorkloadFile, document.data, Place(document))
    if form.name != path.stem:
        raise Place(document, ("name",)).error(f"the file's name, {path.stem}", show(form.name))
    if form.operation not in operations:
        raise Place(document, ("operation",)).error(f"one of {', '.join(operations)}", show(form.operation))
    operation = operations[form.operation]
    workload = Workload(
        name=form.name,
        operation=form.operation,
        why=form.why,
        inputs={name: read_tensor(value, Place(document, ("inputs", name))) for name, value in form.inputs.items()},
        parameters=read_parameters(form.parameters, operation, Place(document, ("parameters",))),
        dtype=form.dtype,
        value_bytes=form.bytes.value,
        gradient_bytes=form.bytes.gradient,
    )
    check_case(as_case(workload), operations, Place(document))
    return workload


def as_case(workload: Workload) -> Case:
    """The case that judges a workload's answers."""
    return Case(
        id=f"{workload.operation}/workloads/{workload.name}",
        operation=workload.operation,
        kind="value",
        why=workload.why,
        since="0.1",
        inputs=workload.inputs,
        parameters=workload.parameters,
        dtypes=(workload.dtype,),
        questions=("value", "gradient"),
        place=f"spec/workloads/{workload.name}.yaml:1",
    )
