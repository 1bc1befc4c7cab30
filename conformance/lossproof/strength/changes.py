"""Changes that operators make to a source: a fixed list of operators, applied to every place that they fit."""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from lossproof.strength.operators import OPERATORS, other_constant

MODULE = "module"


@dataclass(frozen=True)
class Change:
    """A source with one change; the id is source, function, operator and the how-manieth of its kind there."""

    id: str
    bug: str
    text: str
    line: int
    end_line: int


@dataclass(frozen=True)
class _Place:
    """An expression or statement, what becomes of it, and by which operator."""

    function: str
    operator: str
    old: ast.expr | ast.stmt
    new: ast.AST


def changes(text: str, name: str, one_in: int) -> Iterator[Change]:
    """The changes to a source: of each operator those places whose id has a SHA-256 divisible by `one_in`.

    What is taken depends on ids alone, never on what catches it, and stays when other functions change.
    """
    ordinals: Counter[tuple[str, str]] = Counter()
    for place in _places(ast.parse(text)):
        kind = (place.function, place.operator)
        ordinals[kind] += 1
        identity = f"{name}/{place.function}/{place.operator}-{ordinals[kind]}"
        if int(hashlib.sha256(identity.encode()).hexdigest(), 16) % one_in:
            continue
        old, new = ast.get_source_segment(text, place.old), _text(place.new)
        line, end_line = place.old.lineno, place.old.end_lineno
        assert old is not None
        assert end_line is not None
        yield Change(identity, f"{_line(old)} → {_line(new)}", _replaced(text, place.old, new), line, end_line)


def _places(tree: ast.Module) -> Iterator[_Place]:
    """Every place of every operator, in the order of the source."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            for default in (*node.args.defaults, *node.args.kw_defaults):
                if default is not None and (new := other_constant(default)) is not None:
                    yield _Place(node.name, "default", default, new)
            for statement in node.body:
                yield from _within(statement, node.name)
        elif isinstance(node, ast.Assign):
            yield from _within(node, MODULE)


def _within(node: ast.AST, function: str) -> Iterator[_Place]:
    if isinstance(node, ast.Raise | ast.JoinedStr):  # what is said on refusal is nobody's question
        return
    for operator, change in OPERATORS.items():
        if isinstance(node, ast.expr | ast.stmt):
            yield from (_Place(function, operator, node, new) for new in change(node))
    for child in ast.iter_child_nodes(node):
        yield from _within(child, function)


def _text(node: ast.AST) -> str:
    """The node as Python, in brackets where it might mean something else beside what it stands beside."""
    text = ast.unparse(ast.fix_missing_locations(node))
    return text if isinstance(node, ast.stmt | ast.Constant | ast.Name) else f"({text})"


def _replaced(text: str, node: ast.expr | ast.stmt, new: str) -> str:
    """The source with another text in place of the node, whose columns count bytes."""
    lines = text.encode().splitlines(keepends=True)
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    begin = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[: node.end_lineno - 1])) + node.end_col_offset
    indented = new.replace("\n", "\n" + " " * node.col_offset)
    return (text.encode()[:begin] + indented.encode() + text.encode()[end:]).decode()


def _line(text: str) -> str:
    """The first line of a text, its white space pressed together."""
    pressed = " ".join(text.split())
    return pressed if len(pressed) <= 90 else f"{pressed[:87]}..."
