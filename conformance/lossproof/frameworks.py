"""What an adapter file says it needs, and whether that is installed; read without running the file."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

# Where the distribution that brings a module is named otherwise, or a certain install line is better.
_INSTALL_LINES: Mapping[str, str] = {
    "torch": "pip install torch",
    "jax": "pip install jax",
}


@dataclass(frozen=True)
class Needs:
    """An adapter file's framework and package, its first docstring line, and the operations that it defines."""

    framework: str
    package: str
    dialect: str
    summary: str
    functions: tuple[str, ...]

    @property
    def installed(self) -> bool:
        """Whether framework and package can be imported."""
        return all(util.find_spec(name.replace("-", "_")) is not None for name in (self.framework, self.package))

    @property
    def version(self) -> str:
        """The package's version, or nothing."""
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return ""

    @property
    def install_line(self) -> str:
        """The line that installs what is needed."""
        lines = [_INSTALL_LINES.get(name, f"pip install {name}") for name in (self.framework, self.package)]
        return lines[0] if self.package == self.framework else f"{lines[0]} {self.package}"


def read_needs(path: Path) -> Needs:
    """What the adapter file at `path` needs; raises SyntaxError where it is not Python."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    stated = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value.value, str)
    }
    framework = stated.get("framework", "numpy")
    return Needs(
        framework,
        stated.get("package", framework),
        stated.get("dialect", ""),
        (ast.get_docstring(tree) or "").partition("\n")[0],
        tuple(node.name for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")),
    )
