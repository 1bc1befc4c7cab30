"""What an adapter file says it needs, and whether that is installed; read without running the file."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from lossproof.program import FILE_NAME, install_line, is_installed, read_program, version_of

# Where the distribution that brings a module is named otherwise, or a certain install line is better.
_INSTALL_LINES: Mapping[str, str] = {
    "torch": "pip install torch",
    "jax": "pip install jax",
}


@dataclass(frozen=True)
class Needs:
    """What an adapter file says: framework, package, dialect, a line of summary, the functions that it defines.

    `requires` are requirements beside these two, with commas between them, of what else it imports.
    And whether framework and package are there, the package's version or nothing, and the line that installs both.
    """

    framework: str
    package: str
    dialect: str
    summary: str
    functions: tuple[str, ...]
    requires: str
    installed: bool
    version: str
    install_line: str


def read_needs(path: Path) -> Needs:
    """What the adapter file at `path` needs; SyntaxError where it is not Python, SpecError for an adapter.toml."""
    return _needs_of_program(path) if path.name == FILE_NAME else _needs_of_module(path)


def _needs_of_program(path: Path) -> Needs:
    program, folder = read_program(path), path.parent
    return Needs(
        program.framework,
        program.package,
        program.dialect,
        program.summary,
        (),
        "",
        is_installed(program, folder),
        version_of(program, folder),
        install_line(program, folder),
    )


def _needs_of_module(path: Path) -> Needs:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    stated = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    }
    framework = stated.get("framework", "numpy")
    package = stated.get("package", framework)
    lines = [_INSTALL_LINES.get(name, f"pip install {name}") for name in (framework, package)]
    return Needs(
        framework,
        package,
        stated.get("dialect", ""),
        (ast.get_docstring(tree) or "").partition("\n")[0],
        tuple(node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")),
        stated.get("requires", ""),
        all(util.find_spec(name.replace("-", "_")) is not None for name in (framework, package)),
        _version(package),
        lines[0] if package == framework else f"{lines[0]} {package}",
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
