"""Each branch of the judge, by a small wrong answer that only it catches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from made_goldens import answered, golden, made_dialect, stored

from lossproof.judge import judge, kind_of, stored_answer
from lossproof.numerics import DTYPES, FORMATS, overflow_threshold
from lossproof.outcome import Judgement, Outcome
from lossproof.processes.connect import Answered, Crashed, Raised, TimedOut, Unsupported
from lossproof.spec.golden import Golden


def judged(made: Golden, *replies: Any, **rules: str) -> Judgement:
    return judge(made, replies, made_dialect(rules, made.operation))


def grade(made: Golden, numbers: Any, dtype: str | None = None, **rules: str) -> Outcome:
    return judged(made, answered(dtype or made.dtype, numbers), **rules).outcome


# Grades and their boundaries


@pytest.mark.parametrize(
    ("ulps", "expected"),
    [
        (0, Outcome.ACCURATE),
        (4, Outcome.ACCURATE),
        (5, Outcome.STABLE),
        (20, Outcome.STABLE),
        (21, Outcome.LOOSE),
        (50, Outcome.LOOSE),
        (51, Outcome.WRONG),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_grade_ends_exactly_at_its_bound(dtype: str, sign: int, ulps: int, expected: Outcome) -> None:
    u = FORMATS[dtype].unit_roundoff
    # 1.5 has an ulp of 2 u: E = 20 u and a weakness of 60 u are 2 E = 20 ulp and 50 ulp.
    made = golden(dtype, stored(["1.5"], rounding=20, weakness=60))

    assert expected == grade(made, [1.5 + sign * ulps * 2 * u])


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_worst_element_decides(dtype: str) -> None:
    made = golden(dtype, stored(["1", "2", "3"]))

    judgement = judged(made, answered(dtype, [1.0, 3.0, 3.0]))

    assert (Outcome.WRONG, "1", "2", "3.0") == (
        judgement.outcome,
        judgement.where,
        judgement.expected,
        judgement.got,
    )


def test_an_error_is_counted_in_ulps_of_the_truth() -> None:
    made = golden("float32", stored(["1.5"], rounding=8))

    judgement = judged(made, answered("float32", [1.5 + 6 * 2.0**-23]))

    assert (Outcome.STABLE, 6.0, 1.5) == (judgement.outcome, judgement.ulps, judgement.bounds)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_but_zero_is_accurate_where_the_truth_is_zero(dtype: str) -> None:
    made = golden(dtype, stored(["0"]))

    assert Outcome.WRONG == grade(made, [5 * FORMATS[dtype].smallest_subnormal])


@pytest.mark.parametrize("dtype", DTYPES)
def test_minus_zero_equals_zero(dtype: str) -> None:
    assert Outcome.ACCURATE == grade(golden(dtype, stored(["0"])), [-0.0])


def test_a_float64_truth_between_two_numbers_is_told_from_either() -> None:
    # 1 + 0.4 ulp: four ulps above is 4.4 from 1 + 4 ulp's other side, five ulps above 1 is 4.6 off.
    made = golden("float64", stored(["1.000000000000000088817841"]))
    ulp = 2.0**-52

    assert [Outcome.ACCURATE, Outcome.WRONG] == [grade(made, [1 + 4 * ulp]), grade(made, [1 + 5 * ulp])]


# NaN, infinities, overflow


@pytest.mark.parametrize(
    ("truth", "answer", "expected"),
    [
        ("nan", math.nan, Outcome.ACCURATE),
        ("nan", 0.0, Outcome.WRONG),
        ("nan", math.inf, Outcome.WRONG),
        ("inf", math.inf, Outcome.ACCURATE),
        ("inf", -math.inf, Outcome.WRONG),
        ("inf", math.nan, Outcome.WRONG),
        ("-inf", -math.inf, Outcome.ACCURATE),
        ("-inf", math.inf, Outcome.WRONG),
        ("1", math.nan, Outcome.WRONG),
        ("1", math.inf, Outcome.WRONG),
        ("0", math.nan, Outcome.WRONG),
        ("0", -math.inf, Outcome.WRONG),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_special_values_must_be_met(dtype: str, truth: str, answer: float, expected: Outcome) -> None:
    # Bounds as wide as can be: they never turn one kind of value into another.
    made = golden(dtype, stored([truth], rounding=0 if truth == "1" else 1, weakness=1))

    assert expected == grade(made, [answer])


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_largest_number_is_no_infinity(dtype: str) -> None:
    assert Outcome.WRONG == grade(golden(dtype, stored(["inf"])), [FORMATS[dtype].largest])


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_infinity_is_accurate_where_the_truth_rounds_to_it(dtype: str, sign: int) -> None:
    made = golden(dtype, stored([repr(sign * overflow_threshold(dtype))]))

    grades = [grade(made, [sign * math.inf]), grade(made, [-sign * math.inf]), grade(made, [math.nan])]

    assert [Outcome.ACCURATE, Outcome.WRONG, Outcome.WRONG] == grades


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_infinity_and_a_finite_answer_are_stable_where_the_bound_reaches_over_the_threshold(dtype: str) -> None:
    layout = FORMATS[dtype]
    below = layout.largest * (1 - 16 * layout.unit_roundoff)
    made = golden(dtype, stored([repr(below)], rounding=12 * layout.largest))

    grades = [grade(made, [number]) for number in (math.inf, layout.largest, below, -math.inf)]

    assert [Outcome.STABLE, Outcome.STABLE, Outcome.ACCURATE, Outcome.WRONG] == grades


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_infinity_is_wrong_where_the_bound_ends_below_the_threshold(dtype: str) -> None:
    layout = FORMATS[dtype]
    below = layout.largest * (1 - 64 * layout.unit_roundoff)
    made = golden(dtype, stored([repr(below)], rounding=12 * layout.largest))

    assert Outcome.WRONG == grade(made, [math.inf])


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinity_is_wrong_where_the_truth_is_the_largest_number_and_nothing_is_rounded(dtype: str) -> None:
    made = golden(dtype, stored([str(int(FORMATS[dtype].largest))]))

    assert Outcome.WRONG == grade(made, [math.inf])


@pytest.mark.parametrize(
    ("ulps", "expected"),
    [(0, Outcome.ACCURATE), (4, Outcome.ACCURATE), (5, Outcome.WRONG), (200, Outcome.WRONG)],
)
def test_ulps_are_counted_near_the_largest_float64(ulps: int, expected: Outcome) -> None:
    truth = 2.0**1023 * 1.5
    made = golden("float64", stored([str(int(truth))]))

    assert expected == grade(made, [truth + ulps * 2.0**971])


@pytest.mark.parametrize("answer", [math.inf, -FORMATS["float64"].largest, 0.0, math.nan])
def test_distances_near_the_largest_float64_do_not_overflow(answer: float) -> None:
    truth = 2.0**1023 * 1.5
    made = golden("float64", stored([str(int(truth))], rounding=truth))

    assert Outcome.WRONG == grade(made, [answer])


def test_infinity_is_accurate_beyond_float64() -> None:
    assert Outcome.ACCURATE == grade(golden("float64", stored(["3.5E+308"])), [math.inf])


# Underflow


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_what_hardware_flushes_is_stable(dtype: str) -> None:
    smallest = FORMATS[dtype].smallest_normal
    made = golden(dtype, stored([repr(smallest)], rounding=2 * smallest, underflow=1))

    assert Outcome.STABLE == grade(made, [0.0])


def test_float16_is_not_flushed() -> None:
    smallest = FORMATS["float16"].smallest_normal
    made = golden("float16", stored([repr(smallest)], rounding=2 * smallest, underflow=1))

    assert [Outcome.WRONG, Outcome.ACCURATE] == [grade(made, [0.0]), grade(made, [smallest - 2.0**-24])]


def test_a_lost_float16_subnormal_is_accurate() -> None:
    made = golden("float16", stored([repr(2.0**-24)], underflow=1))

    assert Outcome.ACCURATE == grade(made, [0.0])


# More than one lawful answer


@pytest.mark.parametrize("number", [1.0, 5.0])
def test_either_lawful_answer_passes(number: float) -> None:
    made = golden("float32", stored(["1"]) | {"also": [stored(["5"])]})

    assert Outcome.ACCURATE == grade(made, [number])


def test_what_lies_between_two_lawful_answers_is_wrong() -> None:
    made = golden("float32", stored(["1"]) | {"also": [stored(["5"])]})

    assert Outcome.WRONG == grade(made, [3.0])


def test_each_element_is_beside_the_lawful_answer_nearest_to_it() -> None:
    made = golden("float32", stored(["1", "2"]) | {"also": [stored(["5", "6"])]})

    judgement = judged(made, answered("float32", [5.0, 2.5]))

    assert (Outcome.WRONG, "1") == (judgement.outcome, judgement.where)


def test_a_lawful_special_value_stands_beside_a_number() -> None:
    made = golden("float32", stored(["1"]) | {"also": [stored(["nan"])]})

    grades = [grade(made, [number]) for number in (1.0, math.nan, math.inf)]

    assert [Outcome.ACCURATE, Outcome.ACCURATE, Outcome.WRONG] == grades


# Large answers


def large(dtype: str, *, size: int = 8, each: str = "2", bound: float = 2) -> Golden:
    """An answer of equal elements of which the first two are probed, and all are summed in two runs."""
    half = size // 2
    total = repr(half * float(each))
    sums = stored([total, total], rounding=half * bound) | {"ulps": [half * 4 * FORMATS[dtype].unit_roundoff] * 2}
    answer = stored([each, each], rounding=bound) | {"sums": sums}
    return golden(dtype, answer, shape=(size,), positions=(0, 1), runs=((0, half), (half, size)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_large_answer_that_is_right_is_accurate(dtype: str) -> None:
    assert Outcome.ACCURATE == grade(large(dtype), [2.0] * 8)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_wrong_element_that_no_probe_hits_is_caught_by_the_sum_of_its_run(dtype: str) -> None:
    judgement = judged(large(dtype), answered(dtype, [2.0] * 6 + [3.0, 2.0]))

    assert (Outcome.WRONG, "sum of [4:8]") == (judgement.outcome, judgement.where)


@pytest.mark.parametrize("spoiled", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_special_value_that_no_probe_hits_is_caught_by_the_sum_of_its_run(dtype: str, spoiled: float) -> None:
    assert Outcome.WRONG == grade(large(dtype), [2.0] * 6 + [spoiled, 2.0])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_infinity_that_no_probe_hits_is_caught_where_the_sum_of_the_run_is_beyond_the_dtype(dtype: str) -> None:
    made = large(dtype, each=repr(FORMATS[dtype].largest / 2))
    elements = [FORMATS[dtype].largest / 2] * 8

    assert [Outcome.ACCURATE, Outcome.WRONG] == [grade(made, elements), grade(made, [*elements[:7], math.inf])]


def test_an_answer_whose_sum_overflows_is_wrong_and_no_crash() -> None:
    assert Outcome.WRONG == grade(large("float64"), [2.0, 2.0, *[FORMATS["float64"].largest] * 6])


def test_errors_of_one_sign_add_up_to_no_more_than_their_bounds() -> None:
    made = large("float32", bound=16)
    off = 2 + 5 * 2.0**-22

    assert Outcome.STABLE == grade(made, [off] * 8)


def test_a_wrong_probe_is_named_by_its_position() -> None:
    judgement = judged(large("float32"), answered("float32", [2.0, 7.0, *[2.0] * 6]))

    assert "1" == judgement.where


# What is wrong whatever the numbers are


@pytest.mark.parametrize("numbers", [[[1.0]], 1.0, [], [1.0, 1.0]])
def test_a_wrong_shape_is_wrong(numbers: Any) -> None:
    judgement = judged(golden("float32", stored(["1"])), answered("float32", numbers))

    assert (Outcome.WRONG, True) == (judgement.outcome, "shape" in judgement.reason)


def test_an_empty_answer_is_accurate_where_nothing_is_expected() -> None:
    assert Outcome.ACCURATE == grade(golden("float32", stored([]), shape=(0, 3)), np.zeros((0, 3)))


def test_an_empty_answer_of_another_shape_is_wrong() -> None:
    assert Outcome.WRONG == grade(golden("float32", stored([]), shape=(0, 3)), np.zeros((0,)))


def test_no_array_is_wrong() -> None:
    reply = Answered(None, "a NoneType is no array", "NoneType", None, (), 0.0)

    judgement = judged(golden("float32", stored(["1"])), reply)

    assert (Outcome.WRONG, True) == (judgement.outcome, "NoneType" in judgement.reason)


INPUTS = {"logits": {"dtype": "float32"}, "target": {"dtype": "int64"}}


@pytest.mark.parametrize(
    ("changed", "name"), [("0", "logits"), ("1", "target"), *[("weight",) * 2, ("cotangent",) * 2]]
)
def test_a_right_answer_that_overwrote_its_input_is_wrong(changed: str, name: str) -> None:
    made = golden("float32", stored(["1"]), inputs=INPUTS)

    judgement = judged(made, answered("float32", [1.0], changed=(changed,)))

    assert (Outcome.WRONG, f"overwrote its input {name}") == (judgement.outcome, judgement.reason)


@pytest.mark.parametrize(
    ("kind", "changed", "expected"),
    [
        ("value", ("0",), Outcome.ACCURATE),
        ("value", ("0", "1"), Outcome.WRONG),
        ("contract", ("0",), Outcome.WRONG),
        ("contract", (), Outcome.ACCURATE),
    ],
)
def test_what_a_dialect_overwrites_is_the_fault_of_a_contract_alone(
    kind: str, changed: tuple[str, ...], expected: Outcome
) -> None:
    made = golden("float32", stored(["1"]), inputs=INPUTS, kind=kind)
    dialects = made_dialect({}, overwrites=("logits",))

    assert expected == judge(made, [answered("float32", [1.0], changed=changed)], dialects).outcome


# Dtypes of answers


@pytest.mark.parametrize(
    ("asked", "got", "wider_results", "expected"),
    [
        ("float16", "float16", False, Outcome.ACCURATE),
        ("float16", "float32", False, Outcome.WRONG),
        ("float16", "float32", True, Outcome.ACCURATE),
        ("bfloat16", "float32", True, Outcome.ACCURATE),
        ("bfloat16", "float16", True, Outcome.WRONG),
        ("float32", "float16", True, Outcome.WRONG),
    ],
)
def test_a_contract_takes_a_wider_dtype_where_the_dialect_does(
    asked: str, got: str, wider_results: bool, expected: Outcome
) -> None:
    made = golden(asked, stored(["1"]), kind="contract")
    dialects = made_dialect({}, wider_results=wider_results)

    assert expected == judge(made, [answered(got, [1.0])], dialects).outcome


def test_a_wider_float_is_rounded_once_before_it_is_judged() -> None:
    # Half a float16 ulp below the bound: as a float32 it would be inside, as a float16 it is the next number.
    made = golden("float16", stored(["1"]))
    ulp = 2.0**-10

    assert [Outcome.ACCURATE, Outcome.WRONG] == [
        grade(made, [1 + 4.4 * ulp], "float32"),
        grade(made, [1 + 4.6 * ulp], "float32"),
    ]


def test_a_float64_answer_to_a_bfloat16_golden_is_not_rounded_twice() -> None:
    # Just below the tie between 1 + 4 ulp and 1 + 5 ulp; by way of float32 it would become 1 + 5... even: 1 + 4 ulp.
    made = golden("bfloat16", stored(["1"]))
    ulp = 2.0**-7

    grades = [grade(made, [1 + 4.5 * ulp + sign * 2.0**-40], "float64") for sign in (-1, 1)]

    assert [Outcome.ACCURATE, Outcome.WRONG] == grades


def test_a_wider_float_beyond_the_dtype_is_infinity() -> None:
    assert Outcome.ACCURATE == grade(golden("float16", stored(["inf"])), [70000.0], "float32")


def test_a_narrower_float_is_judged_by_its_value() -> None:
    made = golden("float32", stored(["0.1"]))

    assert [Outcome.WRONG, Outcome.ACCURATE] == [grade(made, [0.1], "float16"), grade(made, [0.1], "float32")]


def test_a_scalar_of_python_is_judged_by_its_value() -> None:
    made = golden("bfloat16", stored(["2"]), shape=())

    assert Outcome.ACCURATE == grade(made, 2.0, "float64")


@pytest.mark.parametrize(("dtype", "expected"), [("float16", Outcome.ACCURATE), ("float32", Outcome.WRONG)])
def test_a_contract_asks_for_the_dtype_too(dtype: str, expected: Outcome) -> None:
    made = golden("float16", stored(["1"]), kind="contract")

    assert expected == grade(made, [1.0], dtype)


# Replies that are no answer

REFUSED = Raised("ValueError", "no", "")


def test_a_refusal_is_right_where_it_must_refuse() -> None:
    made = golden("float32", {"rules": {}, "raises": "The shapes differ."}, kind="raises")

    assert (Outcome.ACCURATE, "ValueError: no") == (judged(made, REFUSED).outcome, judged(made, REFUSED).reason)


def test_an_answer_is_wrong_where_it_must_refuse() -> None:
    made = golden("float32", {"rules": {}, "raises": "The shapes differ."}, kind="raises", shape=(1,))

    assert Outcome.WRONG == grade(made, [1.0])


def test_a_refusal_is_raised_where_an_answer_is_due() -> None:
    assert Outcome.RAISED == judged(golden("float32", stored(["1"])), REFUSED).outcome


@pytest.mark.parametrize(
    ("dtype", "expected"), [("int64", Outcome.RAISED), ("int8", Outcome.UNSUPPORTED), ("uint64", Outcome.UNSUPPORTED)]
)
def test_refusing_a_label_dtype_outside_the_dialect_is_unsupported(dtype: str, expected: Outcome) -> None:
    target = {"dtype": dtype, "shape": [1], "values": [0]}
    logits = {"dtype": "float32", "shape": [1, 1], "bits": "3f800000"}
    made = golden("float32", stored(["1"]), inputs={"logits": logits, "target": target})

    assert expected == judged(made, REFUSED).outcome


def test_an_answer_to_a_label_dtype_outside_the_dialect_is_judged() -> None:
    made = golden("float32", stored(["1"]), inputs={"target": {"dtype": "int8", "shape": [1], "values": [0]}})

    assert [Outcome.ACCURATE, Outcome.WRONG] == [grade(made, [1.0]), grade(made, [2.0])]


@pytest.mark.parametrize("kind", ["value", "raises", "contract", "hazard"])
def test_unsupported_is_never_a_pass(kind: str) -> None:
    answer = {"rules": {}, "raises": "why"} if kind == "raises" else stored(["1"])

    assert Outcome.UNSUPPORTED == judged(golden("float32", answer, kind=kind), Unsupported("no")).outcome


@pytest.mark.parametrize("kind", ["value", "raises"])
def test_a_crash_and_a_hang_are_outcomes_also_where_it_must_refuse(kind: str) -> None:
    made = golden("float32", {"rules": {}, "raises": "why"} if kind == "raises" else stored(["1"]), kind=kind)

    replies = Crashed("killed by SIGSEGV", "SIGSEGV", None, ""), TimedOut(60.0, "")
    outcomes = [judged(made, reply).outcome for reply in replies]

    assert [Outcome.CRASHED, Outcome.TIMED_OUT] == outcomes


# Rules


def by_rule() -> Golden:
    return golden(
        "float32",
        stored(["nan"]) | {"rules": {"empty_mean": "nan"}},
        stored(["0"]) | {"rules": {"empty_mean": "zero"}},
    )


@pytest.mark.parametrize(("rule", "answer"), [("nan", math.nan), ("zero", 0.0)])
def test_the_dialect_chooses_the_answer(rule: str, answer: float) -> None:
    assert Outcome.ACCURATE == grade(by_rule(), [answer], empty_mean=rule)


def test_an_answer_of_another_rule_is_wrong_and_named_so() -> None:
    judgement = judged(by_rule(), answered("float32", [0.0]), empty_mean="nan")

    assert (Outcome.WRONG, True) == (judgement.outcome, "empty_mean: zero" in judgement.fingerprint)


def test_an_answer_of_no_rule_has_no_fingerprint() -> None:
    assert "" == judged(by_rule(), answered("float32", [1.0]), empty_mean="nan").fingerprint


def test_a_right_answer_has_no_fingerprint() -> None:
    assert "" == judged(by_rule(), answered("float32", [0.0]), empty_mean="zero").fingerprint


def test_what_the_dialect_leaves_open_is_a_hazard_and_not_judged() -> None:
    made = golden(
        "float32",
        {"rules": {"bad_values": "undefined"}, "undefined": "label 7 is no class"},
        stored(["nan"]) | {"rules": {"bad_values": "nan"}},
        shape=(1,),
    )
    rules = {"bad_values": "undefined"}
    dialects = made_dialect(rules, made.operation)

    found = judged(made, answered("float32", [7.0]), **rules).outcome, kind_of(made, dialects)

    assert (Outcome.UNJUDGED, "hazard") == found


def test_what_another_dialect_leaves_open_is_judged() -> None:
    made = golden(
        "float32",
        stored(["nan"]) | {"rules": {"bad_values": "nan"}},
        {"rules": {"bad_values": "undefined"}, "undefined": "label 7 is no class"},
    )
    rules = {"bad_values": "nan"}

    assert (Outcome.WRONG, "value") == (grade(made, [7.0], **rules), kind_of(made, made_dialect(rules, made.operation)))


def test_the_first_answer_that_fits_all_rules_is_taken() -> None:
    first = stored(["1"]) | {"rules": {"clip": "keras", "renormalise": "yes"}}
    second = stored(["2"]) | {"rules": {"clip": "keras", "renormalise": "no"}}

    found = stored_answer(golden("float32", first, second), {"clip": "keras", "renormalise": "no"})

    assert second == found


# Relations


def relation(name: str, dtype: str = "float32", *, first: int = 2, bound: float = 4.0) -> Golden:
    """Two calls: losses of 1 each, and their sum or mean, or the losses again."""
    part = stored(["1"] * first, rounding=bound)
    whole = {"sum_of_first_is_second": str(first), "mean_of_first_is_second": "1"}.get(name)
    other = part if whole is None else stored([whole], rounding=bound)
    calls = (golden(dtype, part), golden(dtype, other, shape=(first,) if whole is None else ()))
    return golden(dtype, kind="relation", question="relation", relation={"name": name}, calls=calls)


@pytest.mark.parametrize(
    ("name", "second", "expected"),
    [
        ("sum_of_first_is_second", 2.0, Outcome.ACCURATE),
        ("sum_of_first_is_second", 1.0, Outcome.WRONG),
        ("mean_of_first_is_second", 1.0, Outcome.ACCURATE),
        ("mean_of_first_is_second", 2.0, Outcome.WRONG),
        ("equal", [1.0, 1.0], Outcome.ACCURATE),
        ("equal", [1.0, 1.5], Outcome.WRONG),
    ],
)
def test_two_calls_must_agree(name: str, second: Any, expected: Outcome) -> None:
    replies = answered("float32", [1.0, 1.0]), answered("float32", second)

    assert expected == judged(relation(name), *replies).outcome


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_relation_may_be_off_by_what_both_calls_may(sign: int) -> None:
    # 4 ulp of 1 (8 u) for each of two losses, and 4 ulp of 2 (16 u) for their sum.
    off = sign * 8 * 2.0**-24
    made = relation("sum_of_first_is_second")

    judgement = judged(made, answered("float32", [1.0 + off, 1.0 + off]), answered("float32", 2 - 2 * off))

    assert (Outcome.STABLE, 1.0) == (judgement.outcome, judgement.bounds)


@pytest.mark.parametrize("numbers", [[math.nan, 1.0], [math.inf, 1.0]])
def test_special_values_break_a_relation_between_numbers(numbers: list[float]) -> None:
    replies = answered("float32", numbers), answered("float32", numbers)

    assert Outcome.WRONG == judged(relation("equal"), *replies).outcome


def test_a_part_of_a_relation_that_fails_is_the_outcome() -> None:
    replies = answered("float32", [1.0, 1.0]), REFUSED

    assert Outcome.RAISED == judged(relation("equal"), *replies).outcome


def test_a_part_of_a_relation_with_the_wrong_shape_is_wrong() -> None:
    replies = answered("float32", [1.0, 1.0]), answered("float32", [1.0])

    assert Outcome.WRONG == judged(relation("equal"), *replies).outcome


@pytest.mark.parametrize("replies", [0, 1])
def test_a_relation_with_too_few_replies_is_no_pass(replies: int) -> None:
    with pytest.raises((ValueError, IndexError)):
        judged(relation("equal"), *[answered("float32", [1.0, 1.0])] * replies)
