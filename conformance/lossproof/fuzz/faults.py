"""Faults: what failing cases have in common, so that each is reported once."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lossproof.numerics import HALF_DTYPES
from lossproof.outcome import GRADES, Outcome
from lossproof.record import Record


@dataclass(frozen=True)
class Fault:
    """How a case fails: the outcome, the kind of evidence for it, and the traits that the case has.

    Of a fault that was shrunk these are the traits that it takes: whatever could be left out is gone.
    """

    question: str
    is_half: bool
    outcome: Outcome
    shows: str
    fingerprint: str
    traits: frozenset[str]

    def shows_like(self, other: Fault) -> bool:
        """Whether both fail in one way, whatever else the cases have: shrinking must not pass to another fault."""
        return (self.outcome, self.shows) == (other.outcome, other.shows) and self._is_asked_like(other)

    def explains(self, other: Fault) -> bool:
        """Whether a case that fails may be this fault again: it has the traits that this takes, and is no worse."""
        if not self.traits <= other.traits or not self._is_asked_like(other):
            return False
        if self.fingerprint and other.fingerprint and self.fingerprint != other.fingerprint:
            return False
        graded = self.outcome in GRADES and other.outcome in GRADES
        return self.shows_like(other) or (graded and GRADES.index(other.outcome) < GRADES.index(self.outcome))

    def _is_asked_like(self, other: Fault) -> bool:
        # Numbers go wrong in one question and by the width of the dtype; exceptions and crashes come before both.
        graded = self.outcome in GRADES
        return not graded or (self.question, self.is_half) == (other.question, other.is_half)


def fault_of(record: Record, traits: tuple[str, ...]) -> Fault:
    """The fault that a record of a failing case shows."""
    return Fault(
        record.question,
        record.dtype in HALF_DTYPES,
        record.outcome,
        _shows(record),
        record.fingerprint,
        frozenset(traits),
    )


def _shows(record: Record) -> str:
    """What a reason says but for its numbers, or which of both answers is no number."""
    if record.expected:
        return f"{_special(record.expected)} {_special(record.got)}"
    return re.sub(r"[-+]?[0-9][0-9.e+-]*", "0", record.reason)


def _special(number: str) -> str:
    return number if number.lstrip("-") in ("nan", "inf") else "number"
