"""Each relation by two answers that keep it and one that breaks it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from made_goldens import answered, golden, held, made_dialect, stored

from lossproof.judge import judge, kind_of
from lossproof.outcome import Outcome
from lossproof.relations import Side, sides
from lossproof.spec.golden import Golden, store
from lossproof.spec.tensors import read_tensor
from lossproof.spec.yaml import Document, Place

U = 2.0**-24


def relation(name: str, answers: list[list[str]], **more: Any) -> Golden:
    """A relation between calls with these true answers, each with E = 4."""
    calls = tuple(golden("float32", stored(values, rounding=4)) for values in answers)
    return golden("float32", kind="relation", question="relation", relation={"name": name, **more}, calls=calls)


def gap(made: Golden, *answers: Any) -> tuple[list[float], list[float]]:
    """How far the two sides are apart, and how far they may be."""
    calls = [
        Side(part, held("float32", numbers), np.full(1, 8 * U))
        for part, numbers in zip(made.calls, answers, strict=True)
    ]
    compared = sides(made, calls)
    return list(compared.left - compared.right), list(compared.bound)


def grade(made: Golden, *answers: Any) -> Outcome:
    return judge(made, [answered("float32", numbers) for numbers in answers], made_dialect({})).outcome


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([[1.0], [2.0], [1.75]], Outcome.ACCURATE),
        # 8 u of each answer, scaled: 8·1/4 + 8·3/4 + 8 = 16 u, all of which is taken.
        ([[1.0 + 8 * U], [2.0 + 8 * U], [1.75 - 8 * U]], Outcome.STABLE),
        ([[1.0], [2.0], [2.0]], Outcome.WRONG),
    ],
)
def test_a_combination_adds_the_scaled_bounds(answers: list[list[float]], expected: Outcome) -> None:
    made = relation("combination", [["1"], ["2"], ["1.75"]], coefficients=[1, 3, -4])

    assert expected == grade(made, *answers)


def test_a_combination_is_joined_exactly() -> None:
    made = relation("combination", [["1"], ["2"], ["1.75"]], coefficients=[1, 3, -4])

    assert ([2.0**-20], [16 * U]) == gap(made, [1.0], [2.0], [1.75 - 2.0**-20])


@pytest.mark.parametrize(("last", "expected"), [([1, 2, 3], Outcome.ACCURATE), ([1, 3, 2], Outcome.WRONG)])
def test_a_concatenation_is_in_order(last: list[float], expected: Outcome) -> None:
    made = relation("concatenation", [["1", "2"], ["3"], ["1", "2", "3"]])

    assert expected == grade(made, [1.0, 2.0], [3.0], last)


@pytest.mark.parametrize(("second", "expected"), [([3, 1, 2], Outcome.ACCURATE), ([1, 2, 3], Outcome.WRONG)])
def test_a_permutation_moves_what_it_says(second: list[float], expected: Outcome) -> None:
    made = relation("permutation", [["1", "2", "3"], ["3", "1", "2"]], order=[2, 0, 1], axis=0)

    assert expected == grade(made, [1.0, 2.0, 3.0], second)


def test_a_reduced_answer_does_not_change_under_permutation() -> None:
    part = golden("float32", stored(["2"]), shape=())
    named = {"name": "permutation", "order": [1, 0], "axis": 0}
    made = golden("float32", kind="relation", question="relation", relation=named, calls=(part, part))

    assert (Outcome.ACCURATE, Outcome.WRONG) == (grade(made, 2.0, 2.0), grade(made, 2.0, 3.0))


def shard(logits: list[list[float]], target: list[int], loss: str) -> Golden:
    place = Place(Document("made.yaml", {}, {}))
    tensors = {"logits": read_tensor(logits, place), "target": read_tensor(target, place)}
    inputs = {name: store(tensor, "float32") for name, tensor in tensors.items()}
    return golden("float32", stored([loss], rounding=4), inputs=inputs)


def test_shards_are_joined_by_their_normalisers() -> None:
    # Losses of [1, 2] and [3] with their first classes as targets, and of [1, 2, 3] with the target 2.
    first, second, whole = 1.3132616875182228, 0.0, 0.40760596444437956
    calls = (
        shard([[1.0, 2.0]], [0], repr(first)),
        shard([[3.0]], [0], repr(second)),
        shard([[1.0, 2.0, 3.0]], [2], repr(whole)),
    )
    made = golden("float32", kind="relation", question="relation", relation={"name": "shards"}, calls=calls)

    right, wrong = grade(made, [first], [second], [whole]), grade(made, [first], [second + 0.1], [whole])

    assert (Outcome.ACCURATE, Outcome.WRONG) == (right, wrong)


def test_a_wrong_call_is_wrong_although_the_relation_holds() -> None:
    assert Outcome.WRONG == grade(relation("equal", [["1"], ["1"]]), [2.0], [2.0])


def test_the_same_bits_are_asked_of_the_beginning() -> None:
    made = relation("same_bits", [["1", "2"], ["1"]], promise="batch-invariant")

    found = grade(made, [1.0, 2.0], [1.0]), grade(made, [1.0, 2.0], [1.0 + 2 * U])

    assert (Outcome.ACCURATE, Outcome.WRONG) == found


@pytest.mark.parametrize(("promises", "kind"), [((), "property"), (("repeatable",), "contract")])
def test_a_property_gates_only_where_it_is_promised(promises: tuple[str, ...], kind: str) -> None:
    calls = (golden("float32", stored(["1"])),) * 2
    named = {"name": "same_bits", "promise": "repeatable"}
    made = golden("float32", kind="contract", question="relation", relation=named, calls=calls)

    assert kind == kind_of(made, made_dialect({}, promises=promises))


@pytest.mark.parametrize("numbers", [[np.nan], [np.inf]])
def test_special_values_keep_a_relation_where_they_are_due(numbers: list[float]) -> None:
    made = relation("combination", [[repr(numbers[0])], ["1"], [repr(numbers[0])]], coefficients=[1, 1, -2])

    assert Outcome.ACCURATE == grade(made, numbers, [1.0], numbers)
