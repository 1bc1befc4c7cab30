"""Recipes against the three-line formulas of spec/README.md, in plain Python with exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossproof.case import Recipe, Tensor
from lossproof.materialise import materialise
from lossproof.numerics import DTYPES, FORMATS

SCALES = (2.0**-3, 1.0, 16.0, 1024.0)


def hashed(i: int, seed: int) -> int:
    return ((i + 1 + seed * 7919) * 2654435769) % 2**32


def by_formula(name: str, size: int, dtype: str, seed: int, scale: float) -> list[Fraction]:
    p = min(24, FORMATS[dtype].precision)
    k = [hashed(i, seed) >> (32 - p) for i in range(size)]
    if name == "hash":
        return [(k_i - 2 ** (p - 1)) * Fraction(scale) / 2 ** (p - 1) for k_i in k]
    return [(k_i + 1) * Fraction(scale) / 2**p for k_i in k]


@pytest.mark.parametrize("name", ["hash", "hash_positive"])
@pytest.mark.parametrize("dtype", DTYPES)
@given(size=st.integers(0, 50), seed=st.integers(0, 10_000), scale=st.sampled_from(SCALES))
def test_hashed_floats_are_the_formula_exactly(
    name: Literal["hash", "hash_positive"], dtype: str, size: int, seed: int, scale: float
) -> None:
    tensor = Tensor((size,), "floating", recipe=Recipe(name, seed, scale))

    array = materialise(tensor, dtype).astype(np.float64).tolist()

    assert by_formula(name, size, dtype, seed, scale) == [Fraction(number) for number in array]


@given(size=st.integers(0, 50), seed=st.integers(0, 10_000), below=st.integers(1, 2**24))
def test_hashed_indices_are_the_formula_exactly(size: int, seed: int, below: int) -> None:
    tensor = Tensor((size,), "integer", recipe=Recipe("hash_index", seed, below=below))

    array = materialise(tensor, "float32")

    assert ("int64", [(hashed(i, seed) >> 8) % below for i in range(size)]) == (str(array.dtype), array.tolist())


@pytest.mark.parametrize("name", ["hash", "hash_positive"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_hashed_floats_are_as_many_distinct_values_as_the_dtype_has(
    name: Literal["hash", "hash_positive"], dtype: str
) -> None:
    size = 2**11
    tensor = Tensor((size,), "floating", recipe=Recipe(name, seed=3))

    distinct = len(np.unique(materialise(tensor, dtype).astype(np.float64)))

    # A multiplier that is odd permutes the numbers below 2**32, and spreads consecutive ones evenly over them.
    held = 2 ** min(24, FORMATS[dtype].precision)
    assert min(size, held) * (0.99 if held >= 2**20 else 0.6) <= distinct


@pytest.mark.parametrize("name", ["hash", "hash_positive"])
@given(size=st.integers(1, 3), seed=st.integers(0, 100))
def test_float64_float32_recipes_are_equal(name: Literal["hash", "hash_positive"], size: int, seed: int) -> None:
    tensor = Tensor((size,), "floating", recipe=Recipe(name, seed, 16.0))

    assert materialise(tensor, "float64").tolist() == materialise(tensor, "float32").tolist()


def test_periodic_terms_repeat_and_are_cut_off() -> None:
    tensor = Tensor((2, 4), "floating", recipe=Recipe("periodic", terms=(1.0, -2.5, 0.0)))

    assert [[1.0, -2.5, 0.0, 1.0], [-2.5, 0.0, 1.0, -2.5]] == materialise(tensor, "float16").tolist()


def test_fill_is_one_value_rounded_to_the_dtype() -> None:
    tensor = Tensor((2,), "floating", recipe=Recipe("fill", value=0.1))

    assert [0.0999755859375] * 2 == materialise(tensor, "float16").tolist()


def test_written_values_are_rounded_once() -> None:
    tensor = Tensor((2,), "floating", values=(1 + 2.0**-8 + 2.0**-40, 1 + 2.0**-8))

    assert [1 + 2.0**-7, 1.0] == materialise(tensor, "bfloat16").astype(np.float64).tolist()


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint8", "int64"])
def test_integers_keep_their_dtype(dtype: str) -> None:
    tensor = Tensor((3,), "integer", values=(0, 1, 100), dtype=dtype)

    array = materialise(tensor, "float32")

    assert (dtype, [0, 1, 100]) == (str(array.dtype), array.tolist())


def test_an_empty_tensor_has_its_shape() -> None:
    tensor = Tensor((0, 3), "floating", recipe=Recipe("fill", value=0.0))

    assert (0, 3) == materialise(tensor, "float32").shape


def test_special_values_are_kept() -> None:
    tensor = Tensor((4,), "floating", values=(math.nan, math.inf, -math.inf, -0.0))

    written = [repr(float(number)) for number in materialise(tensor, "float32")]

    assert ["nan", "inf", "-inf", "-0.0"] == written
