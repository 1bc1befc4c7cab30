"""Combinations of levels: which are possible, and which of them the cases cover."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lossproof.coverage.classify import Asked, asked
from lossproof.coverage.factors import DANGEROUS, LABEL_DTYPES, Levels, Model, model
from lossproof.spec.cases import read_cases
from lossproof.spec.dialects import read_dialects
from lossproof.spec.operations import read_operations

# Levels of some factors, in the order of the model: (("size", "31"), ("dtype", "float16")).
Combination = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Count:
    """How many of the possible combinations are covered."""

    covered: int
    possible: int


@dataclass(frozen=True)
class Coverage:
    """What the cases cover of an operation; `missing` counts the pairs that are not covered by their two factors."""

    operation: str
    pairs: Count
    triples: Count
    quadruples: Count
    missing: Mapping[tuple[str, ...], Count]


def coverages(folder: Path) -> list[Coverage]:
    """What all cases of a spec folder cover, by operation; raises SpecError on a broken spec."""
    operations, cases = read_operations(folder), read_cases(folder)
    dialects = read_dialects(operations, folder)
    return [
        coverage(name, model(each), asked(each, cases), dialects[each.home_dialect].label_dtypes)
        for name, each in operations.items()
    ]


def coverage(operation: str, its: Model, calls: Iterable[Asked], taken: Collection[str]) -> Coverage:
    """Pairs of all factors, triples and quadruples of the dangerous ones.

    `taken` are the label dtypes that the operation's home dialect takes. With another one an implementation may refuse
    the whole call, so such a case counts for the combinations with that dtype only.
    """
    rows = [each.levels for each in calls]
    pairs = possible(its, 2, its.factors)
    done = covered(rows, pairs, taken)
    dangerous = [name for name in its.factors if name in DANGEROUS]
    return Coverage(
        operation,
        Count(len(done), len(pairs)),
        _count(its, rows, 3, dangerous, taken),
        _count(its, rows, 4, dangerous, taken),
        _by_factors(pairs, done),
    )


def possible(model: Model, size: int, factors: Iterable[str]) -> list[Combination]:
    """All combinations of levels of so many of these factors that some whole row can have."""
    return [
        tuple(zip(names, levels, strict=True))
        for names in itertools.combinations([name for name in model.factors if name in set(factors)], size)
        for levels in itertools.product(*(model.factors[name] for name in names))
        if is_possible(model, dict(zip(names, levels, strict=True)))
    ]


def is_possible(model: Model, levels: Levels) -> bool:
    """Whether some whole row has these levels."""
    if not model.allows(levels):
        return False
    # Factors without a rule never stand in the way; those with the most rules fail first.
    free = next((name for name in model.ruled if name not in levels), None)
    if free is None:
        return True
    return any(is_possible(model, {**levels, free: level}) for level in model.factors[free])


def covered(
    rows: Iterable[Levels], wanted: Iterable[Combination], taken: Collection[str] = LABEL_DTYPES
) -> set[Combination]:
    """Those of the wanted combinations that some row has, where labels have one of the dtypes taken."""
    by_names: dict[tuple[str, ...], set[Combination]] = {}
    for combination in wanted:
        by_names.setdefault(tuple(name for name, _ in combination), set()).add(combination)
    distinct = {tuple(row.items()) for row in rows}
    return {
        combination
        for row in map(dict, distinct)
        for combination in _of_row(row, by_names, taken)
        if combination in by_names[tuple(name for name, _ in combination)]
    }


def _of_row(row: Levels, factors: Iterable[tuple[str, ...]], taken: Collection[str]) -> Iterator[Combination]:
    refusable = row.get("target") in LABEL_DTYPES and row["target"] not in taken
    for names in factors:
        if all(name in row for name in names) and (not refusable or "target" in names):
            yield tuple((name, row[name]) for name in names)


def _count(model: Model, rows: list[Levels], size: int, factors: list[str], taken: Collection[str]) -> Count:
    wanted = possible(model, size, factors)
    return Count(len(covered(rows, wanted, taken)), len(wanted))


def _by_factors(wanted: Iterable[Combination], done: Collection[Combination]) -> Mapping[tuple[str, ...], Count]:
    """The counts of the pairs of factors of which some combination is missing."""
    all_of = Counter(tuple(name for name, _ in combination) for combination in wanted)
    done_of = Counter(tuple(name for name, _ in combination) for combination in done)
    return {names: Count(done_of[names], count) for names, count in all_of.items() if done_of[names] < count}
