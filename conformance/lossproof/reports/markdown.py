"""Runs as one Markdown page: summary, one row a feature and implementation, failures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lossproof.gate import NEVER_GATE, decide
from lossproof.outcome import GRADES, Outcome, suffices
from lossproof.record import Record, Run
from lossproof.reports.failures import SHOWN, evidence, group, known_groups, what_now, worst
from lossproof.reports.rendering import template

_COLUMNS = (*GRADES, Outcome.UNSUPPORTED, Outcome.UNJUDGED, Outcome.RAISED, Outcome.CRASHED, Outcome.TIMED_OUT)
_JUDGED = (*GRADES, Outcome.RAISED, Outcome.CRASHED, Outcome.TIMED_OUT)


@dataclass(frozen=True)
class Row:
    """A feature (operation/topic) and a cell for each implementation: good over judged."""

    feature: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Features:
    """A table of features by implementation."""

    implementations: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Speed:
    """How long an implementation's goldens took, and how many of them have no record."""

    name: str
    goldens: int
    seconds: float
    not_asked: int

    @property
    def rate(self) -> float:
        """Goldens a second, the start included."""
        return self.goldens / self.seconds


def summary(runs: Sequence[Run], required: Outcome) -> str:
    """The page; raises KnownDeviationError where a file of known deviations cannot be read."""
    verdicts = [verdict for run in runs for verdict in decide(run, required)]
    records = {subject.name: run.of(subject.name) for run in runs for subject in run.subjects if not subject.failed}
    worst_records = [(name, worst(of)) for name, of in records.items()]
    return template("summary.md.j2").render(
        runs=runs,
        required=required,
        verdicts=verdicts,
        outcomes=_COLUMNS,
        features=[features(records, required)],
        worst=[(name, record) for name, record in worst_records if record is not None],
        groups=group,
        shown=SHOWN,
        evidence=evidence,
        what_now=what_now,
        known=known_groups,
        speeds=sorted((speed for run in runs for speed in speeds(run)), key=lambda speed: speed.rate),
        places=places(runs),
        short=_short,
    )


def places(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Where runs took place, by what, and when they began."""
    found: dict[str, list[str]] = {}
    for run in runs:
        head = run.header
        where = (
            f"on {head['cpu']} ({head['machine']}, {head['system']}, {head['cores']} cores); Python {head['python']}, "
            f"NumPy {head['numpy']}, lossproof {head['lossproof']}, spec {head['spec']}"
        )
        found.setdefault(where, []).append(head["started"])
    return {where: sorted(times) for where, times in found.items()}


def speeds(run: Run) -> list[Speed]:
    """The speed of each implementation that came to its end."""
    asked = {subject.name: subject.asked for subject in run.subjects}
    counts = Counter(record.implementation for record in run.records)
    return [
        Speed(
            end.implementation,
            counts[end.implementation],
            end.seconds,
            asked[end.implementation] - counts[end.implementation],
        )
        for end in run.ended
        if counts[end.implementation]
    ]


def features(records: Mapping[str, Sequence[Record]], required: Outcome) -> Features:
    """One row for each operation and topic."""
    names = sorted({(record.operation, record.topic) for of in records.values() for record in of})
    counted: dict[tuple[str, str, str], tuple[int, int]] = {}
    for name, of in records.items():
        for record in of:
            if record.outcome in _JUDGED and record.kind not in NEVER_GATE:
                good, judged = counted.get((name, record.operation, record.topic), (0, 0))
                counted[name, record.operation, record.topic] = (good + suffices(record.outcome, required), judged + 1)
    rows = tuple(
        Row(f"{operation}/{topic}", tuple(_cell(counted.get((name, operation, topic))) for name in records))
        for operation, topic in names
    )
    return Features(tuple(records), rows)


def _cell(counts: tuple[int, int] | None) -> str:
    return "" if counts is None else f"{counts[0]}/{counts[1]}"


def _short(number: float) -> str:
    return f"{number:.3g}" if math.isfinite(number) else str(number)
