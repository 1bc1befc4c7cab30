"""What a hunt came to: the matrix of mutants and cases, and the cases that catch nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from lossproof.spec.golden import Golden
from lossproof.strength.hunt import Hunted, Right


@dataclass(frozen=True)
class Row:
    """A case: the mutants that it catches, those that no other case catches, and why it may catch none ("")."""

    case: str
    caught: tuple[str, ...]
    alone: tuple[str, ...]
    excuse: str


@dataclass(frozen=True)
class Matrix:
    """A hunt's results, mutants by id and cases in the order of the spec.

    `survivors` are caught by nothing and not proved equivalent; `refuted` are caught, although a proof says that they
    cannot be.
    """

    hunted: Mapping[str, Hunted]
    rows: tuple[Row, ...]

    @property
    def survivors(self) -> list[Hunted]:
        """Mutants that nothing catches, proved equivalent ones aside."""
        return [each for each in self.hunted.values() if not each.caught and not each.mutant.proof]

    @property
    def refuted(self) -> list[Hunted]:
        """Mutants that are caught in spite of a proof that they are equivalent."""
        return [each for each in self.hunted.values() if each.caught and each.mutant.proof]

    @property
    def claims(self) -> dict[str, set[str]]:
        """The goldens that catch each mutant."""
        return {name: set(each.caught) for name, each in self.hunted.items()}


def matrix(found: Iterable[Right | Hunted], goldens: Sequence[Golden]) -> Matrix:
    """The results in order."""
    case_of = {golden.id: golden.case for golden in goldens}
    first = {golden.case: golden for golden in reversed(goldens)}
    by_case: dict[str, set[str]] = {golden.case: set() for golden in goldens}
    alone: dict[str, set[str]] = {}
    judged: set[str] = set()
    hunted: dict[str, Hunted] = {}
    for each in found:
        if isinstance(each, Right):
            judged |= {case_of[golden] for golden in each.goldens}
            continue
        hunted[each.mutant.id] = each
        cases = {case_of[golden] for golden in each.caught}
        for case in cases:
            by_case[case].add(each.mutant.id)
        if len(cases) == 1:
            alone.setdefault(cases.pop(), set()).add(each.mutant.id)
    rows = [
        Row(case, tuple(sorted(mutants)), tuple(sorted(alone.get(case, ()))), excuse(first[case], judged))
        for case, mutants in by_case.items()
    ]
    return Matrix(dict(sorted(hunted.items())), tuple(rows))


def excuse(golden: Golden, judged: Collection[str]) -> str:
    """Why the case of a golden may catch no mutant: it says what else it is there for. `judged` are cases."""
    if golden.case not in judged:
        return "gate no source of the mutants: hazards, properties, what it lacks"
    if golden.flags:
        return "guard against a reported bug (flags)"
    if golden.source:
        return "hold published digits (source)"
    if golden.topic == "covering":
        return "cover pairs of values (topic covering)"
    return ""
