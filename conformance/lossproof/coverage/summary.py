"""Coverage as text, 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from lossproof.coverage.measure import Count, Coverage

_NAME = 32


def lines(all_of: Sequence[Coverage], groups: int, most_groups: int) -> Iterator[str]:
    """One line for each operation, the sum, and by operation which pairs of factors are incomplete."""
    yield f"{'covered of possible':{_NAME}} {'pairs':>16} {'triples':>13} {'quadruples':>13}"
    for each in all_of:
        yield _line(each.operation, each.pairs, each.triples, each.quadruples)
    yield _line(
        "all",
        _sum(each.pairs for each in all_of),
        _sum(each.triples for each in all_of),
        _sum(each.quadruples for each in all_of),
    )
    yield "pairs of all factors; triples and quadruples of weights, smoothing, what is"
    yield f"ignored and reduction; in {groups} of at most {most_groups} groups of shapes and dtype"
    for each in all_of:
        if each.missing:
            yield ""
            yield f"{each.operation}: incomplete"
            for names, count in sorted(each.missing.items(), key=lambda item: -(item[1].possible - item[1].covered)):
                yield f"  {f'{names[0]} x {names[1]}':{_NAME - 2}} {_pair(count)}"


def _line(name: str, pairs: Count, triples: Count, quadruples: Count) -> str:
    return f"{name:{_NAME}} {_pair(pairs):>16} {_pair(triples):>13} {_pair(quadruples):>13}".rstrip()


def _pair(count: Count) -> str:
    if not count.possible:
        return "-"
    # Never 100 % while one is missing.
    return f"{count.covered}/{count.possible} {100 * count.covered // count.possible:3d} %"


def _sum(counts: Iterable[Count]) -> Count:
    together = list(counts)
    return Count(sum(each.covered for each in together), sum(each.possible for each in together))
