"""Balls hold the truth, and running error bounds are those of the rules and cover what dtypes really do."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import mpmath  # type: ignore[import-untyped]  # it has no types of its own
import numpy as np
import pytest
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st
from made_goldens import answer_of, certified, golden, held
from test_right_losses import LOOSE_AT_WORST, STABLE

from lossproof.frameworks import read_needs
from lossproof.judge import compare
from lossproof.numerics import DTYPES, FORMATS
from lossproof.oracle.arithmetic import Arithmetic, PrecisionTooLowError, Quantity, mean, product_sum, total
from lossproof.outcome import Outcome, suffices

pytestmark = pytest.mark.numbers

PRECISION = 128
HERE = Path(__file__).parent

Tree = tuple[Any, ...]
leaves = st.one_of(st.integers(-4, 4).map(float), st.floats(-50, 50), st.sampled_from([2.0**-60, 1e-300, 1e18]))


def grown(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.tuples(st.sampled_from(["+", "-", "*", "/"]), children, children),
        st.tuples(st.sampled_from(["exp", "log", "neg"]), children),
    )


trees = st.recursive(leaves, grown, max_leaves=8)


def ball_of(tree: Any, arithmetic: Arithmetic) -> Quantity:
    match tree:
        case float():
            return arithmetic.exact(tree)
        case ("+", a, b):
            return ball_of(a, arithmetic) + ball_of(b, arithmetic)
        case ("-", a, b):
            return ball_of(a, arithmetic) - ball_of(b, arithmetic)
        case ("*", a, b):
            return ball_of(a, arithmetic) * ball_of(b, arithmetic)
        case ("/", a, b):
            return ball_of(a, arithmetic) / ball_of(b, arithmetic)
        case ("exp", a):
            return ball_of(a, arithmetic).exp()
        case ("log", a):
            return ball_of(a, arithmetic).log()
    return -ball_of(tree[1], arithmetic)


def truth_of(tree: Any) -> Any:
    """The same in mpmath; None where a step leaves the real numbers."""
    if isinstance(tree, float):
        return mpmath.mpf(tree)
    parts = [truth_of(part) for part in tree[1:]]
    if any(part is None for part in parts):
        return None
    match tree[0]:
        case "+":
            return parts[0] + parts[1]
        case "-":
            return parts[0] - parts[1]
        case "*":
            return parts[0] * parts[1]
        case "/":
            return None if parts[1] == 0 else parts[0] / parts[1]
        case "exp":
            return mpmath.exp(parts[0]) if abs(parts[0]) < 1e6 else None
        case "log":
            return mpmath.log(parts[0]) if parts[0] > 0 else None
    return -parts[0]


def exactly(number: arb) -> Any:
    mantissa, exponent = (int(part) for part in number.man_exp())
    return mpmath.ldexp(mantissa, exponent)


@given(tree=trees)
@settings(max_examples=300)
def test_a_ball_holds_mpmaths_value_at_twice_the_precision(tree: Any) -> None:
    with mpmath.workprec(2 * PRECISION):
        truth = truth_of(tree)
    try:
        value = ball_of(tree, Arithmetic("float64", PRECISION)).value if truth is not None else None
    except PrecisionTooLowError:
        value = None
    if truth is None or not isinstance(value, arb):
        return

    with mpmath.workprec(4 * PRECISION):
        slack = abs(truth) * mpmath.mpf(2) ** (20 - PRECISION)
        inside = abs(exactly(value.mid()) - truth) <= exactly(value.rad()) + slack

    assert inside


# The rules of the running error bound


def quantity(value: float, rounding: float = 0, underflow: float = 0, weakness: float = 0) -> Quantity:
    return Quantity(Arithmetic("float32", PRECISION), arb(value), rounding, underflow, weakness)


def bounds(of: Quantity) -> tuple[float, float, float]:
    return of.rounding, of.underflow, of.weakness


def test_a_sum_of_two_adds_its_own_size() -> None:
    assert (1 + 2 + 3, 5 + 7, 11 + 13) == bounds(quantity(2, 1, 5, 11) + quantity(-5, 2, 7, 13))


def test_adding_an_exact_zero_rounds_nothing() -> None:
    assert (1, 5, 11) == bounds(quantity(2, 1, 5, 11) + quantity(0))


def test_a_product_adds_its_own_size_and_one_underflow() -> None:
    assert (6 + 3 * 1 + 2 * 2, 1 + 3 * 5 + 2 * 7, 3 * 11 + 2 * 13) == bounds(
        quantity(2, 1, 5, 11) * quantity(-3, 2, 7, 13)
    )


def test_a_quotient_adds_its_own_size_and_one_underflow() -> None:
    assert (4 + 1 / 2 + 4 * 2 / 2, 1 + 5 / 2 + 4 * 7 / 2, 11 / 2 + 4 * 13 / 2) == bounds(
        quantity(8, 1, 5, 11) / quantity(2, 2, 7, 13)
    )


def test_an_exponential_adds_twice_its_size_and_scales_the_incoming_error() -> None:
    rounding, underflow, weakness = bounds(quantity(0, 3, 5, 7).exp())

    # 3 u in the exponent are e^(3 u) - 1 in the power.
    assert (2 + math.expm1(3 * 2.0**-24) * 2**24, 1 + 5, 7) == (rounding, underflow, weakness)


def test_a_logarithm_adds_twice_its_size_and_divides_the_incoming_error() -> None:
    rounding, underflow, weakness = bounds(quantity(4, 2, 8, 12).log())

    assert (True, 2, 3) == (math.isclose(rounding, 2 * math.log(4) + 2 / 4, rel_tol=1e-15), underflow, weakness)


def test_a_sign_is_exact() -> None:
    assert (1, 2, 3) == bounds(-quantity(4, 1, 2, 3))


@pytest.mark.parametrize(("count", "roundings"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (8, 3), (9, 4), (1000, 10)])
def test_a_sum_of_n_terms_takes_log2_n_roundings_of_the_sizes(count: int, roundings: int) -> None:
    arithmetic = Arithmetic("float32", PRECISION)
    terms = [arithmetic.exact(2.0 if position % 2 else -2.0) for position in range(count)]

    added = total(terms, arithmetic)

    assert (roundings * 2 * count, 0 if count == 1 else 2 * count * count) == (added.rounding, added.weakness)


def test_terms_that_are_zero_add_nothing() -> None:
    arithmetic = Arithmetic("float32", PRECISION)

    added = total([arithmetic.exact(number) for number in (0.0, 3.0, 0.0, 0.0)], arithmetic)

    assert (0, 0, 0) == bounds(added)


@pytest.mark.parametrize("count", [1, 2, 5, 1000])
def test_an_element_of_a_matrix_product_takes_n_roundings_in_any_order(count: int) -> None:
    arithmetic = Arithmetic("float32", PRECISION)
    ones = [arithmetic.exact(1.0)] * count

    product = product_sum([arithmetic.exact(-2.0)] * count, ones, arithmetic)

    assert (count * 2 * count, count, 0) == bounds(product)


@pytest.mark.parametrize(("dtype", "lost"), [("bfloat16", 8), ("float16", 1)])
def test_a_matrix_product_of_a_half_dtype_adds_in_float32_and_rounds_once(dtype: str, lost: int) -> None:
    arithmetic = Arithmetic(dtype, PRECISION)
    terms = [arithmetic.exact(-2.0 if position % 2 else 2.0) for position in range(7)]
    ones = [arithmetic.exact(1.0)] * 8

    product = product_sum([*terms, arithmetic.exact(2.0)], ones, arithmetic)

    in_float32 = 8 * 16 * FORMATS["float32"].unit_roundoff / FORMATS[dtype].unit_roundoff
    assert (4 + in_float32, lost) == (product.rounding, product.underflow)


def test_a_term_that_is_zero_adds_nothing_to_a_matrix_product() -> None:
    arithmetic = Arithmetic("float32", PRECISION)
    factors = [arithmetic.exact(number) for number in (0.0, 3.0)]

    assert (3, 1, 0) == bounds(product_sum(factors, [arithmetic.exact(1.0)] * 2, arithmetic))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_running_sum_of_a_half_dtype_is_excused_in_float32_only(dtype: str) -> None:
    arithmetic = Arithmetic(dtype, PRECISION)

    added = total([arithmetic.exact(1.0)] * 4, arithmetic)

    assert 4 * 4 * 2.0**-24 == added.weakness * FORMATS[dtype].unit_roundoff


def test_a_mean_divides_by_a_sum_of_ones() -> None:
    arithmetic = Arithmetic("float32", PRECISION)
    ones = [arithmetic.exact(1.0)] * 4

    averaged = mean(ones, ones, arithmetic)

    # Two sums of 4 terms are each off by 2 · 4, a quarter of which remains; the quotient adds 1.
    assert (1 + 2 + 2, 1) == (averaged.rounding, averaged.underflow)


@pytest.mark.parametrize(("number", "rounding"), [(0.0, 0.0), (1.0, 0.0), (0.25, 0.25), (-3.0, 3.0)])
def test_a_constant_costs_one_rounding(number: float, rounding: float) -> None:
    assert (rounding, 0, 0) == bounds(Arithmetic("float32", PRECISION).constant(number))


def test_an_input_costs_nothing() -> None:
    assert (0, 0, 0) == bounds(Arithmetic("float32", PRECISION).exact(3.0))


# Overflow on the way


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_step_beyond_the_range_is_noted(dtype: str) -> None:
    arithmetic = Arithmetic(dtype, PRECISION)
    half = arithmetic.exact(FORMATS[dtype].largest / 2)

    steps = half + half, half + half + half

    assert [False, True] == [step.overflowed for step in steps]


def test_an_overflow_is_not_forgotten_by_later_steps() -> None:
    arithmetic = Arithmetic("float32", PRECISION)
    largest = arithmetic.exact(FORMATS["float32"].largest)

    assert ((largest + largest) / arithmetic.exact(4.0)).overflowed


@pytest.mark.parametrize(("dtype", "noted"), [("float32", True), ("bfloat16", True), ("float16", False)])
def test_a_sum_beyond_the_range_is_excused_where_float32_holds_it(dtype: str, noted: bool) -> None:
    arithmetic = Arithmetic(dtype, PRECISION)

    summed = total([arithmetic.exact(FORMATS[dtype].largest)] * 3, arithmetic)

    assert noted == summed.overflowed


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_step_that_rounds_to_the_largest_number_does_not_overflow(dtype: str) -> None:
    arithmetic = Arithmetic(dtype, PRECISION)

    step = arithmetic.exact(FORMATS[dtype].largest) + arithmetic.exact(1.0 / 1024)

    assert not step.overflowed


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_what_only_a_weakness_would_compute_does_not_overflow(dtype: str) -> None:
    # lse(x) is beyond the range, but the reference algorithm, which shifts, never computes it.
    largest = FORMATS[dtype].largest

    answer = certified("log_softmax", dtype, {"logits": np.array([[largest] * 9])})

    assert (None, "-2.197224577336219382790490") == (
        answer.undefined,
        answer.numbers and answer.numbers.values[0].ljust(27, "0"),
    )


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_an_element_that_overflows_on_the_way_makes_a_hazard_beside_one_that_overflows_itself(dtype: str) -> None:
    largest = FORMATS[dtype].largest
    inputs = {"logits": held(dtype, [-largest / 2, -largest / 2]), "target": np.array([1.0, 1.0])}
    parameters = {
        "reduction": "none",
        # Element 0: 4 largest/2 overflows before the weight of 1/8 brings it back; element 1 overflows itself.
        "pos_weight": np.array([4.0, 4.0]),
        "weight": np.array([0.125, 1.0]),
    }

    answer = certified("binary_cross_entropy_with_logits", dtype, inputs, parameters)

    assert answer.undefined is not None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [3, 5, 7])
def test_smoothing_shares_are_exact_thirds_fifths_and_sevenths(dtype: str, classes: int) -> None:
    inputs = {"target": np.zeros((1, classes)), "probs": np.zeros((1, classes))}
    parameters = {"from_logits": True, "label_smoothing": 0.5}

    answer = certified("categorical_crossentropy", dtype, inputs, parameters)

    # All probabilities are 1/K and all targets 0.5/K, so the loss is 0.5 log K.
    with mpmath.workdps(60):
        expected = mpmath.log(classes) / 2
        off = abs(mpmath.mpf(answer.numbers.values[0]) - expected) if answer.numbers else 1
    assert off <= 10.0**-24


@pytest.mark.parametrize("rule", ["nan", "zero"])
def test_a_keras_mean_of_no_element_is_what_the_rule_says(rule: str) -> None:
    inputs = {"target": np.zeros((2, 0)), "probs": np.zeros((2, 0))}

    answer = certified("binary_crossentropy", "float32", inputs, empty_mean=rule)

    assert answer.numbers is not None
    assert ({"nan": ("nan", "nan"), "zero": ("0", "0")}[rule]) == answer.numbers.values


# What dtypes really do


def loaded(path: Path) -> ModuleType:
    # As the worker does: what they share lies beside them.
    sys.path.append(str(path.parent))
    found = importlib.util.spec_from_file_location(path.stem, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


PATHS = [HERE / "right_losses" / f"{name}.py" for name in (*STABLE, *LOOSE_AT_WORST)]
MODULES = {path.stem: loaded(path) for path in PATHS if read_needs(path).framework == "numpy"}


@st.composite
def rows(draw: st.DrawFn, dtype: str) -> Any:
    """Rows of logits of a scale at which no step overflows float16."""
    n, k = draw(st.integers(1, 2)), draw(st.sampled_from([1, 2, 3, 5, 17, 40]))
    scale = draw(st.sampled_from([0.01, 1.0, 10.0, 100.0, 400.0]))
    offset = draw(st.sampled_from([0.0, 0.0, 100.0, -100.0]))
    seed = draw(st.integers(0, 2**32 - 1))
    return held(dtype, np.random.default_rng(seed).uniform(-scale, scale, (n, k)) + offset)


@pytest.mark.parametrize("question", ["value", "gradient"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", MODULES)
@given(data=st.data())
@settings(max_examples=8)
def test_right_losses_stay_within_the_bound(name: str, dtype: str, question: str, data: st.DataObject) -> None:
    logits = data.draw(rows(dtype))
    seed = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    asked = ["cross_entropy", "log_softmax", "binary_cross_entropy_with_logits"]
    offered = [operation for operation in asked if operation in vars(MODULES[name])]
    if not offered:
        return
    operation = data.draw(st.sampled_from(offered))
    inputs: dict[str, Any] = {"logits": logits}
    parameters: dict[str, Any] = {} if operation == "log_softmax" else {"reduction": "none"}
    shape = logits.shape
    if operation == "cross_entropy":
        shape = logits.shape[:1]
        inputs["target"] = seed.integers(0, logits.shape[1], shape)
        parameters["weight"] = held(dtype, seed.uniform(0.25, 4, logits.shape[1]))
    elif operation != "log_softmax":
        inputs["target"] = held(dtype, seed.uniform(0, 1, logits.shape))
        parameters["pos_weight"] = held(dtype, seed.uniform(0.25, 4, logits.shape))
    cotangent = held(dtype, seed.uniform(-2, 2, shape)) if question == "gradient" else None
    answer = answer_of(certified(operation, dtype, inputs, parameters, cotangent))

    computed = ask(MODULES[name], operation, dtype, inputs, parameters, cotangent)

    judgement = compare(computed.ravel().astype(np.float64), golden(dtype, answer), answer)
    assert suffices(judgement.outcome, Outcome.STABLE if name in STABLE else Outcome.LOOSE), judgement


def ask(module: ModuleType, operation: str, dtype: str, inputs: Any, parameters: Any, cotangent: Any) -> Any:
    def cast(tensor: Any) -> Any:
        floating = isinstance(tensor, np.ndarray) and np.issubdtype(tensor.dtype, np.floating)
        return tensor.astype(FORMATS[dtype].storage) if floating else tensor

    arrays = [cast(tensor) for tensor in inputs.values()]
    stated = {name: cast(value) for name, value in parameters.items()}
    loss: Callable[..., Any] = getattr(module, operation if cotangent is None else f"{operation}_vjp")
    return loss(*arrays, **stated) if cotangent is None else loss(cast(cotangent), *arrays, **stated)
