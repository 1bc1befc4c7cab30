"""The table of elements that `lossproof explain` prints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from made_goldens import answered, golden, made_dialect, stored

from lossproof.numerics import DTYPES, FORMATS, overflow_threshold
from lossproof.outcome import Judgement, Outcome
from lossproof.processes.connect import Answered
from lossproof.reports.elements import elements
from lossproof.session import Asked
from lossproof.spec.golden import Golden


def table(made: Golden, *replies: Answered) -> list[str]:
    asked = Asked(made, made.kind, replies, Judgement(Outcome.WRONG))
    return list(elements(asked, made_dialect({}, made.operation), most=4))


def last_columns(made: Golden, numbers: Sequence[float]) -> list[list[str]]:
    """What follows expected and got in each row."""
    rows = [line.split() for line in table(made, answered(made.dtype, numbers))[1:]]
    return [row[3:] for row in rows[::2]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_number_has_its_distance_in_ulps_and_of_the_bound(dtype: str) -> None:
    u = FORMATS[dtype].unit_roundoff
    made = golden(dtype, stored(["1.5", "1.5"], rounding=8))

    assert [["0", "0"], ["2", "0.5"]] == last_columns(made, [1.5, 1.5 + 4 * u])


@pytest.mark.parametrize("dtype", DTYPES)
def test_special_values_are_equal_or_differ(dtype: str) -> None:
    made = golden(dtype, stored(["nan", "inf", "1", "1"]))

    expected = [["0", "0"], ["0", "0"], ["differs"], ["differs"]]
    assert expected == last_columns(made, [math.nan, math.inf, math.nan, math.inf])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_number_in_place_of_a_special_value_differs(dtype: str) -> None:
    made = golden(dtype, stored(["nan", "inf", "-inf"]))

    assert [["differs"]] * 3 == last_columns(made, [1.0, 1.0, math.inf])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_an_infinity_is_lawful_where_the_truth_or_its_bound_reaches_overflow(dtype: str) -> None:
    threshold = overflow_threshold(dtype)
    near = threshold * (1 - 4 * FORMATS[dtype].unit_roundoff)
    made = golden(dtype, stored([repr(2 * threshold), repr(near), repr(near)], rounding=[0, 10 * threshold, 0]))

    assert [["lawful"], ["lawful"], ["differs"]] == last_columns(made, [math.inf] * 3)


def test_each_element_stands_beside_the_lawful_answer_that_it_is_nearest_to() -> None:
    made = golden("float64", stored(["1", "2"]) | {"also": [stored(["3", "4"])]})

    rows = [line.split()[:3] for line in table(made, answered("float64", [3.0, 2.0]))[1::2]]

    assert [["0", "3", "3.0"], ["1", "2", "2.0"]] == rows


def test_the_tables_of_a_relation_are_headed_by_their_parameters() -> None:
    parameters: list[dict[str, Any]] = [{"reduction": "none"}, {}]
    calls = tuple(golden("float64", stored(["1"]), parameters=each) for each in parameters)
    made = golden("float64", calls=calls, relation={"name": "equal"})

    lines = table(made, answered("float64", [1.0]), answered("float64", [1.0]))

    heads = ["made with reduction='none':", "made with no parameters:"]
    assert heads == [line for line in lines if line.startswith("made")]
    assert 8 == len(lines)
