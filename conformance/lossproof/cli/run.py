"""`lossproof run`: judge implementations, print a table, keep the records."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import click
from click.shell_completion import CompletionItem

from lossproof.cli.choose import NothingChosenError, choose_goldens, default_implementations
from lossproof.cli.console import progress, stdout
from lossproof.cli.errors import usage_errors
from lossproof.environments.requirements import find_implementations
from lossproof.frameworks import read_needs
from lossproof.gate import Verdict, decide, exit_code
from lossproof.implementations import Implementation, UnknownImplementationError, shipped
from lossproof.known import KnownDeviationError, read_known
from lossproof.numerics import DTYPES
from lossproof.outcome import Outcome
from lossproof.processes.connect import Limits
from lossproof.record import Ended, Record, Run, Subject, to_line
from lossproof.reports.text import show
from lossproof.run import run_header
from lossproof.selection import Profile, Selection
from lossproof.side_by_side import Plan, run_all
from lossproof.spec.errors import SpecError
from lossproof.spec.golden import Golden
from lossproof.spec.profiles import quick_goldens
from lossproof.spec.read import read_spec

DTYPE_NAMES = ("float64", "float32", "bfloat16", "float16")
PROFILE_NAMES = ("quick", "default", "huge")
GRADE_NAMES = ("accurate", "stable", "loose")
_TIMEOUT = 60.0
_HUGE_TIMEOUT = 900.0


def complete_implementation(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG001 - click's signature
    """Names of shipped adapters that begin so."""
    return [CompletionItem(name) for name in shipped() if name.startswith(incomplete)]


@click.command()
@click.argument("names", nargs=-1, metavar="[IMPLEMENTATION]...", shell_complete=complete_implementation)
@click.option("--cases", multiple=True, metavar="GLOB", help="Only cases whose ids match; may be repeated.")
@click.option("--dtype", "dtypes", multiple=True, type=click.Choice(DTYPE_NAMES), help="Only goldens of this dtype.")
@click.option(
    "--profile",
    default="default",
    show_default=True,
    type=click.Choice(PROFILE_NAMES),
    help="quick: few goldens that catch every known mutant. huge: results of more than 2^31 elements.",
)
@click.option("--device", default="cpu", show_default=True, help="Where it runs: cpu, cuda, cuda:1, …")
@click.option(
    "--require",
    default="stable",
    show_default=True,
    type=click.Choice(GRADE_NAMES),
    help="The grade below which an answer is a finding.",
)
@click.option("--as", "operation", metavar="OPERATION", help="The loss that package.module:function is.")
@click.option("--framework", help="Whose arrays are passed, where the adapter does not say.")
@click.option("--dialect", help="The dialect to judge by, where the adapter does not say.")
@click.option(
    "--python",
    type=click.Path(exists=True, dir_okay=False),
    help="The Python that runs the adapters, or that an environment is made of.",
)
@click.option("--exec", "programs", multiple=True, metavar="COMMAND", help="A program that speaks the protocol.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=_TIMEOUT,
    show_default=True,
    help="Seconds for one golden; 900 for a huge one unless stated.",
)
@click.option(
    "--memory",
    type=click.FloatRange(min=0, min_open=True),
    metavar="GIB",
    help="Memory that a worker may take; unless stated nine tenths of what is available, on a GPU any.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=min(2, os.cpu_count() or 1),
    show_default="2, or 1 on a single core",
    help="Workers at a time.",
)
@click.option(
    "--budget",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="For each implementation; what it does not suffice for is not asked. The quick profile's goldens come first.",
)
@click.option("--output", metavar="FOLDER", help="Keep the run in FOLDER/run.jsonl.")
@click.option("--json", "as_json", is_flag=True, help="Print the run as JSON lines instead of text.")
def command(
    names: tuple[str, ...],
    cases: tuple[str, ...],
    dtypes: tuple[str, ...],
    profile: Profile,
    device: str,
    require: str,
    operation: str | None,
    framework: str | None,
    dialect: str | None,
    python: str | None,
    programs: tuple[str, ...],
    timeout: float,
    memory: float | None,
    jobs: int,
    budget: float | None,
    output: str | None,
    as_json: bool,
) -> None:
    """Judge each IMPLEMENTATION on the golden spec.

    IMPLEMENTATION is the name of an adapter (`lossproof list`), path/to/my_loss.py, package.module, or
    package.module:function with --as. Without one: every adapter that needs NumPy alone.

    Requirements, "optax==0.2.5" or "jax==0.6.2,optax==0.2.4", run the adapters for that package in an environment of
    their own, ADAPTER@REQUIREMENTS one adapter; python==3.9 among them is the Python that it is made of.

    Exit codes: 0 no finding, 1 findings, 2 usage or a file that cannot be read or written, 3 an implementation could
    not be started, 4 nothing was judged, 130 interrupted.
    """
    with usage_errors(SpecError, UnknownImplementationError, NothingChosenError, KnownDeviationError, OSError):
        spec = read_spec()
        _check_known("--as", operation, spec.operations)
        _check_known("--dialect", dialect, spec.dialects)
        chosen = names or (() if programs else default_implementations())
        implementations = find_implementations(
            *chosen,
            programs=programs,
            operations=spec.operations,
            operation=operation,
            framework=framework,
            dialect=dialect,
            device=device,
            python=python or "",
        )
        # Read before anything is asked, so that a broken file costs no run.
        for implementation in implementations:
            if implementation.known_path:
                read_known(implementation.known_path)
        goldens = choose_goldens(Selection(cases, dtypes or DTYPES, profile))
        if budget is not None:
            goldens = _by_worth(goldens)
        header = {
            **run_header(),
            "cases": list(cases),
            "dtypes": list(dtypes),
            "profile": profile,
            "device": device,
            "jobs": jobs,
            "budget": budget,
        }
        with _Sink(_open(output), header, as_json=as_json) as sink:
            items = run_all(implementations, goldens, spec, _limits(timeout, profile, memory), Plan(jobs, budget))
            interrupted = _take(items, sink, implementations)
        finished = Run(header, tuple(sink.subjects), tuple(sink.records), tuple(sink.ended))
        verdicts = decide(finished, Outcome(require))
    code = exit_code(finished, verdicts, interrupted=interrupted)
    if not as_json:
        show(stdout(), finished, verdicts, Outcome(require))
        for line in _what_next(finished, verdicts, output, framework, introduced=not names and not programs):
            click.echo(line)
    sys.exit(code)


class _Sink:
    """Where a run goes: kept here, written to a file as it comes, printed as lines for --json."""

    def __init__(self, file: TextIO | None, header: Mapping[str, object], *, as_json: bool) -> None:
        self.subjects: list[Subject] = []
        self.records: list[Record] = []
        self.ended: list[Ended] = []
        self._file = file
        self._as_json = as_json
        self._write(header)

    def __enter__(self) -> _Sink:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()

    def take(self, item: Record | Subject | Ended) -> None:
        """Keep and write one line of the run."""
        if isinstance(item, Record):
            self.records.append(item)
        elif isinstance(item, Subject):
            self.subjects.append(item)
        else:
            self.ended.append(item)
        self._write(item)

    def _write(self, item: Record | Subject | Ended | Mapping[str, object]) -> None:
        if self._file is None and not self._as_json:
            return
        line = to_line(item)
        if self._file is not None:
            self._file.write(line + "\n")
        if self._as_json:
            click.echo(line)


def _take(items: Iterable[Subject | Record | Ended], sink: _Sink, implementations: list[Implementation]) -> bool:
    """Take what comes, with a progress bar on a terminal; whether it was interrupted."""
    with progress() as bar:
        task = bar.add_task("starting", total=None)
        waiting = iter(implementations)
        try:
            bar.update(task, description=next(waiting).name)
            for item in items:
                with _uninterrupted():
                    sink.take(item)
                if isinstance(item, Record):
                    bar.advance(task)
                elif isinstance(item, Subject):
                    bar.reset(task, total=item.asked, description=item.name)
        except KeyboardInterrupt:
            return True
    return False


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back, so that no record is kept here and not in the file, or half of it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _limits(timeout: float, profile: Profile, memory: float | None) -> Limits:
    """The first golden of a process may compile and load for longer, a huge one may too, unless a time was stated."""
    allowed = None if memory is None else int(memory * 2**30)
    if timeout != _TIMEOUT:
        return Limits(golden=timeout, first=timeout, fatal=min(timeout, Limits().fatal), memory=allowed)
    if profile == "huge":
        return Limits(golden=_HUGE_TIMEOUT, first=_HUGE_TIMEOUT, memory=allowed)
    return Limits(memory=allowed)


def _open(folder: str | None) -> TextIO | None:
    if folder is None:
        return None
    Path(folder).mkdir(parents=True, exist_ok=True)
    return (Path(folder) / "run.jsonl").open("w", encoding="utf-8", buffering=1)


def _by_worth(goldens: Sequence[Golden]) -> list[Golden]:
    """First those of the quick profile, then the operations in turns: what a budget leaves out is left out of each."""
    of_operation: dict[str, Iterator[int]] = {}
    worth = {
        golden.id: (
            golden.id not in quick_goldens(),
            next(of_operation.setdefault(golden.operation, itertools.count())),
        )
        for golden in goldens
    }
    return sorted(goldens, key=lambda golden: worth[golden.id])


def _check_known(option: str, name: str | None, known: Iterable[str]) -> None:
    if name is not None and name not in set(known):
        raise UnknownImplementationError(f"{option}: expected one of {', '.join(known)}, got {name}")


def _what_next(
    run: Run, verdicts: list[Verdict], output: str | None, framework: str | None, *, introduced: bool
) -> list[str]:
    """Frameworks that are ready or missing, where the run kept its records, and what to type next."""
    lines = [""]
    if introduced:
        judged = {subject.name for subject in run.subjects}
        needs = {name: read_needs(path) for name, path in shipped().items() if name not in judged}
        ready = [name for name, need in needs.items() if need.installed]
        missing = {need.install_line: name for name, need in reversed(needs.items()) if not need.installed}
        if ready:
            lines.append(f"Ready to run: {', '.join(ready)}")
        lines += [f"To run {name}: {line}" for line, name in reversed(missing.items())]
    lines += [f"To run {name}: {line}" for name, line in _missing(run, framework).items()]
    if output:
        lines.append(f"Kept in {output}/run.jsonl; make a page of it: lossproof report {output}")
    failed = next((verdict for verdict in verdicts if verdict.findings), None)
    if failed:
        lines.append(f"Next: lossproof explain '{failed.findings[0].record.golden}' {failed.subject.typed}")
    else:
        lines.append("Next: lossproof new-adapter my_loss, then lossproof run my_loss.py")
    return lines


def _missing(run: Run, framework: str | None) -> dict[str, str]:
    """The line that installs what an adapter needs, on the framework that was asked for or its own, for each that was
    not started for want of it.
    """
    paths = {
        subject.name: shipped().get(subject.name, Path(subject.typed)) for subject in run.subjects if subject.missing
    }
    needs = {name: read_needs(path, framework) for name, path in paths.items() if path.is_file()}
    return {name: need.install_line for name, need in needs.items() if not need.installed}
