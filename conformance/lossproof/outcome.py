"""What a golden can give: a grade, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """Grades from best to worst, then what is no grade."""

    ACCURATE = "accurate"
    STABLE = "stable"
    LOOSE = "loose"
    WRONG = "wrong"
    UNSUPPORTED = "unsupported"
    UNJUDGED = "unjudged"
    RAISED = "raised"
    CRASHED = "crashed"
    TIMED_OUT = "timed out"


GRADES: tuple[Outcome, ...] = (Outcome.ACCURATE, Outcome.STABLE, Outcome.LOOSE, Outcome.WRONG)
FAILURES: tuple[Outcome, ...] = (Outcome.RAISED, Outcome.CRASHED, Outcome.TIMED_OUT)


def suffices(outcome: Outcome, required: Outcome) -> bool:
    """Whether a grade is at least the required one; what is no grade never is."""
    return outcome in GRADES and GRADES.index(outcome) <= GRADES.index(required)


@dataclass(frozen=True)
class Judgement:
    """An outcome with the evidence for it.

    `ulps` and `bounds` say how far the worst element is off, in units in the last place of the true value and in units
    of the stored error bound (nan where no element is compared); `where` is its index in C order, a sum's is the run
    of elements. `expected` and `got` are decimals. `reason` is a sentence for whatever the numbers do not say.
    """

    outcome: Outcome
    ulps: float = float("nan")
    bounds: float = float("nan")
    where: str = ""
    expected: str = ""
    got: str = ""
    reason: str = ""
    fingerprint: str = ""
