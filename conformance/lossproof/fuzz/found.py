"""What a search is asked and what it gives: a plan, counts, faults."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lossproof.case import Case
from lossproof.outcome import Outcome
from lossproof.record import Record


@dataclass(frozen=True)
class Plan:
    """What to search for, from which seed, how long: for seconds in all, or for examples of each operation, or both."""

    seed: int
    dtypes: tuple[str, ...]
    required: Outcome
    seconds: float = math.inf
    examples: float = math.inf


@dataclass(frozen=True)
class Counts:
    """What became of the examples of one operation. Shrinking is not counted.

    `judged` ones had an answer that could fail, `open` ones are left open by the dialect or the dtype; `known` ones
    failed as the implementation is known to. `exhausted` says that there is nothing else to try.
    """

    operation: str
    examples: int = 0
    judged: int = 0
    open: int = 0
    unsupported: int = 0
    known: int = 0
    seconds: float = 0.0
    exhausted: bool = False


@dataclass(frozen=True)
class Found:
    """A fault: the smallest case that shows it, its record, and whether it failed when it was asked once more."""

    case: Case
    record: Record
    again: bool
