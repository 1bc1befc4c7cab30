"""Imports point down, also those inside functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from lossproof.paths import PACKAGE

LAYERS = {
    0: ("paths", "case", "outcome", "numerics", "materialise", "cpu", "memory"),
    1: (
        "spec",
        "oracle",
        "bridges",
        "worker",
        "processes",
        "program",
        "declaration",
        "implementations",
        "frameworks",
        "environments",
        "record",
        "known",
        "expected",
    ),
    2: (
        "compile",
        "coverage",
        "relations",
        "fingerprints",
        "judge",
        "selection",
        "request",
        "session",
        "run",
        "side_by_side",
        "bench",
        "published",
    ),
    3: ("gate", "drift", "observed", "reports", "fuzz", "strength"),
    4: (
        "cli",
        "pytest_plugin",
        "pytest_nodes",
        "pytest_sessions",
        "pytest_tally",
        "suite",
        "benchmarks",
    ),
}
LAYER_OF = {name: layer for layer, names in LAYERS.items() for name in names}
# A wheel has the adapters in data/, which are no modules of lossproof.
DATA = PACKAGE / "data"
FILES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py" and DATA not in p.parents)


def part(path: Path) -> str:
    """The module or subpackage of lossproof that a file belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path: Path) -> Iterator[str]:
    """What a file imports of lossproof, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "lossproof")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides where it points"
            if node.module == "lossproof":
                yield from (f"lossproof.{alias.name}" for alias in node.names)
            elif node.module and node.module.startswith("lossproof."):
                yield node.module


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_there_are_files_to_look_at() -> None:
    assert len(FILES) > 40


@pytest.mark.parametrize("path", FILES, ids=name)
def test_every_module_has_a_layer(path: Path) -> None:
    assert part(path) in LAYER_OF


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_point_down(path: Path) -> None:
    own = LAYER_OF.get(part(path), 0)

    upwards = [module for module in imported(path) if LAYER_OF.get(module.split(".")[1], own) > own]

    assert [] == upwards


@pytest.mark.parametrize("path", [PACKAGE / "worker.py", *sorted((PACKAGE / "bridges").glob("*.py"))], ids=name)
def test_worker_and_bridges_need_nothing_of_lossproof(path: Path) -> None:
    assert [] == list(imported(path))


def test_no_modules_import_each_other_in_a_ring() -> None:
    modules = {".".join(("lossproof", *path.relative_to(PACKAGE).with_suffix("").parts)): path for path in FILES}
    below = {module: {other for other in imported(path) if other in modules} for module, path in modules.items()}

    while leaves := {module for module, others in below.items() if not others & below.keys()}:
        below = {module: others for module, others in below.items() if module not in leaves}

    assert {} == below
