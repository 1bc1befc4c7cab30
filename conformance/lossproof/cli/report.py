"""`lossproof report`: a page made from runs."""

from __future__ import annotations

from pathlib import Path

import click

from lossproof.cli.errors import usage_errors
from lossproof.cli.run import GRADE_NAMES
from lossproof.known import KnownDeviationError
from lossproof.outcome import Outcome
from lossproof.record import RecordError, read_run
from lossproof.reports.markdown import summary


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--require", default="stable", show_default=True, type=click.Choice(GRADE_NAMES), help="The required grade."
)
@click.option("--output", metavar="FILE", help="Write the page there instead of printing it.")
def command(runs: tuple[str, ...], require: str, output: str | None) -> None:
    """Make a Markdown page from each RUN, a file of JSON lines or a folder with run.jsonl."""

    with usage_errors(RecordError, KnownDeviationError, OSError):
        page = summary([read_run(Path(path)) for path in runs], Outcome(require))
        if output:
            Path(output).parent.mkdir(parents=True, exist_ok=True)
            Path(output).write_text(page, encoding="utf-8")
        else:
            click.echo(page, nl=False)
