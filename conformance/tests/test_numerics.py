"""Formats, roundings and ulps against exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lossproof.numerics import DTYPES, FORMATS, overflow_threshold, round_to, ulp

EXPECTED_LIMITS = {
    "float64": (2.0**-53, 2.0**-1022, 2.0**-1074, math.ldexp(2 - 2**-52, 1023)),
    "float32": (2.0**-24, 2.0**-126, 2.0**-149, (2 - 2**-23) * 2.0**127),
    "bfloat16": (2.0**-8, 2.0**-126, 2.0**-133, (2 - 2**-7) * 2.0**127),
    "float16": (2.0**-11, 2.0**-14, 2.0**-24, 65504.0),
}


def quantum(dtype: str, number: Fraction) -> Fraction:
    """The gap between neighbouring numbers of the dtype at a number that is not 0."""
    layout = FORMATS[dtype]
    exponent = math.frexp(float(abs(number)))[1] - 1
    return Fraction(2) ** (max(exponent, layout.min_exponent) - layout.precision + 1)


def nearest(dtype: str, number: float) -> float:
    """The number rounded once, ties to even, from exact fractions."""
    if number == 0 or not math.isfinite(number):
        return number
    gap = quantum(dtype, Fraction(number))
    rounded = round(Fraction(number) / gap) * gap
    if abs(rounded) > Fraction(FORMATS[dtype].largest):
        return math.copysign(math.inf, number)
    return math.copysign(float(rounded), number)


@st.composite
def near_ties(draw: st.DrawFn, dtype: str) -> float:
    """Binary64 numbers on and around the midpoints of a dtype, over all of its range and a little beyond."""
    layout = FORMATS[dtype]
    exponent = draw(st.integers(layout.min_exponent - 2 * layout.precision, layout.max_exponent))
    half_steps = draw(st.integers(0, 2 ** (layout.precision + 1)))
    nudge = draw(st.sampled_from([0, 1, -1, 2**20, -(2**20), 2**28, -(2**28)]))
    try:
        number = math.ldexp(half_steps, exponent - layout.precision)
    except OverflowError:
        return math.inf
    return float(np.float64(number) + nudge * np.spacing(np.float64(number))) if math.isfinite(number) else number


@pytest.mark.parametrize("dtype", DTYPES)
def test_limits_are_those_of_the_format(dtype: str) -> None:
    layout = FORMATS[dtype]

    found = (layout.unit_roundoff, layout.smallest_normal, layout.smallest_subnormal, layout.largest)

    assert EXPECTED_LIMITS[dtype] == found


def test_only_float16_is_not_flushed() -> None:
    lost = {dtype: FORMATS[dtype].underflow_unit for dtype in DTYPES}

    assert {"float64": 2.0**-1022, "float32": 2.0**-126, "bfloat16": 2.0**-126, "float16": 2.0**-24} == lost


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_rounding_near_ties_is_exact(dtype: str, data: st.DataObject) -> None:
    number = data.draw(near_ties(dtype))

    rounded = float(round_to(dtype, number))

    assert nearest(dtype, number) == rounded


@pytest.mark.parametrize("dtype", DTYPES)
@given(number=st.floats(allow_nan=False))
def test_rounding_is_exact_everywhere(dtype: str, number: float) -> None:
    rounded = float(round_to(dtype, number))

    assert nearest(dtype, number) == rounded


@given(upper=st.integers(128, 255), exponent=st.integers(-130, 120), below=st.booleans())
@example(upper=129, exponent=0, below=True)
def test_bfloat16_is_not_rounded_twice(upper: int, exponent: int, below: bool) -> None:
    tie = math.ldexp(2 * upper + 1, exponent)
    # A quarter of float32's gap away from the tie: a first rounding to float32 would land on it.
    off = math.ldexp(2 * upper + 1, exponent - 35)
    number = tie - off if below else tie + off

    rounded = float(round_to("bfloat16", number))

    assert nearest("bfloat16", number) == rounded


@pytest.mark.parametrize("dtype", DTYPES)
def test_signed_zeros_infinities_and_nan_survive_rounding(dtype: str) -> None:
    rounded = round_to(dtype, [0.0, -0.0, math.inf, -math.inf, math.nan]).astype(np.float64)

    assert ["0.0", "-0.0", "inf", "-inf", "nan"] == [repr(number) for number in rounded.tolist()]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_overflow_threshold_is_the_least_number_that_rounds_to_infinity(dtype: str) -> None:
    threshold = overflow_threshold(dtype)

    found = [float(round_to(dtype, number)) for number in (math.nextafter(threshold, 0), threshold)]

    assert [FORMATS[dtype].largest, math.inf] == found


@pytest.mark.parametrize("dtype", DTYPES)
@given(number=st.floats(min_value=2.0**-1000, max_value=2.0**1000))
def test_an_ulp_is_the_gap_between_neighbours(dtype: str, number: float) -> None:
    gap = ulp(dtype, np.array([number, -number]))

    assert [float(quantum(dtype, Fraction(number)))] * 2 == gap.tolist()


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_ulp_at_zero_is_the_smallest_subnormal(dtype: str) -> None:
    gap = ulp(dtype, np.array([0.0, -0.0, FORMATS[dtype].smallest_subnormal / 4]))

    assert [FORMATS[dtype].smallest_subnormal] * 3 == gap.tolist()
