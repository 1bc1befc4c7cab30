"""Which rows have room in a group of operation, shapes, dtype, reduction and tensors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from lossproof.case import Scalar
from lossproof.coverage.classify import differs, size_level
from lossproof.coverage.factors import RANKS, Levels, Model, is_index, layout_of, target_of
from lossproof.spec.groups import Group
from lossproof.spec.operations import AUTO_SHAPE, Input, Operation
from lossproof.spec.shapes import Parameters, Shapes, shape_of

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Seat:
    """A place for rows in a group: the axis of the classes, if it is stated, and the levels that a row there may have.

    A group fixes size, rank, dtype, reduction, whether tensors are there and whether targets are indices. Its shapes
    leave out some layouts, and a single row is ignored or not.
    """

    group: Group
    axis: int | None
    levels: Mapping[str, frozenset[str]]

    def takes(self, row: Levels) -> bool:
        """Whether nothing in a row, or in what is known of it, is against this place."""
        return all(row[name] in levels for name, levels in self.levels.items() if name in row)


def seats(operation: Operation, its: Model, groups: Iterable[Group]) -> list[Seat]:
    """All places in some groups of the operation."""
    return [seat for group in groups for seat in _seats(operation, its, group)]


def fixed(operation: Operation) -> tuple[str, ...]:
    """The factors that a group fixes."""
    axis = () if operation.class_axis is None else (operation.class_axis,)
    tensors = (name for name, parameter in operation.parameters.items() if parameter.type == "tensor")
    return ("size", "rank", "dtype", "target", "reduction", *axis, *tensors)


def word_of(each: Input, index: bool) -> str:
    """The word for the shape of an input, which may depend on whether it holds indices."""
    if each.shape != AUTO_SHAPE:
        return each.shape
    return "rows" if index else "rows classes"


def _seats(operation: Operation, its: Model, group: Group) -> Iterator[Seat]:
    _, shapes, dtype, reduction, tensors = group
    named = dict(zip(operation.input_names, shapes, strict=True))
    rank = str(len(named[operation.differentiable[0]]))
    if rank not in RANKS:
        return
    for level, axis in _axes(operation, int(rank)):
        parameters: dict[str, Scalar] = {operation.class_axis or "": axis} if axis is not None else {}
        index = _index(operation, named, parameters)
        size = size_level(operation, named, parameters)
        if size is None or index is None:
            continue
        places = {
            "size": {size},
            "rank": {rank},
            "dtype": {dtype},
            "reduction": {"default" if reduction is None else str(reduction)},
            "target": {each for each in its.factors.get("target", ()) if is_index(operation, each) == index},
            operation.class_axis or "": {level},
            "ignored": {"none", "all", *(["some"] if _rows(operation, named, parameters) > 1 else [])},
            **{name: _presence(its, name, name in tensors) for name in operation.parameters if _is_tensor(its, name)},
            **{layout_of(name): _layouts(its, name, shape) for name, shape in named.items()},
        }
        yield Seat(group, axis, {name: frozenset(places[name]) for name in its.factors if name in places})


def _is_tensor(its: Model, name: str) -> bool:
    return "absent" in its.factors[name]


def _presence(its: Model, name: str, present: bool) -> set[str]:
    return {level for level in its.factors[name] if (level != "absent") == present}


def _layouts(its: Model, name: str, shape: Shape) -> set[str]:
    return {level for level in its.factors[layout_of(name)] if level == "contiguous" or differs(level, shape)}


def _rows(operation: Operation, shapes: Shapes, parameters: Parameters) -> int:
    word = "elements" if operation.class_axis is None else "rows"
    return math.prod(shape_of(word, operation, shapes, parameters))


def _axes(operation: Operation, rank: int) -> Iterator[tuple[str, int | None]]:
    """Levels of the axis parameter with an axis each, or one without where there is no such parameter."""
    if operation.class_axis not in operation.parameters:
        yield "default", None
        return
    yield "default", None
    yield "first", 0
    yield from (("middle", axis) for axis in range(1, rank - 1))
    if rank > 1:
        yield "last", rank - 1
    yield from (("negative", axis) for axis in range(-1, -rank - 1, -1))


def _index(operation: Operation, shapes: Shapes, parameters: Parameters) -> bool | None:
    """Whether the target of these shapes holds indices; None where the shapes do not fit each other."""
    target = target_of(operation)
    for index in (True, False):
        words = ((each.name, word_of(each, index and each == target)) for each in operation.inputs)
        fit = all(shapes[name] == shape_of(word, operation, shapes, parameters) for name, word in words)
        if fit and target.dtype in ("index-or-floating", "index" if index else "floating"):
            return index
    return None
