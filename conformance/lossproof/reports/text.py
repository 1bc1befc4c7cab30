"""A run as plain text, 80 columns wide where stdout is no terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table

from lossproof.gate import NEVER_GATE, Verdict
from lossproof.outcome import GRADES, Outcome, suffices
from lossproof.record import Run
from lossproof.reports.failures import SHOWN, describe, distance, evidence, group, known_groups, worst, wrapped

_STYLES = {Outcome.ACCURATE: "green", Outcome.STABLE: "green", Outcome.LOOSE: "yellow", Outcome.WRONG: "red"}


def show(console: Console, run: Run, verdicts: Sequence[Verdict], required: Outcome) -> None:
    """Table, worst errors, known deviations, findings."""
    console.print(_table(verdicts))
    for line in _worst(run, verdicts):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    for verdict in verdicts:
        for line in (*_known(verdict), *_findings(verdict, required)):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    for subject in run.subjects:
        if subject.failed:
            console.print(f"\n{subject.name} was not started: {subject.failed}", highlight=False, markup=False)
            for line in _last_frame(subject.details):
                console.print(line, highlight=False, markup=False, soft_wrap=True)


def _last_frame(traceback: str) -> list[str]:
    lines = traceback.rstrip().splitlines()
    last = max((number for number, line in enumerate(lines) if line.startswith('  File "')), default=len(lines))
    return lines[last:-1]


def _table(verdicts: Sequence[Verdict]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("implementation", overflow="fold")
    for name in ("goldens", "accurate", "stable", "loose", "wrong", "unsup.", "raised", "crashed"):
        table.add_column(name, justify="right", no_wrap=True)
    for verdict in verdicts:
        counts = verdict.outcomes
        table.add_row(
            verdict.subject.name,
            str(sum(counts.values())),
            *(_styled(counts.get(grade, 0), grade) for grade in GRADES),
            str(counts.get(Outcome.UNSUPPORTED, 0)),
            str(counts.get(Outcome.RAISED, 0)),
            str(counts.get(Outcome.CRASHED, 0) + counts.get(Outcome.TIMED_OUT, 0)),
        )
    return table


def _styled(count: int, grade: Outcome) -> str:
    return f"[{_STYLES[grade]}]{count}[/]" if count else "0"


def _worst(run: Run, verdicts: Sequence[Verdict]) -> Iterator[str]:
    if verdicts:
        yield "Worst error"
    for verdict in verdicts:
        record = worst(run.of(verdict.subject.name))
        if record is not None:
            yield f"  {verdict.subject.name}: {record.outcome}, {distance(record)}"
            yield f"    {record.golden}"
        values, gradients = (_share(run, verdict, question) for question in ("value", "gradient"))
        yield f"    accurate values: {values}; accurate gradients: {gradients}"
        missing = verdict.subject.asked - sum(verdict.outcomes.values())
        if missing > 0:
            yield f"    not asked: {missing} of {verdict.subject.asked}"
        if verdict.subject.not_offered:
            yield from wrapped(f"not offered: {', '.join(verdict.subject.not_offered)}", "    ")
        hazards, properties = (
            [record for record in run.of(verdict.subject.name) if record.kind == kind] for kind in NEVER_GATE
        )
        if hazards:
            ungraded = verdict.outcomes.get(Outcome.UNJUDGED, 0)
            yield f"    hazards, reported and never findings: {len(hazards)}, of which not graded: {ungraded}"
        if properties:
            hold = sum(suffices(record.outcome, Outcome.STABLE) for record in properties if record.outcome in GRADES)
            yield f"    same bits again, which its dialect does not promise: {hold} of {len(properties)}"


def _share(run: Run, verdict: Verdict, question: str) -> str:
    """Per cent of the graded goldens of a question that are accurate."""
    graded = [r for r in run.of(verdict.subject.name) if r.question == question and r.outcome in GRADES]
    accurate = sum(record.outcome is Outcome.ACCURATE for record in graded)
    # Rounded down: 100 % means all of them.
    return f"{1000 * accurate // len(graded) / 10:g} %" if graded else "none judged"


def _known(verdict: Verdict) -> Iterator[str]:
    groups = known_groups(verdict)
    if groups:
        yield f"\n{verdict.subject.name}: {len(verdict.known)} known deviations"
    for reason, count, record in groups:
        yield from wrapped(f"{count} {record.outcome}: {reason}", "  ")
        yield f"    {record.golden}"
        yield from wrapped(evidence(record), "    ")


def _findings(verdict: Verdict, required: Outcome) -> Iterator[str]:
    if not verdict.findings:
        return
    count = "1 finding" if len(verdict.findings) == 1 else f"{len(verdict.findings)} findings"
    yield f"\n{verdict.subject.name}: {count} (below {required}, raised, crashed or timed out)"
    for cause in group(verdict.findings):
        for finding in cause.findings[:SHOWN]:
            yield from (f"  {line}" for line in describe(finding, verdict.subject.typed))
        if len(cause.findings) > SHOWN:
            yield f"  … and {len(cause.findings) - SHOWN} more: {cause.cause}"
