"""Where a change of a source is felt: in answers that run through certain lines of it."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache

DERIVATIVES = ("_vjp", "_hvp", "_jvp")


def felt_lines(source: str, first: int, last: int) -> frozenset[int]:
    """Lines such that an answer that runs through none of them stays the same when lines `first` to `last` change.

    They are those of the statements that the change is in; where it is in the head of a function, all of the function;
    where it is in a constant, whatever names that; elsewhere all.
    """
    for name, node in _definitions(source).items():
        assert node.end_lineno is not None
        if not node.lineno <= first <= node.end_lineno:
            continue
        if isinstance(node, ast.Assign):
            return frozenset(line for used in _uses(source, name) for line in felt_lines(source, used, used))
        if first < node.body[0].lineno:
            return frozenset(range(node.lineno, node.end_lineno + 1))
        spans = [_own_lines(inner) for inner in ast.walk(node) if isinstance(inner, ast.stmt) and inner is not node]
        return frozenset(line for span in spans if span.start <= last and first < span.stop for line in span)
    return frozenset(range(source.count("\n") + 2))


def entry_points(source: str, operations: Collection[str]) -> list[str]:
    """The losses and derivatives that a source defines."""
    found = _definitions(source).items()
    return [name for name, node in found if isinstance(node, ast.FunctionDef) and _is_offered(name, operations)]


@cache
def _definitions(source: str) -> Mapping[str, ast.FunctionDef | ast.Assign]:
    """Functions and constants by name."""
    found: dict[str, ast.FunctionDef | ast.Assign] = {}
    for node in ast.parse(source).body:
        match node:
            case ast.FunctionDef(name=name) | ast.Assign(targets=[ast.Name(id=name)]):
                found[name] = node
    return found


def _uses(source: str, constant: str) -> Iterator[int]:
    """The lines in which a constant is named, its own aside."""
    for name, node in _definitions(source).items():
        if name != constant:
            yield from (each.lineno for each in ast.walk(node) if isinstance(each, ast.Name) and each.id == constant)


def _own_lines(statement: ast.stmt) -> range:
    """The lines of a statement, without those of the statements inside."""
    inner = [each.lineno for each in ast.iter_child_nodes(statement) if isinstance(each, ast.stmt)]
    return range(statement.lineno, min(inner) if inner else (statement.end_lineno or statement.lineno) + 1)


def _is_offered(function: str, operations: Iterable[str]) -> bool:
    return any(function == name or function.removeprefix(name)[:4] in DERIVATIVES for name in operations)
