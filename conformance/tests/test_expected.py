"""Stored decimals become exact distances: two words, scaled near overflow, with the stored bounds."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_goldens import stored

from lossproof.expected import decode
from lossproof.numerics import DTYPES, FORMATS

LARGEST = FORMATS["float64"].largest


@given(digits=st.integers(10**24, 10**25 - 1), exponent=st.integers(-300, 280), negative=st.booleans())
def test_two_words_hold_a_float64_truth_to_25_digits(digits: int, exponent: int, negative: bool) -> None:
    text = f"{'-' if negative else ''}{digits}E{exponent}"

    expected = decode(stored([text]), "float64")

    held = Fraction(expected.high[0]) + Fraction(expected.low[0])
    # The low word has 53 bits of a number below half an ulp of the high one.
    assert abs(held - Fraction(Decimal(text))) <= abs(Fraction(Decimal(text))) * Fraction(2) ** -106


@given(number=st.floats(min_value=2.0**1023, max_value=LARGEST), negative=st.booleans())
def test_huge_values_are_scaled_and_their_ulp_with_them(number: float, negative: bool) -> None:
    number = -number if negative else number

    expected = decode(stored([str(Decimal(number))]), "float64")

    scale = Fraction(float(expected.scale[0]))
    held = (Fraction(expected.high[0]) + Fraction(expected.low[0])) / scale
    assert (Fraction(number), Fraction(2) ** 971) == (held, Fraction(float(expected.unit[0])) / scale)


def test_a_sum_beyond_float64_is_still_a_number() -> None:
    expected = decode(stored(["3.5E+308"]), "float64")

    assert math.isfinite(expected.high[0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_grades_are_derived_from_the_stored_bounds(dtype: str) -> None:
    u, eta = FORMATS[dtype].unit_roundoff, FORMATS[dtype].underflow_unit

    expected = decode(stored(["1.5"], rounding=100, underflow=3, weakness=40), dtype)

    bound = 100 * u + 3 * eta
    found = (expected.accurate[0], expected.bound[0], expected.stable[0], expected.loose[0])
    assert (8 * u, bound, 2 * bound, 2 * bound + 40 * u) == found


@pytest.mark.parametrize("dtype", DTYPES)
def test_stable_is_never_less_than_accurate(dtype: str) -> None:
    expected = decode(stored(["1.5"]), dtype)

    assert [8 * FORMATS[dtype].unit_roundoff] * 3 == [expected.accurate[0], expected.stable[0], expected.loose[0]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_at_a_truth_of_zero_four_smallest_subnormals_are_accurate(dtype: str) -> None:
    expected = decode(stored(["0"]), dtype)

    assert [4 * FORMATS[dtype].smallest_subnormal] == expected.accurate.tolist()


def test_sums_bring_their_own_ulps() -> None:
    expected = decode(stored(["1000"], rounding=5) | {"ulps": [0.25]}, "float32")

    assert ([0.25], [1.0]) == (expected.unit.tolist(), expected.accurate.tolist())


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_special_values_stay_special(dtype: str, text: str) -> None:
    expected = decode(stored([text]), dtype)

    assert np.array_equal([float(text)], expected.high, equal_nan=True)
