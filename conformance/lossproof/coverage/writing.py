"""Rows of a covering array as a file of cases: every row its name and its reason."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lossproof.case import QUESTIONS
from lossproof.coverage.factors import FEW, LABEL_DTYPES, Levels, Model, has_elements, layout_of
from lossproof.coverage.filling import Filling, inputs, parameters
from lossproof.spec.groups import Group
from lossproof.spec.operations import Operation

_HEAD = "# Written by `lossproof spec cover`: rows of a covering array over the levels in the names."


@dataclass(frozen=True)
class Row:
    """The levels of a row, its group, the axis it states, since which version of the spec it is there, what it asks."""

    levels: Levels
    group: Group
    axis: int | None
    since: str
    questions: tuple[str, ...]


def case_name(model: Model, levels: Levels) -> str:
    """The name of a row: all of its levels but those that leave things as they are."""
    words = (_said(name, levels[name]) for name in model.factors if name in levels)
    return "-".join(word for word in words if word).replace("_", "-")


def write(operation: Operation, model: Model, rows: Sequence[Row]) -> str:
    """Text of the covering file of an operation."""
    in_order = sorted(rows, key=lambda row: case_name(model, row.levels))
    since = min((row.since for row in rows), key=lambda version: [int(part) for part in version.split(".")])
    lines = [_HEAD, f'since: "{since}"', "cases:"]
    for number, row in enumerate(in_order):
        lines += [*([""] if number else []), *_case(operation, model, row, since)]
    return "\n".join([*lines, ""])


def _said(name: str, level: str) -> str:
    if level in ("default", "absent", "contiguous") or (name, level) == ("ignored", "none"):
        return ""
    match name:
        case "size":
            return level if level == FEW else f"size-{level}"
        case "dtype" | "target":
            return level
        case "ignored":
            return f"{level}-ignored"
        case _ if name.endswith(" layout"):
            return f"{level}-{name.removesuffix(' layout')}"
        case _:
            return f"{name}-{level}"


def _case(operation: Operation, model: Model, row: Row, since: str) -> Iterator[str]:
    levels = row.levels
    name = case_name(model, levels)
    yield f"  - name: {name}"
    yield f"    why: {json.dumps(_why(operation, model, levels))}"
    if row.since != since:
        yield f'    since: "{row.since}"'
    if levels["size"] == "0" or any(levels[layout_of(each.name)] != "contiguous" for each in operation.inputs):
        yield "    kind: contract"
    yield f"    dtypes: [{levels['dtype']}]"
    if row.questions != QUESTIONS:
        yield f"    questions: [{', '.join(row.questions)}]"
    filling = Filling(operation, levels, row.group[1], row.axis, zlib.crc32(name.encode()) % 997)
    yield "    inputs:"
    yield from (f"      {key}: {_flow(value)}" for key, value in inputs(filling))
    stated = [f"      {key}: {_flow(value)}" for key, value in parameters(filling)]
    if stated:
        yield from ("    parameters:", *stated)


def _why(operation: Operation, model: Model, levels: Levels) -> str:
    words = [_size(operation, levels["size"]), f"rank {levels['rank']}", levels["dtype"]]
    for name in model.factors:
        level = levels[name]
        if name in ("size", "rank", "dtype") or not _said(name, level):
            continue
        if name.endswith(" layout"):
            words.append(f"{level} {name.removesuffix(' layout')}")
        elif name == "target":
            words.append(f"{level} labels" if level in LABEL_DTYPES else f"{level} targets")
        elif name == "ignored":
            words.append(f"{level} ignored")
        else:
            words.append(f"{name} {level}")
    return f"What works alone must work together: {', '.join(words[:-1])} and {words[-1]}."


def _size(operation: Operation, level: str) -> str:
    if level == "0":
        return "nothing in the tensors"
    return f"{level} {'elements' if has_elements(operation) else 'classes'}"


def _flow(value: Any) -> str:
    """A value in YAML's flow style."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value)
