"""Implementations by the names that people type: shipped adapters, files, modules, single functions."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import util
from pathlib import Path

from lossproof.environments.environment import Environment
from lossproof.paths import IMPLEMENTATIONS
from lossproof.program import FILE_NAME, command_of, read_program
from lossproof.spec.errors import SpecError


class UnknownImplementationError(Exception):
    """A name that stands for no adapter, file or module; the text names near matches."""


@dataclass(frozen=True)
class Implementation:
    """What is under test: how its adapter is found, and the file of its known deviations if it has a place for one.

    `name` is what tables show, `typed` what a command line takes. `adapter` is {"path": …}, {"module": …} or
    {"module": …, "function": …, "as": operation}; None for a program, whose `command` speaks the protocol itself, and
    whose adapter.toml, if it has one, lies in `folder`.
    `python` is the interpreter that runs the adapter, this one where it is empty; that of `environment`, if there is
    one, which is made before the adapter starts.
    """

    name: str
    typed: str
    adapter: Mapping[str, str] | None
    framework: str | None = None
    dialect: str | None = None
    device: str = "cpu"
    command: tuple[str, ...] = ()
    python: str = ""
    environment: Environment | None = None
    folder: str = ""

    @property
    def known_path(self) -> Path | None:
        """Where its known deviations would be."""
        path = str(Path(self.folder) / FILE_NAME) if self.folder else (self.adapter or {}).get("path")
        return Path(path).with_suffix(".known.toml") if path else None


def shipped() -> Mapping[str, Path]:
    """Adapter files that come with lossproof, by name: of the file, or of the folder for an adapter.toml."""
    files = {path.stem: path for path in IMPLEMENTATIONS.glob("*.py")}
    programs = {path.parent.name: path for path in IMPLEMENTATIONS.glob(f"*/{FILE_NAME}")}
    return dict(sorted((files | programs).items()))


def find_program(
    command: str, *, framework: str | None = None, dialect: str | None = None, device: str = "cpu"
) -> Implementation:
    """The program that a command starts, which speaks the protocol itself: what --exec takes."""
    typed = f"--exec {shlex.quote(command)}"
    return Implementation(command, typed, None, framework, dialect, device, tuple(shlex.split(command)))


def find_implementation(
    text: str,
    *,
    operations: Iterable[str] = (),
    operation: str | None = None,
    framework: str | None = None,
    dialect: str | None = None,
    device: str = "cpu",
) -> Implementation:
    """What `text` stands for: a shipped adapter's name, path/to/file.py, a folder with an adapter.toml, package.module,
    or package.module:function.

    A single function needs `operation`, the loss it is offered as. Raises UnknownImplementationError.
    """
    path = shipped().get(text, Path(text))
    if path.name != FILE_NAME and (path / FILE_NAME).is_file():
        path /= FILE_NAME
    if path.name == FILE_NAME and path.is_file():
        folder = path.parent.resolve()
        command = _command(path)
        return Implementation(folder.name, text, None, framework, dialect, device, command=command, folder=str(folder))
    if path.suffix == ".py" or path.is_file():
        if not path.is_file():
            raise UnknownImplementationError(
                f"{text}: no such file{_near(text, (str(p) for p in path.parent.glob('*.py')))}"
            )
        return Implementation(path.stem, text, {"path": str(path.resolve())}, framework, dialect, device)
    module, _, function = text.partition(":")
    if not all(part.isidentifier() for part in module.split(".")):
        raise UnknownImplementationError(f"{text!r} is no implementation: expected {_WISH}{_near(text, shipped())}")
    if not function and "." not in module and not _is_importable(module):
        raise UnknownImplementationError(f"{text!r} is no implementation: expected {_WISH}{_near(text, shipped())}")
    if not function:
        return Implementation(text, text, {"module": module}, framework, dialect, device)
    if operation is None:
        raise UnknownImplementationError(
            f"{text!r} is a single function: say which loss it is with --as, one of {', '.join(operations)}"
        )
    return Implementation(
        text, text, {"module": module, "function": function, "as": operation}, framework, dialect, device
    )


_WISH = (
    "the name of an adapter (see `lossproof list`), path/to/file.py, a folder with an adapter.toml, package.module or "
    "package.module:function"
)


def _command(path: Path) -> tuple[str, ...]:
    try:
        return command_of(read_program(path), path.parent)
    except SpecError as why:
        raise UnknownImplementationError(str(why)) from why


def _is_importable(module: str) -> bool:
    here = Path.cwd()
    return (here / f"{module}.py").is_file() or (here / module).is_dir() or util.find_spec(module) is not None


def _near(text: str, names: Iterable[str]) -> str:
    matches = difflib.get_close_matches(text, list(names), n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(matches)}?" if matches else ""
