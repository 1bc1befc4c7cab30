"""Tensors as lists, words and recipes."""

from __future__ import annotations

import math

import pytest

from lossproof.case import Recipe, Tensor
from lossproof.spec import SpecError
from lossproof.spec.tensors import read_tensor
from lossproof.spec.yaml import Place, parse_document


def read(text: str) -> Tensor:
    document = parse_document(text, "x.yaml")
    return read_tensor(document.data, Place(document))


def test_integers_make_an_index_tensor() -> None:
    assert read("[[1, 2, 3], [4, 5, 6]]") == Tensor((2, 3), "integer", values=(1, 2, 3, 4, 5, 6), dtype="int64")


def test_one_float_makes_all_numbers_floats() -> None:
    tensor = read("[1, 2.0]")

    assert tensor == Tensor((2,), "floating", values=(1.0, 2.0))
    assert all(isinstance(number, float) for number in tensor.values or ())


def test_a_number_is_a_tensor_without_axes() -> None:
    assert read("2") == Tensor((), "integer", values=(2,), dtype="int64")


def test_words_are_numbers() -> None:
    values = read('["inf", "-inf", "-0.0", "0x1.8p-3", "-0x1p-1074", "nan"]').values

    assert values is not None
    assert values[:5] == (math.inf, -math.inf, 0.0, 0.1875, -5e-324)
    assert math.copysign(1.0, values[2]) == -1.0
    assert math.isnan(values[5])


def test_a_dtype_and_a_layout_are_kept() -> None:
    assert read("{values: [1, 2], dtype: uint8, layout: reversed}") == Tensor(
        (2,), "integer", values=(1, 2), dtype="uint8", layout="reversed"
    )


def test_a_recipe_of_integers_is_an_index_tensor() -> None:
    tensor = read("{shape: [4], recipe: hash_index, below: 7, seed: 3}")

    assert tensor == Tensor((4,), "integer", recipe=Recipe("hash_index", seed=3, below=7), dtype="int64")


def test_a_fill_takes_its_kind_from_its_value() -> None:
    kinds = [read("{shape: [0, 3], recipe: fill, value: 0.0}").kind, read("{shape: [0], recipe: fill, value: 0}").kind]

    assert kinds == ["floating", "integer"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[1, 2], [3]]", "$[1]: expected a list of 2, got a list of 1"),
        ("[[1], 2]", "$[1]: expected a list of 1, got 2"),
        ("[1, [2]]", '$[1]: expected a number, "nan", "inf", "-inf", "-0.0" or a hex float, got [2]'),
        ("[1, 010]", '$[1]: expected a number, "nan", "inf", "-inf", "-0.0" or a hex float, got "010"'),
        ("[true]", '$[0]: expected a number, "nan", "inf", "-inf", "-0.0" or a hex float, got true'),
        ("[infinity]", '$[0]: expected a number, "nan", "inf", "-inf", "-0.0" or a hex float, got "infinity"'),
        ("[]", "$: expected numbers, or {shape: …, recipe: fill, value: …} where there are none, got []"),
        ('["0x1p2000"]', '$[0]: expected a hex float that binary64 holds, got "0x1p2000"'),
        ('["0x1.00000000000001p0"]', '$[0]: expected a hex float that binary64 holds, got "0x1.00000000000001p0"'),
        ("{dtype: int8}", "$: expected the key values or recipe, got neither"),
        ("{values: [300], dtype: uint8}", "$.values: expected integers of uint8, got 300"),
        ("{values: [1.5], dtype: int8}", "$.values: expected integers (dtype int8), got 1.5"),
        (
            "{values: [1], dtype: float16}",
            '$.dtype: expected int8, int16, int32, int64, uint8, uint16, uint32 or uint64, got "float16"',
        ),
        (
            "{values: [1.5], layout: strided}",
            '$.layout: expected transposed, reversed, sliced, expanded, misaligned or channels_last, got "strided"',
        ),
        ("{values: [1.5, 2.5], layout: transposed}", "$.layout: expected at least 2 axes (layout transposed), got 1"),
        (
            "{values: [1.5, 2.5], layout: expanded}",
            "$.layout: expected equal rows (layout expanded), got different ones",
        ),
        ("{values: [1.5], color: red}", '$.color: expected a key of values, dtype, layout, got "color"'),
        ("{recipe: hash, scale: 1}", "$: expected the key shape, got none"),
        ("{shape: [2], recipe: hash}", "$: expected the key scale (recipe hash), got none"),
        ("{shape: [2], recipe: hash, scale: 3}", "$.scale: expected a power of two, got 3"),
        ("{shape: [2], recipe: fill, value: 1.0, seed: 1}", "$.seed: expected no seed (recipe fill), got 1"),
        (
            "{shape: [2], recipe: noise, seed: 1}",
            '$.recipe: expected hash, hash_positive, hash_index, fill or periodic, got "noise"',
        ),
        ("{shape: [-1], recipe: fill, value: 1.0}", "$.shape[0]: expected greater than or equal to 0, got -1"),
        (
            "{shape: [65536, 32769], recipe: fill, value: 1.0}",
            "$.shape: expected at most 2**31 elements, got [65536, 32769]",
        ),
        (
            "{shape: [0, 999999999999], recipe: fill, value: 1.0}",
            "$.shape: expected at most 2**31 elements, got [0, 999999999999]",
        ),
        ("{shape: [1, 1, 1, 1, 1, 1, 1, 1, 1], recipe: fill, value: 1.0}", "$.shape: expected at most 8 axes, got 9"),
        ("{shape: [2], recipe: periodic, terms: []}", "$.terms: expected a list of numbers, got []"),
    ],
)
def test_what_is_no_tensor_is_an_error_with_its_place(text: str, message: str) -> None:
    with pytest.raises(SpecError) as error:
        read(text)

    assert f"x.yaml:1 {message}" == str(error.value)


def test_too_many_numbers_written_out_are_refused() -> None:
    with pytest.raises(SpecError, match="expected a recipe above 4096 elements, got 5000 written out"):
        read(str([1] * 5000))
