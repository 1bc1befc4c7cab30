"""An adapter's source as one text, with what it takes from the adapter files beside it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

_Span = tuple[int, int, int]  # line, first byte and last, as ast counts them


def standing_alone(path: Path) -> str | None:
    """The text of an adapter file; where it says `import other as name`, and other.py lies beside it, with that text.

    name.loss then is a definition of its own: loss, or name_loss where both files define one. None where it takes from
    its neighbours in another way.
    """
    source = path.read_text(encoding="utf-8")
    for alias in _neighbours(ast.parse(source), path.parent):
        taken = standing_alone(path.parent / f"{alias.name}.py") if alias.asname else None
        joined = _joined(source, alias, taken) if taken is not None else None
        if joined is None:
            return None
        source = joined
    return source


def _neighbours(tree: ast.Module, folder: Path) -> Iterator[ast.alias]:
    """What it imports of the files beside it; an alias without `asname` for anything but `import other as name`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if (folder / f"{alias.name}.py").is_file():
                    yield alias if node in tree.body and len(node.names) == 1 else ast.alias(alias.name)
        elif isinstance(node, ast.ImportFrom) and (node.level or (folder / f"{node.module}.py").is_file()):
            yield ast.alias(node.module or "")


def _joined(source: str, alias: ast.alias, taken: str) -> str | None:
    """The neighbour's text, then the adapter's without the import of it."""
    own, other, name = ast.parse(source), ast.parse(taken), str(alias.asname)
    twice = _defined(other) & _bound_anywhere(own)
    if any(isinstance(node, ast.arg) and node.arg in twice for node in ast.walk(other)):
        return None  # A parameter hides the definition.
    imports = _imported(own)
    if any(imports.get(each, line) != line or each in _defined(own) for each, line in _imported(other).items()):
        return None  # One name for two things.
    mine: dict[_Span, str] = {}
    uses = 0
    for node in ast.walk(own):
        if isinstance(node, ast.Import) and [each.name for each in node.names] == [alias.name]:
            mine[_span(node)] = ""
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name:
            mine[_span(node)] = f"{name}_{node.attr}" if node.attr in twice else node.attr
            uses += 1
    if uses != sum(isinstance(node, ast.Name) and node.id == name for node in ast.walk(own)):
        return None
    theirs = {span: f"{name}_{each}" for each in twice for span in _places(other, each, taken)}
    return f"{_replaced(taken, theirs)}\n\n{_replaced(source, mine)}"


def _defined(tree: ast.Module) -> set[str]:
    """The names that a file gives to functions, classes and values of its own."""
    return {
        name
        for node in tree.body
        if not isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.name]
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
            else [leaf.id for leaf in ast.walk(node) if isinstance(leaf, ast.Name) and isinstance(leaf.ctx, ast.Store)]
        )
    }


def _bound_anywhere(tree: ast.Module) -> set[str]:
    """The names that mean something of the file's own somewhere in it, parameters and local ones too."""
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    parameters = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return stored | parameters | _defined(tree) | {*_imported(tree)}


def _imported(tree: ast.Module) -> dict[str, str]:
    """The names that a file imports, each with what it stands for."""
    return {
        (alias.asname or alias.name).split(".")[0]: f"{getattr(node, 'module', '')} {alias.name} {alias.asname}"
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }


def _places(tree: ast.Module, name: str, source: str) -> Iterator[_Span]:
    """Where a name stands: where it is read or set, and where it is defined."""
    lines = source.split("\n")
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == name:
            yield _span(node)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            first = lines[node.lineno - 1].encode().index(f" {name}".encode(), node.col_offset) + 1
            yield node.lineno, first, first + len(name.encode())


def _span(node: ast.expr | ast.stmt) -> _Span:
    return node.lineno, node.col_offset, node.end_col_offset or 0


def _replaced(source: str, texts: dict[_Span, str]) -> str:
    """The source with other texts in these places."""
    lines = [line.encode() for line in source.split("\n")]
    for (line, first, last), text in sorted(texts.items(), reverse=True):
        lines[line - 1] = lines[line - 1][:first] + text.encode() + lines[line - 1][last:]
    return b"\n".join(lines).decode()
