"""Certified answers against the second oracle: every stored decimal, and enclosures of inputs that Hypothesis draws."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import mpmath  # type: ignore[import-untyped]  # it has no types of its own
import numpy as np
import pytest
import second_oracle
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st
from made_goldens import SPEC as RULES
from made_goldens import held, home_rules

from lossproof.numerics import DTYPES, FORMATS
from lossproof.oracle import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    binary_crossentropy,
    categorical_crossentropy,
    cross_entropy,
    distribution_cross_entropy,
    linear_cross_entropy,
    log_softmax,
    nll_loss,
    sparse_categorical_crossentropy,
)
from lossproof.oracle.arithmetic import Arithmetic, PrecisionTooLowError, Quantity
from lossproof.oracle.problem import Problem, RefusedError, UndefinedError
from lossproof.paths import SPEC
from lossproof.published import disagreements
from lossproof.spec.cases import read_cases
from lossproof.spec.dialects import read_rules
from lossproof.spec.golden import Golden, array, golden_files, load_goldens

pytestmark = pytest.mark.numbers

WHOLE = 600  # inputs up to this size are all computed again, of larger ones a sample
SAMPLED = 24_000
SAMPLE_STEP = 7
PRECISION = 192
CHOICES = read_rules()
ORACLES: Mapping[str, Any] = {
    "binary_cross_entropy": binary_cross_entropy,
    "binary_cross_entropy_with_logits": binary_cross_entropy_with_logits,
    "binary_crossentropy": binary_crossentropy,
    "categorical_crossentropy": categorical_crossentropy,
    "cross_entropy": cross_entropy,
    "distribution_cross_entropy": distribution_cross_entropy,
    "linear_cross_entropy": linear_cross_entropy,
    "log_softmax": log_softmax,
    "nll_loss": nll_loss,
    "sparse_categorical_crossentropy": sparse_categorical_crossentropy,
}
ASKED = [(name, question) for name in ORACLES for question in RULES.operations[name].questions]


# Stored decimals


def size(golden: Golden) -> int:
    return max(math.prod(tensor["shape"]) for tensor in golden.inputs.values())


def without_subnormals(numbers: Any, dtype: str) -> Any:
    if np.issubdtype(numbers.dtype, np.integer):
        return numbers
    exact = numbers.astype(np.float64)
    return np.where(abs(exact) < FORMATS[dtype].smallest_normal, 0.0, exact)


def recomputed(golden: Golden, rules: Mapping[str, str], digits: int, *, flushed: bool = False) -> list[Any]:
    def reals(stored: Mapping[str, Any]) -> Any:
        numbers = array(stored)
        return second_oracle.reals(without_subnormals(numbers, golden.dtype) if flushed else numbers)

    with mpmath.workdps(digits):
        inputs = {name: reals(stored) for name, stored in golden.inputs.items()}
        parameters = {n: reals(value) if isinstance(value, dict) else value for n, value in golden.parameters.items()}
        along = [None if each is None else reals(each) for each in (golden.cotangent, golden.direction)]

        def answer(inputs: Mapping[str, Any], along: list[Any]) -> list[Any]:
            question = golden.question, golden.operation, golden.dtype
            return second_oracle.answer(*question, inputs, parameters, rules, *along)

        if golden.transform != "vmap":
            return answer(inputs, along)
        slices = range(len(next(iter(inputs.values()))))
        return [
            element
            for i in slices
            for element in answer(
                {name: each[i, ...] for name, each in inputs.items()}, [a if a is None else a[i, ...] for a in along]
            )
        ]


def is_rounded(text: str, truth: Any) -> bool:
    """Whether a decimal is the truth, correctly rounded to 25 digits."""
    if text in ("nan", "inf", "-inf") or not mpmath.isfinite(truth):
        return bool(text == mpmath.nstr(truth).replace("+", ""))
    if text == "0":
        return bool(abs(truth) <= mpmath.mpf(2) ** -1075)
    half_unit = mpmath.mpf(10) ** (Decimal(text).adjusted() - 24) / 2
    return bool(abs(mpmath.mpf(text) - truth) <= half_unit * (1 + mpmath.mpf(10) ** -20))


def faults(golden: Golden, answer: Mapping[str, Any], *, flushed: bool = False) -> list[str]:
    """Stored decimals that the second oracle does not give, at the least number of digits that settles them."""
    rules = {**home_rules(golden.operation), **answer["rules"]}
    found: list[str] = []
    # Where terms cancel 60 digits may not leave 25; a stored 0 needs as many as float64's smallest number has.
    for digits in (60, 400, 900) if size(golden) > WHOLE or "0" not in answer["values"] else (400, 900):
        truths = recomputed(golden, rules, digits, flushed=flushed)
        asked = truths if golden.positions is None else [truths[position] for position in golden.positions]
        pairs = list(zip(answer["values"], asked, strict=True))
        with mpmath.workdps(digits):
            for text, (start, stop) in zip(answer.get("sums", {"values": ()})["values"], golden.runs, strict=True):
                pairs.append((text, mpmath.fsum(truths[start:stop])))
            found = [
                f"{golden.id} {answer['rules']}: {text}, not {truth}"
                for text, truth in pairs
                if not is_rounded(text, truth)
            ]
        if not found:
            break
    return found


def answers(operation: str, least: int, most: int) -> Iterator[tuple[Golden, Mapping[str, Any]]]:
    for golden in load_goldens(golden_files()[operation]):
        for part in golden.parts:
            if part.after is not None or part.copies > 1:
                continue
            if least < size(part) <= most or (least == 0 and size(part) == 0):
                yield from ((part, answer) for answer in part.answers if "values" in answer)


@pytest.mark.parametrize("operation", ORACLES)
def test_every_stored_decimal_is_correctly_rounded(operation: str) -> None:
    wrong = [fault for golden, answer in answers(operation, 0, WHOLE) for fault in faults(golden, answer)]

    assert [] == wrong


def test_sampled_decimals_of_large_answers_are_correctly_rounded() -> None:
    sample = [each for operation in ORACLES for each in answers(operation, WHOLE, SAMPLED)][::SAMPLE_STEP]

    wrong = [fault for golden, answer in sample for fault in faults(golden, answer)]

    assert (True, []) == (len(sample) > 5, wrong)


@pytest.mark.parametrize("operation", ORACLES)
def test_the_second_oracle_refuses_where_a_golden_does(operation: str) -> None:
    refusals = [
        (golden, {**home_rules(operation), **answer["rules"]})
        for golden in load_goldens(golden_files()[operation])
        if golden.kind != "raises"
        for answer in golden.answers
        if "raises" in answer
    ]

    for golden, rules in refusals:
        with pytest.raises(second_oracle.Refused):
            recomputed(golden, rules, 30)


def test_subnormal_inputs_read_as_zero_are_stored_beside_the_answer() -> None:
    seen = 0
    wrong = []
    for operation in ORACLES:
        for golden, answer in answers(operation, 0, WHOLE):
            # Nobody flushes float16: another answer there is that of a jump's other side.
            if len(answer.get("also", ())) != 1 or not FORMATS[golden.dtype].flushed or not has_subnormals(golden):
                continue
            seen += 1
            wrong += faults(golden, {**answer["also"][0], "rules": answer["rules"]}, flushed=True)

    assert (True, []) == (seen > 3, wrong)


def has_subnormals(golden: Golden) -> bool:
    tensors = [*golden.inputs.values(), *golden.parameters.values(), golden.cotangent]
    floats = [array(tensor) for tensor in tensors if isinstance(tensor, dict) and tensor["dtype"] in FORMATS]
    return any(
        (without_subnormals(each, golden.dtype) != each.astype(np.float64))[~np.isnan(each.astype(np.float64))].any()
        for each in floats
    )


def test_published_digits_agree() -> None:
    cases = read_cases(SPEC)

    assert (True, []) == (any(case.published for case in cases), list(disagreements(cases, SPEC)))


# Enclosures


def distributions(dtype: str, rows: int, classes: int) -> st.SearchStrategy[Any]:
    ordinary = st.one_of(st.sampled_from([0.0, 1.0, 0.5]), st.floats(2.0**-30, 1.0), st.floats(1 - 2.0**-8, 1.0))
    # Their logarithms are next to -100.
    probabilities = st.one_of(ordinary, st.floats(2.0**-149, 2.0**-140))
    return arrays(dtype, probabilities, (rows, classes))


def logits(dtype: str, rows: int, classes: int) -> st.SearchStrategy[Any]:
    largest = min(FORMATS[dtype].largest, 1e6) / 4
    numbers = st.one_of(st.floats(-4, 4), st.floats(-200, 200), st.floats(-largest, largest))
    return arrays(dtype, numbers, (rows, classes))


def arrays(dtype: str, numbers: st.SearchStrategy[float], shape: tuple[int, ...]) -> st.SearchStrategy[Any]:
    count = math.prod(shape)
    return st.lists(numbers, min_size=count, max_size=count).map(lambda each: held(dtype, each).reshape(shape))


def labels(rows: int, classes: int) -> st.SearchStrategy[Any]:
    return st.lists(st.integers(0, classes - 1), min_size=rows, max_size=rows).map(np.array)


@st.composite
def questions(
    draw: st.DrawFn, operation: str, dtype: str, *, soft: bool = False
) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Inputs, parameters and a cotangent of an operation; `soft` targets are probabilities."""
    n, k = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    positive = st.floats(2.0**-6, 8)
    parameters: dict[str, Any] = {}
    reduced = operation in (
        "cross_entropy",
        "nll_loss",
        "binary_cross_entropy",
        "binary_cross_entropy_with_logits",
        "distribution_cross_entropy",
        "linear_cross_entropy",
    )
    if reduced:
        parameters["reduction"] = draw(st.sampled_from(["none", "mean", "sum"]))
    shape: tuple[int, ...] = (n,)
    match operation:
        case "cross_entropy":
            by_index = not soft and draw(st.booleans())
            inputs = {"logits": draw(logits(dtype, n, k))}
            inputs["target"] = draw(labels(n, k) if by_index else distributions(dtype, n, k))
            if draw(st.booleans()):
                parameters["weight"] = draw(arrays(dtype, positive, (k,)))
            if draw(st.booleans()):
                parameters["label_smoothing"] = draw(st.floats(0, 1))
        case "linear_cross_entropy":
            features = draw(st.integers(1, 4))
            numbers = st.one_of(st.floats(-4, 4), st.floats(-50, 50))
            inputs = {"input": draw(arrays(dtype, numbers, (n, features)))}
            inputs["linear_weight"] = draw(arrays(dtype, st.floats(-4, 4), (k, features)))
            inputs["target"] = draw(labels(n, k) if draw(st.booleans()) else distributions(dtype, n, k))
            for name, terms in (("weight", positive), ("linear_bias", st.floats(-8, 8))):
                if draw(st.booleans()):
                    parameters[name] = draw(arrays(dtype, terms, (k,)))
            if draw(st.booleans()):
                parameters["label_smoothing"] = draw(st.floats(0, 1))
        case "nll_loss":
            inputs = {"log_probs": draw(logits(dtype, n, k)), "target": draw(labels(n, k))}
            if draw(st.booleans()):
                parameters["weight"] = draw(arrays(dtype, positive, (k,)))
        case "log_softmax":
            shape, inputs = (n, k), {"logits": draw(logits(dtype, n, k))}
            parameters["axis"] = draw(st.sampled_from([0, 1, -1]))
        case "binary_cross_entropy":
            shape = (n, k)
            inputs = {"probs": draw(distributions(dtype, n, k)), "target": draw(distributions(dtype, n, k))}
        case "binary_cross_entropy_with_logits":
            shape = (n, k)
            inputs = {"logits": draw(logits(dtype, n, k)), "target": draw(distributions(dtype, n, k))}
            for name in ("weight", "pos_weight"):
                if draw(st.booleans()):
                    parameters[name] = draw(arrays(dtype, positive, shape))
        case "distribution_cross_entropy":
            inputs = {"p": draw(distributions(dtype, n, k)), "q": draw(distributions(dtype, n, k))}
        case _:
            sparse = operation == "sparse_categorical_crossentropy"
            parameters["from_logits"] = draw(st.booleans())
            if not sparse:
                parameters["label_smoothing"] = draw(st.sampled_from([0.0, 0.1, 1.0]))
            predictions = logits if parameters["from_logits"] else distributions
            inputs = {"target": draw(labels(n, k) if sparse else distributions(dtype, n, k))}
            inputs["probs"] = draw(predictions(dtype, n, k))
    if parameters.get("reduction", "none") != "none":
        shape = ()
    return inputs, parameters, draw(arrays(dtype, st.floats(-4, 4), shape))


def contains(ball: Any, truth: Any) -> bool:
    """Whether an enclosure holds a number that mpmath found at twice the precision."""
    if isinstance(ball, float) or not mpmath.isfinite(truth):
        return bool(repr(ball) == mpmath.nstr(truth).replace("+", ""))
    middle, radius = (exactly(part) for part in (ball.mid(), ball.rad()))
    slack = (abs(middle) + 1) * mpmath.mpf(2) ** (-2 * PRECISION + 40)
    return bool(abs(middle - truth) <= radius + slack)


def exactly(number: arb) -> Any:
    mantissa, exponent = (int(part) for part in number.man_exp())
    return mpmath.ldexp(mantissa, exponent)


@pytest.mark.parametrize(("operation", "question"), ASKED)
@given(data=st.data())
@settings(max_examples=60)
def test_enclosures_hold_the_answer_at_twice_the_precision(operation: str, question: str, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(DTYPES))
    inputs, parameters, cotangent = data.draw(questions(operation, dtype, soft=question == "gradient-target"))
    rules = {name: data.draw(st.sampled_from([*CHOICES[name].values])) for name in home_rules(operation)}
    stated = None if question in ("value", "tangent") else cotangent
    direction = None
    if question in ("hessian", "tangent"):
        shape = inputs[RULES.operations[operation].differentiable[0]].shape
        direction = data.draw(arrays(dtype, st.floats(-4, 4), shape))

    problem = Problem(Arithmetic(dtype, PRECISION), inputs, parameters, rules.__getitem__, stated, direction)
    try:
        balls: list[Quantity] = getattr(ORACLES[operation], question.replace("-", "_"))(problem)
    except (UndefinedError, RefusedError, PrecisionTooLowError):
        return
    with mpmath.workprec(2 * PRECISION):
        exact = {name: second_oracle.reals(np.asarray(tensor)) for name, tensor in inputs.items()}
        held_parameters = {n: second_oracle.reals(v) if isinstance(v, np.ndarray) else v for n, v in parameters.items()}
        along = [None if each is None else second_oracle.reals(each) for each in (stated, direction)]
        truths = second_oracle.answer(question, operation, dtype, exact, held_parameters, rules, *along)
        outside = [
            (ball.value, truth) for ball, truth in zip(balls, truths, strict=True) if not contains(ball.value, truth)
        ]

    assert [] == outside


def test_every_operation_of_the_spec_has_an_oracle() -> None:
    assert set(ORACLES) == set(RULES.operations)


@pytest.mark.parametrize("operation", ORACLES)
def test_every_rule_of_the_spec_is_known_to_the_second_oracle(operation: str) -> None:
    known = {rule for dialect in RULES.dialects.values() for rule in dialect.operations.get(operation, {})}

    assert set(home_rules(operation)) == known
