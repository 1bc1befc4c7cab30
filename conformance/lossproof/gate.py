"""The gate: which records are findings, and the exit code that they make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from lossproof.known import Deviation, covering, deviations_of
from lossproof.outcome import FAILURES, GRADES, Outcome, suffices
from lossproof.record import Record, Run, Subject

NEVER_GATE = ("hazard", "property")


class Exit(IntEnum):
    """Exit codes of the command."""

    CLEAN = 0
    FINDINGS = 1
    USAGE = 2
    NOT_STARTED = 3
    NOTHING_JUDGED = 4
    INTERRUPTED = 130


# Where several hold, the first of these wins.
_PRECEDENCE = (Exit.INTERRUPTED, Exit.USAGE, Exit.NOT_STARTED, Exit.NOTHING_JUDGED, Exit.FINDINGS)


@dataclass(frozen=True)
class Finding:
    """A golden that should not be so: `stale` is a known deviation that did not happen."""

    record: Record
    stale: Deviation | None = None


@dataclass(frozen=True)
class Verdict:
    """An implementation's findings, the known deviations among its records, and the number of records by outcome.

    `judged` leaves out what is unsupported and what the dialect or the dtype leaves open.
    """

    subject: Subject
    findings: tuple[Finding, ...]
    known: tuple[tuple[Record, Deviation], ...]
    outcomes: Mapping[Outcome, int]
    judged: int


def decide(run: Run, required: Outcome) -> list[Verdict]:
    """A verdict for each implementation of a run; raises KnownDeviationError."""
    return [
        decide_one(subject, run.of(subject.name), deviations_of(subject), required)
        for subject in run.subjects
        if not subject.failed
    ]


def decide_one(
    subject: Subject, records: Sequence[Record], deviations: Sequence[Deviation], required: Outcome
) -> Verdict:
    """The verdict on one implementation's records."""
    findings: list[Finding] = []
    known: list[tuple[Record, Deviation]] = []
    for record in records:
        if record.kind in NEVER_GATE:
            continue
        deviation = covering(record, subject, deviations)
        if deviation is None:
            findings += [Finding(record)] if _fails(record, required) else []
        elif record.outcome in deviation.expected:
            known.append((record, deviation))
        elif record.outcome is not Outcome.UNSUPPORTED and (not deviation.varies or _fails(record, required)):
            findings.append(Finding(record, deviation))
    judged = sum(record.kind not in NEVER_GATE and record.outcome is not Outcome.UNSUPPORTED for record in records)
    return Verdict(subject, tuple(findings), tuple(known), Counter(record.outcome for record in records), judged)


def _fails(record: Record, required: Outcome) -> bool:
    if record.outcome in GRADES:
        return not suffices(record.outcome, required)
    return record.outcome in FAILURES


def exit_code(run: Run, verdicts: Sequence[Verdict], *, interrupted: bool = False) -> Exit:
    """The exit code of a run."""
    holds = {
        Exit.INTERRUPTED: interrupted,
        Exit.NOT_STARTED: any(subject.failed for subject in run.subjects),
        Exit.NOTHING_JUDGED: not any(verdict.judged for verdict in verdicts),
        Exit.FINDINGS: any(verdict.findings for verdict in verdicts),
    }
    return next((code for code in _PRECEDENCE if holds.get(code)), Exit.CLEAN)
