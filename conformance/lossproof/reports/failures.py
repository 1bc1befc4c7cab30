"""Failures grouped by cause: the same fingerprint or reason, or the same case over dtypes and questions."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lossproof.gate import NEVER_GATE, Finding, Verdict
from lossproof.outcome import GRADES, Outcome
from lossproof.record import Record

SHOWN = 3
_WIDTH = 78


@dataclass(frozen=True)
class Group:
    """Findings of one cause."""

    cause: str
    findings: tuple[Finding, ...]


def group(findings: Iterable[Finding]) -> list[Group]:
    """Groups in the order in which their first finding was met."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(_cause(finding), []).append(finding)
    return [Group(cause, tuple(members)) for cause, members in groups.items()]


def _cause(finding: Finding) -> str:
    record = finding.record
    if finding.stale:
        return f"known deviation did not happen: {finding.stale.place}"
    if record.fingerprint:
        return record.fingerprint
    # Exceptions are told apart by their text: one cause raises in many cases.
    return record.reason if record.outcome is Outcome.RAISED else record.case


def describe(finding: Finding, typed: str) -> list[str]:
    """Where, what, what the answer equals if that is known, and how to run it again.

    `typed` is what a command line takes for the implementation.
    """
    record = finding.record
    return [
        f"{record.golden}: {record.outcome}",
        *wrapped(_stale(finding), "  "),
        *wrapped(evidence(record), "  "),
        *wrapped(record.fingerprint, "  "),
        f"  lossproof explain '{record.golden}' {typed}",
        f"  what now: {what_now(finding)}",
    ]


def what_now(finding: Finding) -> str:
    """The command that prints what to do about a failure."""
    return f"lossproof docs {'known' if finding.stale else str(finding.record.outcome).split()[0]}"


def wrapped(text: str, indent: str) -> list[str]:
    """The text in lines of at most 78 columns, numbers and ids left whole."""
    return textwrap.wrap(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _stale(finding: Finding) -> str:
    if not finding.stale:
        return ""
    expected = " or ".join(finding.stale.expected)
    return f"{finding.stale.place} says {expected}: remove it, or narrow it to what still deviates"


def evidence(record: Record) -> str:
    """Expected, got and the distance; or the reason."""
    if record.outcome not in GRADES or not record.expected:
        return record.reason or "no element differs"
    said = f"{record.reason}: " if record.reason else ""
    return f"{said}at {record.where}: expected {record.expected}, got {record.got} ({distance(record)})"


def distance(record: Record) -> str:
    """The error in ulps and in units of the bound."""
    if math.isnan(record.ulps):
        return ""
    if math.isinf(record.ulps):
        return "one of them is not finite"
    if record.outcome is Outcome.STABLE:
        # Many ulps of a number that cancels mean nothing where the bound is kept.
        return f"{_short(record.bounds)} of the bound"
    return f"{_short(record.ulps)} ulp, {_short(record.bounds)} of the bound"


def worst(records: Sequence[Record]) -> Record | None:
    """Of the goldens that gate, the record with the worst grade, and of those the largest error by the bound."""
    graded = [r for r in records if r.outcome in GRADES and not math.isnan(r.ulps) and r.kind not in NEVER_GATE]
    return max(graded, key=lambda record: (GRADES.index(record.outcome), record.bounds, record.ulps), default=None)


def known_groups(verdict: Verdict) -> list[tuple[str, int, Record]]:
    """Reason, number of records and first record of each known deviation that happened."""
    counted: dict[str, tuple[str, int, Record]] = {}
    for record, deviation in verdict.known:
        reason, count, first = counted.get(deviation.place, (deviation.reason, 0, record))
        counted[deviation.place] = (reason, count + 1, first)
    return list(counted.values())


def _short(number: float) -> str:
    return f"{number:.3g}"
