"""Published digits beside certified answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path

from lossproof.case import Case, Published
from lossproof.expected import decode
from lossproof.spec.golden import Golden, load_goldens


def disagreements(cases: Sequence[Case], folder: Path) -> Iterator[str]:
    """Cases whose published digits are not those of the golden of the dtype that their source used."""
    for case in cases:
        if case.published is None:
            continue
        goldens = load_goldens(folder / "golden" / f"{case.operation}.json")
        wanted = f"{case.id}[{case.published.dtype}-value]"
        found = next((golden for golden in goldens if golden.id == wanted), None)
        if found is None:
            yield f"{case.id}: publishes {case.published.dtype} digits, but has no such golden"
        else:
            yield from _compare(case.published, found)


def _compare(published: Published, golden: Golden) -> Iterator[str]:
    """A printed digit agrees if the truth is within half a unit of it, and within what the source's dtype may lose."""
    answer = golden.answers[0]
    lawful = decode(answer, golden.dtype).stable.tolist()
    if published.shape != golden.shape:
        yield f"{golden.id}: publishes the shape {published.shape}, the answer has {golden.shape}"
        return
    for index, (printed, true, slack) in enumerate(zip(published.digits, answer["values"], lawful, strict=True)):
        if printed in ("nan", "inf", "-inf") or true in ("nan", "inf", "-inf"):
            agrees = printed == true
        else:
            exponent = Decimal(printed).as_tuple().exponent
            assert isinstance(exponent, int)
            half_unit = Decimal(5) * Decimal(10) ** (exponent - 1)
            agrees = abs(Decimal(printed) - Decimal(true)) <= half_unit + Decimal(slack)
        if not agrees:
            yield f"{golden.id} element {index}: published {printed}, certified {true}"
