"""What keeps the logarithm of a probability finite: each rule's value at its bound, inside it and outside."""

from __future__ import annotations

from typing import Any

import mpmath  # type: ignore[import-untyped]  # it has no types of its own
import numpy as np
import pytest
from made_goldens import answer_of, certified, golden, held

from lossproof.judge import compare
from lossproof.numerics import DTYPES
from lossproof.oracle.certify import Certified
from lossproof.outcome import Outcome, suffices

MACHINE_EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "bfloat16": 2.0**-7, "float16": 2.0**-10}


def answer_for(
    question: str,
    dtype: str,
    p: float,
    y: float,
    *,
    log_epsilon: str = "none",
    clip: str = "none",
    log_clamp: str = "none",
) -> Certified:
    """The answer for one probability and its target, with no guard but those that are stated."""
    return certified(
        "binary_cross_entropy",
        dtype,
        {"probs": held(dtype, [p]), "target": np.array([y])},
        {"reduction": "sum"},
        None if question == "value" else np.array(1.0),
        question=question,
        log_epsilon=log_epsilon,
        clip=clip,
        log_clamp=log_clamp,
        target_log_clamp="no",
    )


def number(answer: Certified) -> Any:
    assert answer.numbers is not None, answer.undefined
    return mpmath.mpf(answer.numbers.values[0])


def is_close(answer: Certified, truth: Any) -> bool:
    """Whether the answer has the truth's first 24 digits."""
    return bool(abs(number(answer) - truth) <= mpmath.mpf(10) ** -24 * abs(truth))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_clip_at_the_machine_epsilon_bounds_an_impossible_outcome(dtype: str) -> None:
    answer = answer_for("value", dtype, 0.0, 1.0, clip="machine_epsilon")

    with mpmath.workdps(40):
        assert is_close(answer, -mpmath.log(MACHINE_EPSILON[dtype]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_clip_at_the_machine_epsilon_makes_certainty_cost_that(dtype: str) -> None:
    answer = answer_for("value", dtype, 1.0, 1.0, clip="machine_epsilon")

    with mpmath.workdps(60):
        assert is_close(answer, -mpmath.log(1 - mpmath.mpf(MACHINE_EPSILON[dtype])))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("other", DTYPES)
@pytest.mark.parametrize("p", [0.0, 1.0])
def test_the_epsilon_of_another_dtype_is_wrong(dtype: str, other: str, p: float) -> None:
    answer = answer_of(answer_for("value", dtype, p, 1.0, clip="machine_epsilon"))
    epsilon = mpmath.mpf(MACHINE_EPSILON[other])

    theirs = held(dtype, [float(-mpmath.log(epsilon if p == 0 else 1 - epsilon))])

    assert (dtype == other) == suffices(compare(theirs, golden(dtype, answer), answer).outcome, Outcome.STABLE)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("steps", "expected"), [(0.5, 0), (2, 1)])
def test_a_clip_stops_the_gradient_where_it_acts(dtype: str, steps: float, expected: int) -> None:
    p = steps * MACHINE_EPSILON[dtype]

    answer = answer_for("gradient", dtype, p, 1.0, clip="machine_epsilon")

    assert is_close(answer, -expected / mpmath.mpf(p))


def test_on_the_bound_of_a_clip_either_gradient_is_lawful() -> None:
    answer = answer_for("gradient", "float32", 2.0**-23, 1.0, clip="machine_epsilon")

    assert answer.numbers is not None
    assert ({"-8388608", "0"}, 1) == (
        {answer.numbers.values[0], answer.alternatives[0][0].values[0]},
        len(answer.alternatives),
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("p", "y"), [(0.0, 1.0), (1.0, 0.0), (1e-7, 1.0), (0.25, 0.5)])
def test_1e_7_is_added_inside_both_logarithms_as_the_dtype_holds_it(dtype: str, p: float, y: float) -> None:
    answer = answer_for("value", dtype, p, y, log_epsilon="1e-7")

    with mpmath.workdps(60):
        added, q = (mpmath.mpf(float(held(dtype, each))) for each in (1e-7, p))
        truth = -y * mpmath.log(q + added) - (1 - y) * mpmath.log(1 - q + added)
        assert is_close(answer, truth)


@pytest.mark.parametrize("added", [0.0, 1e-8, 2e-7])
def test_another_number_inside_the_logarithm_is_wrong(added: float) -> None:
    answer = answer_of(answer_for("value", "float32", 1e-6, 1.0, log_epsilon="1e-7"))

    theirs = held("float32", [-np.log(np.float64(held("float32", 1e-6)) + added)])

    assert Outcome.WRONG is compare(theirs, golden("float32", answer), answer).outcome


def test_the_gradient_with_1e_7_inside_is_bounded_at_zero() -> None:
    answer = answer_for("gradient", "float64", 0.0, 1.0, log_epsilon="1e-7")

    with mpmath.workdps(40):
        assert is_close(answer, -1 / mpmath.mpf(1e-7))


@pytest.mark.parametrize(("p", "expected"), [(1e-43, True), (1e-44, False)])
def test_the_derivative_of_a_clamped_logarithm_ends_at_the_clamp(p: float, expected: bool) -> None:
    answer = answer_for("gradient", "float64", p, 1.0, log_clamp="derivative")

    assert (expected, not expected) == (is_close(answer, -1 / mpmath.mpf(p)), number(answer) == 0)


def test_beside_the_clamp_either_derivative_is_lawful() -> None:
    p = float(np.exp(np.float64(-100)))

    answer = answer_for("gradient", "float64", p, 1.0, log_clamp="derivative")

    assert len(answer.alternatives) == 1
    assert "0" in {number(answer), *answer.alternatives[0][0].values}


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_a_clamp_with_its_derivative_bounds_the_gradient_for_the_target(p: float) -> None:
    answer = answer_for("gradient-target", "float32", p, 0.5, log_clamp="derivative")

    assert number(answer) == (100 if p == 0 else -100)


def test_a_clip_gives_zero_times_log_zero_a_derivative() -> None:
    inputs = {"p": np.array([[0.0, 1.0]]), "q": np.array([[0.0, 1.0]])}

    answer = certified(
        "distribution_cross_entropy",
        "float64",
        inputs,
        {},
        np.array(1.0),
        question="gradient-p",
        clip="machine_epsilon",
    )

    with mpmath.workdps(40):
        assert is_close(answer, 52 * mpmath.log(2))


@pytest.mark.parametrize("operation", ["binary_cross_entropy", "distribution_cross_entropy", "binary_crossentropy"])
def test_a_clip_that_cannot_act_is_not_asked_for(operation: str) -> None:
    names = {"binary_cross_entropy": ("probs", "target"), "distribution_cross_entropy": ("p", "q")}
    first, second = names.get(operation, ("target", "probs"))
    inputs = {first: np.array([[0.25, 0.75]]), second: np.array([[0.5, 0.5]])}

    answer = certified(operation, "bfloat16", inputs, {})

    assert "clip" not in answer.rules
