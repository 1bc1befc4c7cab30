"""A small set of goldens that catches all mutants, of which none can be dropped."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from lossproof.spec.golden import Golden

CHEAP = 4096  # elements: a larger golden has to catch as many times more


def cost(golden: Golden) -> int:
    """Elements that the calls of a golden read."""
    parameters = [value for part in golden.parts for value in part.parameters.values() if isinstance(value, dict)]
    tensors = [*(stored for part in golden.parts for stored in part.inputs.values()), *parameters]
    return sum(math.prod(stored["shape"]) for stored in tensors)


def minimal_set(caught: Mapping[str, Collection[str]], costs: Mapping[str, int]) -> list[str]:
    """Ids of goldens, sorted, such that every mutant that anything catches is caught, and each of them is needed.

    `caught` are the goldens that catch each mutant. The golden that catches most of what is left, for its cost, comes
    first (greedy set cover); then those that others have made superfluous go, the costly ones first.
    """
    catches: dict[str, set[str]] = {}
    for mutant, goldens in caught.items():
        for golden in goldens:
            catches.setdefault(golden, set()).add(mutant)
    left = {mutant for mutant, goldens in caught.items() if goldens}
    chosen: list[str] = []
    while left:
        best = min(catches, key=lambda golden: (-len(catches[golden] & left) / _price(costs[golden]), golden))
        chosen.append(best)
        left -= catches[best]
    for golden in sorted(chosen, key=lambda golden: (-costs[golden], golden)):
        others = set[str]().union(*(catches[other] for other in chosen if other != golden))
        if catches[golden] <= others:
            chosen.remove(golden)
    return sorted(chosen)


def _price(elements: int) -> float:
    return 1 + elements / CHEAP
