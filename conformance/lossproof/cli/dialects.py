"""`lossproof dialects`: what each implementation was seen to do where frameworks lawfully differ."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from lossproof.cli.console import progress
from lossproof.cli.errors import usage_errors
from lossproof.environments.requirements import find_implementations
from lossproof.frameworks import read_needs
from lossproof.gate import Exit
from lossproof.implementations import UnknownImplementationError, shipped
from lossproof.observed import Observation, observe, tells
from lossproof.record import Subject
from lossproof.reports.dialects import page
from lossproof.selection import Selection, select
from lossproof.session import Session
from lossproof.spec.errors import SpecError
from lossproof.spec.read import read_spec


@click.command()
@click.argument("names", nargs=-1, metavar="[IMPLEMENTATION]...")
@click.option("--device", default="cpu", show_default=True, help="Where it runs: cpu, cuda, cuda:1, …")
@click.option(
    "--python",
    type=click.Path(exists=True, dir_okay=False),
    help="The Python that runs the adapters, or that an environment is made of.",
)
@click.option("--output", metavar="FOLDER", help="Write dialects.md and dialects.json there instead of printing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of Markdown.")
def command(names: tuple[str, ...], device: str, python: str | None, output: str | None, as_json: bool) -> None:
    """Tell, for every rule, what each IMPLEMENTATION was seen to do, next to what its documentation says.

    An IMPLEMENTATION is what `lossproof run` takes, "optax==0.2.5" among it. Without one: every shipped adapter whose
    framework is installed, but for the textbook formulas.

    Exit codes: 0, or 3 where an implementation could not be started.
    """
    with usage_errors(SpecError, UnknownImplementationError, OSError):
        spec = read_spec()
        chosen = find_implementations(
            *(names or _installed()), operations=spec.operations, device=device, python=python or ""
        )
        goldens = [golden for golden in select(Selection()) if tells(golden)]
        subjects: list[Subject] = []
        observations: list[Observation] = []
        with progress() as bar:
            task = bar.add_task("implementations", total=len(chosen))
            for implementation in chosen:
                bar.update(task, description=implementation.name)
                with Session(implementation, spec, names_faults=False) as session:
                    subjects.append(session.start())
                    offered = [golden for golden in goldens if golden.operation in subjects[-1].offered]
                    observations += observe(session, offered, spec)
                bar.advance(task)
        text = page(subjects, observations, spec)
        if output:
            _write(Path(output), text, _data(observations))
        else:
            click.echo(_data(observations) if as_json else text, nl=False)
    sys.exit(Exit.NOT_STARTED if any(subject.failed for subject in subjects) else Exit.CLEAN)


def _installed() -> list[str]:
    return [name for name, path in shipped().items() if not name.startswith("textbook_") and read_needs(path).installed]


def _data(observations: Sequence[Observation]) -> str:
    return json.dumps([{**asdict(each), "agrees": each.agrees} for each in observations], indent=1) + "\n"


def _write(folder: Path, text: str, data: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dialects.md").write_text(text, encoding="utf-8")
    (folder / "dialects.json").write_text(data, encoding="utf-8")
    click.echo(f"Written: {folder}/dialects.md, {folder}/dialects.json")
