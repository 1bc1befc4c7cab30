"""The strength of a spec as text and as JSON."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from lossproof.strength.hunt import Hunted
from lossproof.strength.matrix import Matrix, Row
from lossproof.strength.mutants import GENERATED

_WIDTH = 80


def text(found: Matrix, minimal: Sequence[str] | None) -> Iterator[str]:
    """Totals, survivors, the matrix by case, cases that catch nothing, the minimal set; lines of at most 80 columns."""
    yield from _totals(found)
    yield from _mutants("Survivors: no golden tells them from their source", found.survivors)
    yield from _mutants("Proved equivalent, and caught nevertheless", found.refuted)
    yield from _mutants("Raise whatever is asked: no wrong answer, but none", _only_raise(found))
    yield from ("", f"{'case':<66} {'caught':>6} {'alone':>6}")
    yield from (f"{row.case:<66} {len(row.caught):>6} {len(row.alone):>6}" for row in found.rows if row.caught)
    yield from _idle([row for row in found.rows if not row.caught])
    if minimal is not None:
        yield from ("", f"Minimal set: {len(minimal)} goldens catch all that any catches; none can be dropped")
        yield from (f"  {golden}" for golden in minimal)


def lines(found: Matrix, minimal: Sequence[str] | None) -> Iterator[str]:
    """JSON lines: each mutant with the goldens that catch it, each case, the minimal set."""
    for name, each in found.hunted.items():
        mutant = each.mutant
        yield _json(
            type="mutant",
            mutant=name,
            bug=mutant.bug,
            source=mutant.source.name,
            line=mutant.line,
            link=mutant.link,
            proof=mutant.proof,
            asked=each.asked,
            caught=dict(each.caught),
        )
    for row in found.rows:
        yield _json(type="case", case=row.case, caught=row.caught, alone=row.alone, excuse=row.excuse)
    if minimal is not None:
        yield _json(type="minimal", goldens=list(minimal))


def profile(minimal: Sequence[str]) -> str:
    """The text of a profile: a list of goldens."""
    head = "# Few goldens that catch every mutant; written by `lossproof strength --write`.\ngoldens:\n"
    return head + "".join(f'  - "{golden}"\n' for golden in minimal)


def _totals(found: Matrix) -> Iterator[str]:
    generated = sum(name.startswith(f"{GENERATED}/") for name in found.hunted)
    sources = Counter(each.mutant.source.name for each in found.hunted.values())
    equivalent = sum(bool(each.mutant.proof) for each in found.hunted.values())
    caught = sum(bool(each.caught) and not each.mutant.proof for each in found.hunted.values())
    yield f"{len(found.hunted)} mutants, {generated} of them made by operators"
    yield from (f"  {count:>4} of {name}" for name, count in sorted(sources.items()))
    yield f"{caught} caught, {equivalent} proved equivalent, {len(found.survivors)} survive"


def _only_raise(found: Matrix) -> list[Hunted]:
    written = [each for name, each in found.hunted.items() if not name.startswith(f"{GENERATED}/")]
    return [each for each in written if each.only_raises]


def _mutants(title: str, hunted: Sequence[Hunted]) -> Iterator[str]:
    if hunted:
        yield from ("", title)
    for each in hunted:
        mutant = each.mutant
        yield f"  {mutant.id}"
        asked = "1 golden" if each.asked == 1 else f"{each.asked} goldens"
        place = f"{mutant.source.name}:{mutant.line}, {asked} asked: {mutant.bug}"
        yield from textwrap.wrap(place, _WIDTH, initial_indent="    ", subsequent_indent="    ")


def _idle(rows: Sequence[Row]) -> Iterator[str]:
    """Cases that catch nothing: how many have each excuse, and those that have none."""
    if not rows:
        return
    excuses = Counter(row.excuse for row in rows if row.excuse)
    yield from ("", f"{len(rows)} cases catch nothing")
    yield from (f"  {count:>4} {excuse}" for excuse, count in sorted(excuses.items()))
    unexcused = [row.case for row in rows if not row.excuse]
    if unexcused:
        yield f"  {len(unexcused):>4} say nothing that would justify them:"
        yield from (f"       {case}" for case in unexcused)


def _json(**facts: object) -> str:
    return json.dumps(facts, ensure_ascii=False)
