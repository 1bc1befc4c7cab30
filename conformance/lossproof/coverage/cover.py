"""The covering cases of every operation: what is written in spec/cases/<operation>/covering.yaml."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from lossproof.case import QUESTIONS, Case
from lossproof.coverage.classify import asked, levels_of
from lossproof.coverage.factors import Levels, Model, model
from lossproof.coverage.growth import new_groups
from lossproof.coverage.rows import new_rows
from lossproof.coverage.seats import Seat, seats
from lossproof.coverage.writing import Row, write
from lossproof.spec.cases import read_cases
from lossproof.spec.dialects import read_dialects
from lossproof.spec.golden import LARGEST_WHOLE, SPEC_VERSION
from lossproof.spec.groups import Group, group_of, shape_groups
from lossproof.spec.operations import Operation, read_operations

TOPIC = "covering"


def covering_files(folder: Path, more_groups: int = 0, anew: bool = False) -> Mapping[Path, str]:
    """Text of each covering file, from all cases of a spec folder.

    Rows that are there stay, whatever else covers them, since ids never change; `anew` forgets them. Rows are added
    for what is not covered yet and has room in a group of the cases, or in one of so many more groups.
    """
    operations, cases = read_operations(folder), read_cases(folder)
    if anew:
        cases = tuple(case for case in cases if not _is_ours(case))
    models = {name: model(operation) for name, operation in operations.items()}
    dialects = read_dialects(operations, folder)
    # A call that must raise has shapes that fit nothing else, one under vmap an axis more.
    groups = set(shape_groups(case for case in cases if case.kind != "raises" and case.transform != "vmap"))
    groups |= set(new_groups(operations, models, sorted(groups, key=_by_size), more_groups)) if more_groups else set()
    texts = {}
    for name, operation in operations.items():
        own = [case for case in cases if case.operation == name]
        taken = dialects[operation.home_dialect].label_dtypes
        rows = _rows(operation, models[name], own, sorted((g for g in groups if g[0] == name), key=_by_size), taken)
        if rows:
            texts[folder / "cases" / name / f"{TOPIC}.yaml"] = write(operation, models[name], rows)
    return texts


def stale_files(folder: Path) -> list[Path]:
    """Covering files that differ from what would be written with no more groups."""
    expected = covering_files(folder)
    present = folder.glob(f"cases/*/{TOPIC}.yaml")
    return sorted(
        path
        for path in {*expected, *present}
        if not path.is_file() or path.read_text(encoding="utf-8") != expected.get(path)
    )


def _rows(
    operation: Operation, its: Model, cases: Sequence[Case], groups: Sequence[Group], taken: Collection[str]
) -> list[Row]:
    kept = [_kept(operation, case) for case in cases if _is_ours(case)]
    present = [each.levels for each in asked(operation, cases)]
    whole = [dict(row) for row in dict.fromkeys(tuple(row.items()) for row in present if len(row) == len(its.factors))]
    places = seats(operation, its, groups)
    return _with_questions(kept, new_rows(its, places, whole, taken), places, operation)


def _with_questions(
    kept: Sequence[Row], added: Sequence[Levels], places: Sequence[Seat], operation: Operation
) -> list[Row]:
    """All rows; the gradient of long inputs, which fills golden files, is asked once for each size and dtype."""
    rows = list(kept)
    questions = _questions(operation)
    asked_before = {(row.levels["size"], row.levels["dtype"]) for row in kept if row.questions == questions}
    for levels in added:
        place = next(seat for seat in places if seat.takes(levels))
        key = (levels["size"], levels["dtype"])
        long = any(math.prod(shape) > LARGEST_WHOLE for shape in place.group[1])
        rows.append(
            Row(
                levels, place.group, place.axis, SPEC_VERSION, ("value",) if long and key in asked_before else questions
            )
        )
        asked_before.add(key)
    return rows


def _questions(operation: Operation) -> tuple[str, ...]:
    """The value and all gradients but the target's, which indices do not have."""
    roles = {each.name: each.role for each in operation.inputs}
    further = [name for name in operation.differentiable[1:] if roles[name] != "target"]
    return (*QUESTIONS, *(f"gradient-{name}" for name in further))


def _is_ours(case: Case) -> bool:
    return case.id.split("/")[1] == TOPIC


def _kept(operation: Operation, case: Case) -> Row:
    (dtype,) = case.dtypes
    axis = case.parameters.get(operation.class_axis or "")
    assert axis is None or isinstance(axis, int)
    levels = {**levels_of(operation, case.call), "dtype": dtype}
    return Row(levels, group_of(case.call, dtype), axis, case.since, case.questions)


def _by_size(group: Group) -> tuple[int, str]:
    """Small groups first, as the first with room for a row takes it."""
    return max(math.prod(shape) for shape in group[1]), str(group)
