"""`lossproof spec`: compile the cases into goldens, and check that the files hold what the cases say."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import click

from lossproof.cli.errors import usage_errors
from lossproof.paths import SPEC
from lossproof.published import disagreements
from lossproof.spec.cases import read_cases
from lossproof.spec.errors import SpecError
from lossproof.spec.groups import MOST_GROUPS, shape_groups
from lossproof.spec.schema import schemas

_FOLDER = click.option(
    "--folder", type=click.Path(path_type=Path), help="The spec folder; by default the one of this installation."
)


@click.group()
def command() -> None:
    """Compile and check the spec; needs `pip install 'lossproof[oracle]'`."""


@command.command("compile")
@_FOLDER
def compile_(folder: Path | None) -> None:
    """Write golden/ and schema/ in the spec folder from its cases, operations and dialects."""

    where = folder or SPEC
    with usage_errors(SpecError, OSError):
        for path, text in _texts(where).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            click.echo(f"{path.relative_to(where)}  {len(text) / 1e6:.2f} MB")


@command.command("check")
@_FOLDER
def check(folder: Path | None) -> None:
    """Check every spec file, compile anew, and compare with golden/ and schema/ byte for byte."""

    where = folder or SPEC
    with usage_errors(SpecError, OSError):
        cases = read_cases(where)
        groups = len(shape_groups(cases))
        click.echo(
            f"{len(cases)} cases in {groups} groups of operation, shapes, dtype and reduction (at most {MOST_GROUPS})"
        )
        problems = [f"{groups} groups, expected at most {MOST_GROUPS}"] if groups > MOST_GROUPS else []
        expected = _texts(where)
        problems += [
            f"{path.relative_to(where)}: differs from what the cases say; `lossproof spec compile` writes it anew"
            for path, text in expected.items()
            if not path.is_file() or path.read_text(encoding="utf-8") != text
        ]
        present = [*where.glob("golden/*"), *where.glob("schema/*")]
        problems += [
            f"{path.relative_to(where)}: nothing in the spec makes this file"
            for path in present
            if path not in expected
        ]
        problems += disagreements(cases, where)
    for problem in problems:
        click.echo(f"lossproof: {problem}", err=True)
    if problems:
        sys.exit(2)
    click.echo(f"{len(expected)} files hold what the cases say; all published digits agree")


def _texts(folder: Path) -> dict[Path, str]:
    """What golden/ and schema/ should hold."""
    try:
        # Late: compiling needs the oracle's libraries, which whoever runs the suite does without.
        compiling = importlib.import_module("lossproof.compile")
    except ModuleNotFoundError as why:
        click.echo(f"lossproof: the oracle needs {why.name}: pip install 'lossproof[oracle]'", err=True)
        sys.exit(2)

    goldens = {folder / "golden" / f"{name}.json": text for name, text in compiling.compile_spec(folder).items()}
    return goldens | {folder / "schema" / name: text for name, text in schemas().items()}
