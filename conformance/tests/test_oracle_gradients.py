"""Certified gradients against numerical differentiation of the second oracle's values at high precision."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import mpmath  # type: ignore[import-untyped]  # it has no types of its own
import numpy as np
import pytest
import second_oracle
from made_goldens import SPEC, answer_of, certified, held, home_rules
from made_goldens import golden as made

from lossproof.judge import compare
from lossproof.numerics import FORMATS, HALF_DTYPES
from lossproof.oracle.probabilities import held_clip_bounds
from lossproof.outcome import Outcome
from lossproof.spec.golden import Golden, array, golden_files, load_goldens

pytestmark = pytest.mark.numbers

MOST_ELEMENTS = 12
MOST_ANSWERS = 120
# Central differences are off by h^2 times the third derivative, and lose as many digits as h has.
DIGITS = 200
STEP = mpmath.mpf(10) ** -70
NOTHING = mpmath.mpf(10) ** -70
WANTED = mpmath.mpf(10) ** -24
LARGEST_INPUT = 1e30
SMALLEST_PROBABILITY = 1e-57


def differentiable(operation: str) -> Iterator[tuple[Golden, Mapping[str, Any]]]:
    """Small gradients of finite inputs, with each answer that is stored for them."""
    prediction = SPEC.operations[operation].differentiable[0]
    for golden in load_goldens(golden_files()[operation]):
        x = array(golden.inputs[prediction]).astype(np.float64)
        small = 0 < x.size <= MOST_ELEMENTS and (abs(x) < LARGEST_INPUT).all()
        plain = golden.question == "gradient" and golden.transform is None and golden.copies == 1
        if plain and small:
            answers = [answer for answer in golden.answers if "values" in answer]
            yield from ((golden, each) for each in answers if not is_at_a_kink(golden, x, each["rules"]))


def is_at_a_kink(golden: Golden, x: Any, stated: Mapping[str, str]) -> bool:
    """Whether the value has no derivative there, or a rule defines another gradient than it."""
    rules = {**home_rules(golden.operation), **stated}
    if golden.parameters.get("from_logits") or "clip" not in rules:
        return False
    if rules["clip"] != "none" and np.isin(x, held_clip_bounds(rules["clip"], golden.dtype)).any():
        return True
    if golden.operation == "distribution_cross_entropy":
        return rules["clip"] == "none" and bool((x < SMALLEST_PROBABILITY).any())
    # Zero and one lie on the edge of the domain; in half 1 is also the upper bound of Keras's clip.
    if ((x < SMALLEST_PROBABILITY) | (x >= 1)).any() or (rules["clip"] == "keras" and golden.dtype in HALF_DTYPES):
        return True
    # Where that rule matters torch bounds the divisor, whatever the derivative is.
    return stated.get("log_clamp") == "torch"


def slopes(golden: Golden, rules: Mapping[str, str]) -> list[Any]:
    """The derivative of the cotangent's product with the value, by central differences."""
    assert golden.cotangent is not None
    prediction = SPEC.operations[golden.operation].differentiable[0]
    inputs = {name: second_oracle.reals(array(stored)) for name, stored in golden.inputs.items()}
    parameters = {
        name: second_oracle.reals(array(value)) if isinstance(value, dict) else value
        for name, value in golden.parameters.items()
    }
    cotangent = list(second_oracle.reals(array(golden.cotangent)).ravel())
    x = inputs[prediction]

    def weighed(position: int, step: Any) -> Any:
        moved = x.copy()
        moved.flat[position] += step
        losses = second_oracle.value(golden.operation, golden.dtype, {**inputs, prediction: moved}, parameters, rules)
        return mpmath.fsum(c * loss for c, loss in zip(cotangent, losses, strict=True))

    return [(weighed(i, STEP) - weighed(i, -STEP)) / (2 * STEP) for i in range(x.size)]


@pytest.mark.parametrize("operation", sorted(SPEC.operations))
def test_gradients_are_derivatives_of_the_value(operation: str) -> None:
    compared = 0
    wrong = []
    candidates = list(differentiable(operation))
    for golden, answer in candidates[:: 1 + len(candidates) // MOST_ANSWERS]:
        with mpmath.workdps(DIGITS):
            expected = slopes(golden, {**home_rules(operation), **answer["rules"]})
            for text, slope in zip(answer["values"], expected, strict=True):
                if math.isnan(float(text)) or not mpmath.isfinite(slope):
                    continue
                compared += 1
                if abs(mpmath.mpf(text) - slope) > WANTED * abs(slope) + NOTHING:
                    wrong.append(f"{golden.id} {answer['rules']}: {text}, not {mpmath.nstr(slope, 25)}")

    assert (True, []) == (compared > 50, wrong)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_torch_bounds_the_divisor_of_its_gradient_instead(dtype: str) -> None:
    rules = {**home_rules("binary_cross_entropy"), "log_clamp": "torch"}
    inputs = {"probs": second_oracle.reals(np.array([0.0])), "target": second_oracle.reals(np.array([1.0]))}

    slope = second_oracle.gradient(
        "binary_cross_entropy", dtype, inputs, {"reduction": "sum"}, rules, second_oracle.reals(np.array(1.0))
    )

    held = float(np.array(np.float32(1e-12)).astype(FORMATS[dtype].storage))
    assert math.isclose(-1 / held, float(slope[0]), rel_tol=2.0**-50)


def test_two_jumps_in_a_row_may_be_taken_on_different_sides() -> None:
    # q is 1e-7 and 1 - 1e-7 within rounding: the clip may let either through, each for itself.
    inputs = {"target": np.array([[0.25, 0.75]]), "probs": held("float32", [[4.99999935e-08, 0.5]])}
    answer = answer_of(certified("categorical_crossentropy", "float32", inputs, {}, np.array([1.0])))
    mass = float(inputs["probs"].sum())
    # The first one is clipped, the second is not: c (0 + y_1) / sum p and c (-y_1 / q_1 + y_1) / sum p.
    sides = held("float32", [0.75 / mass, 0.75 * (1 - mass / 0.5) / mass])

    judgement = compare(sides, made("float32", answer), answer)

    assert judgement.outcome in (Outcome.ACCURATE, Outcome.STABLE), judgement
