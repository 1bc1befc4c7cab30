"""`lossproof spec`: compile the cases into goldens, and check that the files hold what the cases say."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import click

from lossproof.cli.errors import usage_errors
from lossproof.coverage.measure import coverages
from lossproof.coverage.summary import lines
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


@command.command("cover")
@_FOLDER
@click.option(
    "--new-groups", type=click.IntRange(0), default=0, help="How many new groups of shapes and dtype to open."
)
@click.option("--anew", is_flag=True, help="Forget the rows that are there; their ids may change.")
def cover(folder: Path | None, new_groups: int, anew: bool) -> None:
    """Add covering cases for the combinations that no case covers, in cases/<operation>/covering.yaml."""

    where = folder or SPEC
    with usage_errors(SpecError, OSError):
        for path, text in _needing_oracle("lossproof.coverage.cover").covering_files(where, new_groups, anew).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            click.echo(f"{path.relative_to(where)}  {text.count('  - name: ')} cases")


@command.command("coverage")
@_FOLDER
def coverage(folder: Path | None) -> None:
    """Print how many of the possible pairs and triples of levels the cases cover, by operation."""

    where = folder or SPEC
    with usage_errors(SpecError, OSError):
        groups = len(shape_groups(read_cases(where)))
        for line in lines(coverages(where), groups, MOST_GROUPS):
            click.echo(line)


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
        problems += [
            f"{path.relative_to(where)}: differs from what `lossproof spec cover` writes"
            for path in _needing_oracle("lossproof.coverage.cover").stale_files(where)
        ]
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
    goldens = _needing_oracle("lossproof.compile").compile_spec(folder)
    written = {folder / "golden" / f"{name}.json": text for name, text in goldens.items()}
    return written | {folder / "schema" / name: text for name, text in schemas().items()}


def _needing_oracle(module: str) -> ModuleType:
    """A module that is imported late: it needs libraries which whoever runs the suite does without."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as why:
        click.echo(f"lossproof: the oracle needs {why.name}: pip install 'lossproof[oracle]'", err=True)
        sys.exit(2)
