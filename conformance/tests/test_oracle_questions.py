"""The further questions: derivatives of every kind against differences, rows in copies, mapped slices, open answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import mpmath  # type: ignore[import-untyped]  # it has no types of its own
import numpy as np
import pytest
import second_oracle
from made_goldens import SPEC, certified, held, home_rules

from lossproof.oracle.certify import Certified
from lossproof.spec.shapes import result_shape

pytestmark = pytest.mark.numbers

# Central differences are off by h^2 times the third derivative, and lose as many digits as h has.
DIGITS = 120
STEP = mpmath.mpf(10) ** -40
WANTED = mpmath.mpf(10) ** -24
NOTHING = mpmath.mpf(10) ** -60

CLASSES = 4
RANDOM = np.random.default_rng(20)


def numbers(low: float, high: float, *shape: int) -> Any:
    return held("float32", RANDOM.uniform(low, high, shape))


def shares(*shape: int) -> Any:
    return held("float32", RANDOM.dirichlet(np.ones(shape[-1]), shape[:-1]))


CLASS_WEIGHT = numbers(0.25, 4, CLASSES)
SMOOTHED = {"label_smoothing": 0.25, "weight": CLASS_WEIGHT}
INDICES = np.array([2, -100, 0])
REDUCTIONS = ("none", "mean", "sum")

# Inputs away from the edges of their domains, with parameters; each operation is asked all that its file lists.
POINTS: Mapping[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {
    "cross_entropy": [
        ({"logits": numbers(-4, 4, 3, CLASSES), "target": target}, {**more, "reduction": reduction})
        for reduction in REDUCTIONS
        for more in ({}, SMOOTHED, {"weight": CLASS_WEIGHT})
        for target in (INDICES, shares(3, CLASSES))
    ],
    "nll_loss": [
        ({"log_probs": numbers(-4, 0, 3, CLASSES), "target": INDICES}, {"reduction": reduction})
        for reduction in REDUCTIONS
    ],
    "log_softmax": [({"logits": numbers(-4, 4, 3, CLASSES)}, {"axis": axis}) for axis in (0, 1)],
    "binary_cross_entropy": [
        ({"probs": numbers(0.1, 0.9, 2, 3), "target": numbers(0, 1, 2, 3)}, {**more, "reduction": reduction})
        for reduction in REDUCTIONS
        for more in ({}, {"weight": numbers(0.25, 4, 3)})
    ],
    "binary_cross_entropy_with_logits": [
        ({"logits": numbers(-6, 6, 2, 3), "target": numbers(0, 1, 2, 3)}, {**more, "reduction": reduction})
        for reduction in REDUCTIONS
        for more in ({}, {"pos_weight": numbers(0.25, 4, 3), "weight": numbers(0.25, 4, 2, 1)})
    ],
    "categorical_crossentropy": [
        (
            {"target": shares(3, CLASSES), "probs": shares(3, CLASSES)},
            {"from_logits": logits, "label_smoothing": smoothing},
        )
        for logits in (False, True)
        for smoothing in (0.0, 0.25)
    ],
    "sparse_categorical_crossentropy": [
        ({"target": np.array([2, 1, 0]), "probs": shares(3, CLASSES)}, {"from_logits": logits})
        for logits in (False, True)
    ],
    "binary_crossentropy": [
        (
            {"target": numbers(0, 1, 2, 3), "probs": numbers(0.1, 0.9, 2, 3)},
            {"from_logits": logits, "label_smoothing": smoothing},
        )
        for logits in (False, True)
        for smoothing in (0.0, 0.25)
    ],
    "distribution_cross_entropy": [
        ({"p": shares(3, CLASSES), "q": shares(3, CLASSES)}, {"reduction": reduction}) for reduction in REDUCTIONS
    ],
    "linear_cross_entropy": [
        (
            {"input": numbers(-2, 2, 3, 2), "linear_weight": numbers(-2, 2, CLASSES, 2), "target": target},
            {**more, "reduction": reduction},
        )
        for reduction in REDUCTIONS
        for more in ({}, {**SMOOTHED, "linear_bias": numbers(-2, 2, CLASSES)})
        for target in (INDICES, shares(3, CLASSES))
    ],
}


POSITIONS = [
    (operation, question, position)
    for operation, points in POINTS.items()
    for question in SPEC.operations[operation].questions
    for position, (inputs, _) in enumerate(points)
    if question == "value"
    or np.issubdtype(inputs[SPEC.operations[operation].differentiated(question)].dtype, np.floating)
]


def cotangent_for(operation: str, inputs: Mapping[str, Any], parameters: Mapping[str, Any]) -> Any:
    shapes = {name: tensor.shape for name, tensor in inputs.items()}
    return numbers(-2, 2, *result_shape(SPEC.operations[operation], shapes, parameters))


def reals(tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {n: second_oracle.reals(each) if isinstance(each, np.ndarray) else each for n, each in tensors.items()}


def differences(
    operation: str,
    question: str,
    inputs: Mapping[str, Any],
    parameters: Mapping[str, Any],
    cotangent: Any,
    direction: Any,
) -> list[Any]:
    """What a question asks, by central differences of the second oracle's values or gradients."""
    stated, rules = reals(parameters), home_rules(operation)
    exact = reals(inputs)
    name = SPEC.operations[operation].differentiated(question)

    def value(moved: Any) -> list[Any]:
        return second_oracle.value(operation, "float32", {**exact, name: moved}, stated, rules)

    def gradient(moved: Any) -> list[Any]:
        return second_oracle.gradient(
            operation, "float32", {**exact, name: moved}, stated, rules, reals({"": cotangent})[""]
        )

    def slope(of: Callable[[Any], list[Any]], along: Any) -> list[Any]:
        ends = zip(of(exact[name] + STEP * along), of(exact[name] - STEP * along), strict=True)
        return [(above - below) / (2 * STEP) for above, below in ends]

    if question == "value":
        return value(exact[name])
    if question in ("hessian", "tangent"):
        return slope(gradient if question == "hessian" else value, second_oracle.reals(direction))
    weights = list(second_oracle.reals(cotangent).ravel())
    axes = np.eye(exact[name].size, dtype=int).reshape(-1, *exact[name].shape)
    return [mpmath.fdot(weights, slope(value, axis)) for axis in axes]


@pytest.mark.parametrize(("operation", "question", "position"), POSITIONS)
def test_every_answer_is_what_differences_of_the_value_give(operation: str, question: str, position: int) -> None:
    inputs, parameters = POINTS[operation][position]
    cotangent = cotangent_for(operation, inputs, parameters)
    first = SPEC.operations[operation].differentiable[0]
    direction = numbers(-2, 2, *inputs[first].shape)

    answer = certified(
        operation,
        "float32",
        inputs,
        parameters,
        None if question in ("value", "tangent") else cotangent,
        question=question,
        direction=direction if question in ("hessian", "tangent") else None,
    )

    assert answer.numbers is not None
    with mpmath.workdps(DIGITS):
        expected = differences(operation, question, inputs, parameters, cotangent, direction)
        far = [
            (text, mpmath.nstr(truth, 25))
            for text, truth in zip(answer.numbers.values, expected, strict=True)
            if abs(mpmath.mpf(text) - truth) > WANTED * abs(truth) + NOTHING
        ]
    assert [] == far


# Slices and copies


def decimals(answer: Certified) -> tuple[str, ...]:
    assert answer.numbers is not None, answer.undefined
    return answer.numbers.values


@pytest.mark.parametrize(
    ("question", "along"),
    [("value", {}), ("gradient", {"cotangent"}), ("hessian", {"cotangent", "direction"}), ("tangent", {"direction"})],
)
def test_a_mapped_answer_is_that_of_each_slice(question: str, along: set[str]) -> None:
    inputs = {"logits": numbers(-4, 4, 2, 3, CLASSES), "target": np.array([[0, 1, 2], [3, -100, 3]])}
    stated = {
        name: tensor
        for name, tensor in {"cotangent": numbers(-2, 2, 2), "direction": numbers(-2, 2, 2, 3, CLASSES)}.items()
        if name in along
    }

    whole = certified("cross_entropy", "float32", inputs, {}, question=question, mapped=True, **stated)

    slices = [
        certified(
            "cross_entropy",
            "float32",
            {name: tensor[i] for name, tensor in inputs.items()},
            {},
            question=question,
            **{name: tensor[i] for name, tensor in stated.items()},
        )
        for i in range(2)
    ]
    assert [*decimals(slices[0]), *decimals(slices[1])] == list(decimals(whole))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    "operation", ["cross_entropy", "binary_cross_entropy_with_logits", "distribution_cross_entropy"]
)
def test_a_reduction_of_copies_is_that_of_the_rows_written_out(operation: str, reduction: str) -> None:
    inputs, _ = POINTS[operation][0]
    row = {name: tensor[:1] for name, tensor in inputs.items()}
    rows = {name: np.repeat(tensor, 5, axis=0) for name, tensor in row.items()}

    by_copies = certified(operation, "float32", row, {"reduction": reduction}, copies=5)
    written_out = certified(operation, "float32", rows, {"reduction": reduction})

    assert by_copies.numbers == written_out.numbers


def test_the_gradient_of_a_copied_row_is_that_of_one_of_the_rows_written_out() -> None:
    row = {"logits": numbers(-4, 4, 1, CLASSES), "target": np.array([1])}
    rows = {name: np.repeat(tensor, 5, axis=0) for name, tensor in row.items()}

    by_copies = certified("cross_entropy", "float32", row, {}, np.array(1.25), copies=5)
    written_out = certified("cross_entropy", "float32", rows, {}, np.array(1.25))

    assert decimals(by_copies) == decimals(written_out)[:CLASSES]


def test_the_gradient_for_the_linear_weight_adds_up_the_copies() -> None:
    row = {"input": numbers(-2, 2, 1, 2), "linear_weight": numbers(-2, 2, CLASSES, 2), "target": np.array([1])}
    rows = {
        "input": np.repeat(row["input"], 5, axis=0),
        "linear_weight": row["linear_weight"],
        "target": np.ones(5, int),
    }
    question = "gradient-linear_weight"

    by_copies = certified("linear_cross_entropy", "float32", row, {}, np.array(1.25), question=question, copies=5)
    written_out = certified("linear_cross_entropy", "float32", rows, {}, np.array(1.25), question=question)

    assert by_copies.numbers == written_out.numbers


def test_a_count_of_copies_beyond_any_memory_is_exact() -> None:
    row = {"logits": np.zeros((1, 2)), "target": np.array([1])}

    answer = certified("cross_entropy", "float32", row, {"reduction": "sum"}, copies=2**31)

    with mpmath.workdps(30):
        assert abs(mpmath.mpf(decimals(answer)[0]) / (2**31 * mpmath.log(2)) - 1) < mpmath.mpf(10) ** -24


def test_a_subnormal_direction_may_be_read_as_zero() -> None:
    inputs = {"logits": np.array([[1e3, 0.0]]), "target": np.array([1])}
    direction = held("float32", [[1e-40, 0.0]])

    answer = certified("cross_entropy", "float32", inputs, question="tangent", direction=direction)

    assert [("0",)] == [numbers.values for numbers, _ in answer.alternatives]


# What is left open, and what is not


@pytest.mark.parametrize(("rule", "expected"), [("no", ("inf", "-inf")), ("yes", ("100", "-100"))])
def test_the_clamp_of_the_logarithm_holds_in_the_gradient_for_the_target_where_the_rule_says_so(
    rule: str, expected: tuple[str, ...]
) -> None:
    inputs = {"probs": np.array([0.0, 1.0]), "target": np.array([0.5, 0.5])}

    answer = certified(
        "binary_cross_entropy",
        "float32",
        inputs,
        {"reduction": "sum"},
        np.array(1.0),
        question="gradient-target",
        target_log_clamp=rule,
    )

    assert expected == decimals(answer)


@pytest.mark.parametrize(("rule", "expected"), [("nan", ("inf", "0")), ("zero", None)])
def test_the_gradient_for_a_share_of_an_impossible_class(rule: str, expected: tuple[str, ...] | None) -> None:
    inputs = {"logits": np.array([[-np.inf, 0.0]]), "target": np.array([[0.0, 1.0]])}

    answer = certified(
        "cross_entropy", "float32", inputs, {}, np.array(1.0), question="gradient-target", zero_times_infinity=rule
    )

    assert expected == (answer.numbers.values if answer.numbers else None)


def test_zero_times_log_zero_has_no_derivative_for_its_first_factor() -> None:
    inputs = {"p": np.array([[0.0, 1.0]]), "q": np.array([[0.0, 1.0]])}

    answer = certified("distribution_cross_entropy", "float32", inputs, {}, np.array(1.0), question="gradient-p")

    assert answer.undefined is not None


@pytest.mark.parametrize("question", ["hessian", "tangent"])
def test_derivatives_beside_a_bad_label_are_left_open(question: str) -> None:
    inputs = {"logits": np.zeros((1, 2)), "target": np.array([5])}
    cotangent = np.array(1.0) if question == "hessian" else None

    answer = certified(
        "cross_entropy",
        "float32",
        inputs,
        {},
        cotangent,
        question=question,
        direction=np.ones((1, 2)),
        bad_values="nan",
    )

    assert answer.undefined is not None


@pytest.mark.parametrize(("question", "factor"), [("gradient", "linear_weight"), ("gradient-linear_weight", "input")])
def test_an_ignored_row_beside_infinity_is_left_open(question: str, factor: str) -> None:
    inputs = {"input": np.ones((2, 1)), "linear_weight": np.ones((2, 1)), "target": np.array([-100, 1])}
    inputs[factor] = np.array([[np.inf], [1.0]])

    answer = certified("linear_cross_entropy", "float32", inputs, {}, np.array(1.0), question=question)

    assert answer.undefined is not None


def test_an_ignored_row_has_no_part_in_a_hessian() -> None:
    inputs = {"logits": np.array([[np.nan, 1.0], [0.0, 0.0]]), "target": np.array([-100, 1])}
    direction = np.array([[1.0, 2.0], [1.0, 0.0]])

    answer = certified("cross_entropy", "float32", inputs, {}, np.array(1.0), question="hessian", direction=direction)

    assert ("0", "0", "0.25", "-0.25") == decimals(answer)
