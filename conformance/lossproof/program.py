"""An implementation in another language: what the adapter.toml in its folder says."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import Field

from lossproof.spec.check import check
from lossproof.spec.errors import SpecError
from lossproof.spec.models import Form, Identifier, Sentence
from lossproof.spec.yaml import Document, Place

FILE_NAME = "adapter.toml"


class Program(Form):
    """A program that speaks the protocol.

    A word of `command` that is a file of the folder stands for that file. `needs` are files that exist once it is
    installed, by the line `install`, in which {folder} is the folder; a package.json among them tells the version.
    """

    summary: Sentence
    framework: Identifier
    dialect: Identifier
    package: Sentence
    command: Annotated[list[Sentence], Field(min_length=1)]
    install: Sentence
    needs: list[Sentence] = Field(default_factory=list)


def read_program(path: Path) -> Program:
    """What an adapter.toml says; raises SpecError."""
    name = f"{path.parent.name}/{path.name}"
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except (OSError, ValueError) as why:
        raise SpecError(f"{name}: expected TOML, got {why}") from why
    keys = {line.partition("=")[0].strip(): number for number, line in enumerate(text.splitlines(), start=1)}
    return check(Program, data, Place(Document(name, data, {(key,): number for key, number in keys.items()})))


def command_of(program: Program, folder: Path) -> tuple[str, ...]:
    """What runs the program, from wherever it is run."""
    files = [(folder / word).resolve() for word in program.command]
    return tuple(str(file) if file.is_file() else word for word, file in zip(program.command, files, strict=True))


def is_installed(program: Program, folder: Path) -> bool:
    """Whether it can be run."""
    return _is_found(program, folder) and all((folder / need).exists() for need in program.needs)


def version_of(program: Program, folder: Path) -> str:
    """The version that a package.json among its needs states, or nothing."""
    for need in program.needs:
        if Path(need).name == "package.json" and (folder / need).is_file():
            return str(json.loads((folder / need).read_text(encoding="utf-8"))["version"])
    return ""


def install_line(program: Program, folder: Path) -> str:
    """The line that installs what is missing."""
    near = Path(os.path.relpath(folder))
    shown = folder if near.parts[:1] == ("..",) else near
    line = program.install.replace("{folder}", shlex.quote(str(shown)))
    return line if _is_found(program, folder) else f"install {program.command[0]}, then {line}"


def _is_found(program: Program, folder: Path) -> bool:
    return shutil.which(command_of(program, folder)[0]) is not None
