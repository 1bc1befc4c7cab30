"""Which new groups of shapes, dtype, reduction and tensors make room for the most combinations."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from lossproof.case import Scalar
from lossproof.coverage.factors import DANGEROUS, FEW, GIANTS, PROBABILITIES, SIZES, Model, has_elements
from lossproof.coverage.measure import Combination, is_possible, possible
from lossproof.coverage.seats import Seat, Shape, fixed, seats, word_of
from lossproof.spec.groups import Group
from lossproof.spec.operations import Operation
from lossproof.spec.shapes import shape_of

# Elements of a shape with several sizes.
_LARGEST = 2 * 4097
# Giant sizes come unbatched or as two rows, which is cheap to certify.
_RANKS_OF_GIANTS = ("1", "2")
# One of every order of magnitude, each just beyond a block, before its neighbours.
_EARLY = (
    "33",
    "129",
    "257",
    "4097",
    "65537",
    "31",
    "127",
    "255",
    "1000",
    "128256",
    "32",
    "128",
    "256",
    "50257",
    "32000",
)
_FIRST = (*_EARLY, *(level for level in (FEW, *map(str, SIZES)) if level not in _EARLY))
_NOTHING = (0, 0, 0.0)
_TOGETHER = ("dangerous", "together")
_FEW_CLASSES = 4
_FEW_ELEMENTS = {1: (6,), 2: (3, 2), 3: (2, 3, 2)}
_FEATURES = 3


def new_groups(
    operations: Mapping[str, Operation], models: Mapping[str, Model], present: Collection[Group], count: int
) -> list[Group]:
    """So many new groups over all operations, each the best one then; the same for the same groups.

    Best is what makes room for most levels and dangerous combinations that no group of the operation has room for; of
    equals the size that should come first, which goes round the operations; then the most pairs.
    """
    worth = {name: _Worth(operations[name], models[name]) for name in operations}
    roomy = {group: worth[group[0]].of(group) for group in present}
    gained = {name: set().union(*(found for group, found in roomy.items() if group[0] == name)) for name in operations}
    heap = [
        (worth[name].rank(found, gained[name]), number, group, found)
        for name, operation in operations.items()
        for number, group in enumerate(_candidates(operation, models[name]))
        if group not in roomy and (found := worth[name].of(group))
    ]
    heapq.heapify(heap)
    chosen: list[Group] = []
    while heap and len(chosen) < count:
        _, number, group, found = heapq.heappop(heap)
        rank = worth[group[0]].rank(found, gained[group[0]])
        if rank == _NOTHING:
            continue
        # What others have taken since only makes a group worth less, so the best one that is up to date is the best.
        if heap and rank > heap[0][0]:
            heapq.heappush(heap, (rank, number, group, found))
            continue
        chosen.append(group)
        gained[group[0]] |= found
    return chosen


class _Worth:
    """What groups of one operation make room for, remembered by what they fix."""

    def __init__(self, operation: Operation, model: Model) -> None:
        self._operation, self._model = operation, model
        self._possible: dict[Combination, bool] = {}
        self._fixed = [name for name in model.factors if name in fixed(operation)]
        self._pairs = len(possible(model, 2, model.factors))
        # Where only two parameters are dangerous together, they are a pair like others.
        several = sum(name in DANGEROUS for name in model.factors) > 2
        self._dangerous = tuple(name for name in self._fixed if name in DANGEROUS) if several else ()

    def rank(self, found: Collection[Combination], gained: Collection[Combination]) -> tuple[int, int, float]:
        """How soon a group should come, the smallest first."""
        new = [combination for combination in found if combination not in gained]
        sizes = [_FIRST.index(level) for ((name, level),) in (each for each in new if len(each) == 1) if name == "size"]
        urgent = sum(len(each) == 1 or each[-1] == _TOGETHER for each in new)
        return -urgent, min(sizes, default=0), -(len(new) - urgent) / self._pairs

    def of(self, group: Group) -> frozenset[Combination]:
        """The single levels, the pairs and, marked, the dangerous combinations that a group has room for."""
        found: set[Combination] = set()
        several = [names for size in (1, 2) for names in itertools.combinations(self._fixed, size)]
        for seat in seats(self._operation, self._model, [group]):
            for names in several:
                found |= self._combinations(seat, names)
            # Nothing is ignored among probabilities, and a giant has few rows.
            shows = seat.levels.get("target") != frozenset({PROBABILITIES}) and not seat.levels["size"] & {*GIANTS}
            if self._dangerous and shows:
                found |= {(*each, _TOGETHER) for each in self._combinations(seat, self._dangerous)}
        return frozenset(found)

    def _combinations(self, seat: Seat, names: Sequence[str]) -> set[Combination]:
        levels = itertools.product(*(sorted(seat.levels[name]) for name in names))
        return {each for each in (tuple(zip(names, some, strict=True)) for some in levels) if self._is_possible(each)}

    def _is_possible(self, combination: Combination) -> bool:
        if combination not in self._possible:
            self._possible[combination] = is_possible(self._model, dict(combination))
        return self._possible[combination]


def _candidates(operation: Operation, model: Model) -> Iterator[Group]:
    """Groups that might be added: every size at every rank, each dtype, reduction and set of tensors."""
    tensors = [name for name, parameter in operation.parameters.items() if parameter.type == "tensor"]
    subsets = [some for size in range(len(tensors) + 1) for some in itertools.combinations(sorted(tensors), size)]
    reductions = [None if level == "default" else level for level in model.factors.get("reduction", ("default",))]
    for shapes in dict.fromkeys(_all_shapes(operation, model)):
        for dtype, reduction, some in itertools.product(model.factors["dtype"], reductions, subsets):
            yield operation.name, shapes, dtype, reduction, some


def _all_shapes(operation: Operation, model: Model) -> Iterator[tuple[Shape, ...]]:
    for size, rank in itertools.product(model.factors["size"], sorted(model.factors["rank"])):
        if size in GIANTS and rank not in _RANKS_OF_GIANTS:
            continue
        if has_elements(operation):
            shape = _elements(size, int(rank))
            yield tuple(shape for _ in operation.inputs)
        else:
            for axis in _class_axes(operation, int(rank)):
                yield from _with_classes(operation, size, int(rank), axis)
    if operation.class_axis in operation.parameters and all(each.shape == "rows classes" for each in operation.inputs):
        yield from (tuple(shape for _ in operation.inputs) for shape in _of_many_sizes())


def _elements(size: str, rank: int) -> Shape:
    """A shape of so many elements, its prime factors over the axes."""
    if size == FEW:
        return _FEW_ELEMENTS.get(rank, (2, 3, 2, 2, 1)[:rank])
    if size == "0":
        return (*(2,) * (rank - 1), 0)
    lengths = [1] * rank
    for number, prime in enumerate(sorted(_primes(int(size)), reverse=True)):
        lengths[number % rank] *= prime
    return tuple(lengths)


def _primes(number: int) -> Iterator[int]:
    divisor = 2
    while number > 1:
        if number % divisor == 0:
            yield divisor
            number //= divisor
        else:
            divisor = divisor + 1 if divisor * divisor <= number else number


def _class_axes(operation: Operation, rank: int) -> Iterable[int]:
    if operation.class_axis == "second":
        return (min(rank - 1, 1),)
    if operation.class_axis in operation.parameters:
        return sorted({0, rank // 2, rank - 1})
    return (rank - 1,)


def _with_classes(operation: Operation, size: str, rank: int, axis: int) -> Iterator[tuple[Shape, ...]]:
    """Shapes of the inputs for so many classes on this axis and few rows, for indices and for probabilities."""
    if size == "0":
        if rank == 1:
            return
        classes, rows = _FEW_CLASSES, (0, *(2,) * (rank - 2))
    else:
        classes = _FEW_CLASSES if size == FEW else int(size)
        rows = _rows(classes, rank)
    prediction = (*rows[:axis], classes, *rows[axis:])
    named = {operation.differentiable[0]: prediction}
    if operation.class_rows is not None:
        named = {operation.differentiable[0]: (*rows, _FEATURES), operation.class_rows: (classes, _FEATURES)}
    stated: dict[str, Scalar] = {operation.class_axis or "": axis}
    for index in (True, False):
        yield tuple(shape_of(word_of(each, index), operation, named, stated) for each in operation.inputs)


def _rows(classes: int, rank: int) -> Shape:
    """Several rows of few classes, two of many."""
    if classes > 257:
        return {1: (), 2: (2,), 3: (2, 1), 4: (2, 1, 2), 5: (2, 1, 1, 2)}[rank]
    return {1: (), 2: (3,), 3: (2, 3), 4: (2, 2, 2), 5: (2, 1, 2, 2)}[rank]


def _of_many_sizes() -> Iterator[Shape]:
    """Shapes whose axes each have another size: along each axis they ask another question."""
    lengths = [size for size in SIZES if size]
    for rank in (2, 3, 4, 5):
        for shape in itertools.combinations(lengths, rank):
            if math.prod(shape) <= _LARGEST:
                yield shape
