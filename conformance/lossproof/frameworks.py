"""What an adapter file says it needs, and whether that is installed; read without running the file."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from lossproof.program import FILE_NAME, install_line, is_installed, read_program, version_of

# What brings a framework, where that is not the distribution of its name alone.
BROUGHT_BY: Mapping[str, tuple[str, ...]] = {
    "cupy": ("cupy-cuda12x[ctk]",),
    "mlx": ("mlx[cpu]",),
    "paddle": ("paddlepaddle", "setuptools"),
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


def read_needs(path: Path, framework: str | None = None) -> Needs:
    """What the adapter file at `path` needs, on its own framework or another.

    Raises SyntaxError where it is not Python, SpecError for an adapter.toml.
    """
    return _needs_of_program(path) if path.name == FILE_NAME else _needs_of_module(path, framework)


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


def _needs_of_module(path: Path, framework: str | None) -> Needs:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    stated = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    }
    framework = framework or stated.get("framework", "numpy")
    package = stated.get("package", framework)
    requires = stated.get("requires", "")
    beside = [piece.strip() for piece in requires.split(",") if piece.strip()]
    return Needs(
        framework,
        package,
        stated.get("dialect", ""),
        (ast.get_docstring(tree) or "").partition("\n")[0],
        tuple(node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")),
        requires,
        util.find_spec(framework) is not None and all(map(_is_installed, (package, *beside))),
        _version(package),
        _install_line(framework, package, beside),
    )


def _install_line(framework: str, package: str, beside: Sequence[str]) -> str:
    brought = BROUGHT_BY.get(framework, (framework,))
    named = dict.fromkeys((*brought, *(name for name in (package, *beside) if name != framework)))
    # NumPy is there: lossproof depends on it.
    needed = [name for name in named if name != "numpy"] or ["numpy"]
    return "pip install " + " ".join(f"'{name}'" if "[" in name else name for name in needed)


def _is_installed(package: str) -> bool:
    """Whether there is a distribution, or a module, of that name."""
    return _version(package) != "" or util.find_spec(_bare(package).replace("-", "_")) is not None


def _version(package: str) -> str:
    try:
        return metadata.version(_bare(package))
    except metadata.PackageNotFoundError:
        return ""


def _bare(package: str) -> str:
    """The name of a distribution, without extras and versions."""
    return re.split(r"[^\w.-]", package)[0]
