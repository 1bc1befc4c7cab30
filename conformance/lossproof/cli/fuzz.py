"""`lossproof fuzz`: search for inputs that an implementation gets wrong, and save each as a case of the spec."""

from __future__ import annotations

import importlib
import json
import math
import secrets
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import click

from lossproof.cli.choose import NothingChosenError
from lossproof.cli.console import progress
from lossproof.cli.errors import usage_errors
from lossproof.cli.run import DTYPE_NAMES, GRADE_NAMES, complete_implementation
from lossproof.fuzz.found import Counts, Found, Plan
from lossproof.fuzz.show import describe, save, table
from lossproof.gate import Exit
from lossproof.implementations import Implementation, UnknownImplementationError, find_implementation, find_program
from lossproof.known import KnownDeviationError, deviations_of
from lossproof.numerics import DTYPES
from lossproof.outcome import Outcome
from lossproof.paths import SPEC
from lossproof.processes.messages import Limits
from lossproof.record import Subject, to_line
from lossproof.run import run_header
from lossproof.session import Session
from lossproof.spec.errors import SpecError
from lossproof.spec.read import Spec, read_spec

_SECONDS = 30.0
_LARGEST_SEED = 2**32


@click.command()
@click.argument("name", required=False, metavar="IMPLEMENTATION", shell_complete=complete_implementation)
@click.option("--operation", "operations", multiple=True, help="Only this operation; may be repeated.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    help=f"How long to search, shrinking aside.  [default: {_SECONDS:g}, or no limit with --examples]",
)
@click.option("--examples", type=click.IntRange(min=1), help="How many inputs to try of each operation.")
@click.option(
    "--seed", type=click.IntRange(min=0), help="Where to start; the same seed finds the same.  [default: any]"
)
@click.option("--dtype", "dtypes", multiple=True, type=click.Choice(DTYPE_NAMES), help="Only inputs of this dtype.")
@click.option(
    "--require",
    default="stable",
    show_default=True,
    type=click.Choice(GRADE_NAMES),
    help="The grade below which an answer is a finding.",
)
@click.option("--device", default="cpu", show_default=True, help="Where it runs: cpu, cuda, cuda:1, …")
@click.option("--as", "offered_as", metavar="OPERATION", help="The loss that package.module:function is.")
@click.option("--framework", help="Whose arrays are passed, where the adapter does not say.")
@click.option("--dialect", help="The dialect to judge by, where the adapter does not say.")
@click.option("--exec", "program", metavar="COMMAND", help="A program that speaks the protocol.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Seconds for one answer.",
)
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    default=Path("lossproof-fuzz"),
    show_default=True,
    help="The folder that findings are saved in.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines instead of text.")
def command(
    name: str | None,
    operations: tuple[str, ...],
    seconds: float | None,
    examples: int | None,
    seed: int | None,
    dtypes: tuple[str, ...],
    require: str,
    device: str,
    offered_as: str | None,
    framework: str | None,
    dialect: str | None,
    program: str | None,
    timeout: float,
    save: Path,
    as_json: bool,
) -> None:
    """Search for inputs that IMPLEMENTATION gets wrong; needs `pip install 'lossproof[oracle]'`.

    Inputs are drawn at random from what the spec says of each operation, and judged by the oracle. What fails is made
    as small as it goes, printed, and saved as a topic file of spec/cases. Known deviations are no findings.

    Exit codes: 0 no finding, 1 findings, 2 usage or a file that cannot be read or written, 3 the implementation could
    not be started, 4 nothing was judged, 130 interrupted.
    """
    search, compiling = _late("lossproof.fuzz.search"), _late("lossproof.compile")
    seed = secrets.randbelow(_LARGEST_SEED) if seed is None else seed
    with usage_errors(SpecError, UnknownImplementationError, NothingChosenError, KnownDeviationError, OSError):
        spec = read_spec()
        _check_known("--operation", operations, spec.operations)
        _check_known("--as", (offered_as,), spec.operations)
        _check_known("--dialect", (dialect,), spec.dialects)
        implementation = _implementation(name, program, spec, offered_as, framework, dialect, device)
        plan = Plan(
            seed,
            dtypes or DTYPES,
            Outcome(require),
            seconds or (_SECONDS if examples is None else math.inf),
            examples or math.inf,
        )
        # Processes are started too often for a first answer to have more time than others.
        with Session(implementation, spec, Limits(golden=timeout, first=timeout)) as session:
            subject = session.start()
            searched = _Searched(subject, seed, save, as_json=as_json)
            if not subject.failed:
                deviations = deviations_of(subject)
                chosen = _offered(subject, operations)
                searched.take(
                    search.search(session, subject, compiling.read_sources(SPEC), deviations, chosen, plan), plan
                )
    sys.exit(searched.finish())


def _late(module: str) -> ModuleType:
    """A module that needs the oracle's libraries, which whoever runs the suite does without."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as why:
        click.echo(f"lossproof: the oracle needs {why.name}: pip install 'lossproof[oracle]'", err=True)
        sys.exit(Exit.USAGE)


def _implementation(
    name: str | None,
    program: str | None,
    spec: Spec,
    offered_as: str | None,
    framework: str | None,
    dialect: str | None,
    device: str,
) -> Implementation:
    if (name is None) == (program is None):
        raise UnknownImplementationError("expected an IMPLEMENTATION or --exec COMMAND (see `lossproof list`)")
    if program is not None:
        return find_program(program, framework=framework, dialect=dialect, device=device)
    assert name is not None
    return find_implementation(
        name,
        operations=spec.operations,
        operation=offered_as,
        framework=framework,
        dialect=dialect,
        device=device,
    )


def _check_known(option: str, names: Iterable[str | None], known: Iterable[str]) -> None:
    for name in names:
        if name is not None and name not in set(known):
            raise UnknownImplementationError(f"{option}: expected one of {', '.join(known)}, got {name}")


def _offered(subject: Subject, operations: tuple[str, ...]) -> tuple[str, ...]:
    chosen = tuple(name for name in subject.offered if not operations or name in operations)
    if not chosen:
        wish = " or ".join(operations) or "any operation"
        raise NothingChosenError(f"{subject.name} does not offer {wish}; it offers {', '.join(subject.offered)}")
    return chosen


class _Searched:
    """What a search came to so far: shown and saved as it comes."""

    def __init__(self, subject: Subject, seed: int, folder: Path, *, as_json: bool) -> None:
        self._subject = subject
        self._again = f"lossproof fuzz {subject.typed} --seed {seed}"
        self._folder = folder
        self._as_json = as_json
        self._counts: dict[str, Counts] = {}
        self._found = 0
        self._interrupted = False
        if as_json:
            click.echo(to_line({**run_header(), "seed": seed, "device": subject.device}))
            click.echo(to_line(subject))

    def take(self, items: Iterable[Found | Counts], plan: Plan) -> None:
        """Take faults and counts as they come, with a progress bar on a terminal."""
        with progress() as bar:
            task = bar.add_task(self._subject.name, total=None if math.isinf(plan.seconds) else plan.seconds)
            try:
                for item in items:
                    if isinstance(item, Counts):
                        self._counts[item.operation] = item
                        spent = sum(counts.seconds for counts in self._counts.values())
                        bar.update(task, completed=round(spent), description=f"{item.operation}: {self._found} found")
                    else:
                        self._found += 1
                        self._show(item)
            except KeyboardInterrupt:
                self._interrupted = True

    def _show(self, found: Found) -> None:
        path = save(found, self._folder, self._again)
        if self._as_json:
            data = json.loads(to_line(found.record))
            click.echo(json.dumps({**data, "saved": str(path), "again": found.again}, ensure_ascii=False))
            return
        for line in describe(found, path):
            click.echo(line)

    def finish(self) -> Exit:
        """Show the counts; the exit code."""
        counts = list(self._counts.values())
        if self._as_json:
            for each in counts:
                click.echo(json.dumps({"type": "counts", **asdict(each)}))
        elif self._subject.failed:
            click.echo(f"lossproof: {self._subject.name} was not started: {self._subject.failed}", err=True)
        else:
            seconds = sum(each.seconds for each in counts)
            found = "1 finding" if self._found == 1 else f"{self._found or 'no'} findings"
            for line in ("" if self._found else None, *table(counts), f"{found} in {seconds:.1f} s", self._again):
                if line is not None:
                    click.echo(line)
        if self._interrupted:
            return Exit.INTERRUPTED
        if self._subject.failed:
            return Exit.NOT_STARTED
        if not any(each.judged for each in counts):
            return Exit.NOTHING_JUDGED
        return Exit.FINDINGS if self._found else Exit.CLEAN
