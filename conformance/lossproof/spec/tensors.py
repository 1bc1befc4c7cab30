"""Tensors as the spec writes them: lists, special numbers and recipes."""

from __future__ import annotations

import math
import re
from fractions import Fraction

from lossproof.case import Number, Recipe, Tensor
from lossproof.spec.check import check
from lossproof.spec.models import NUMBER_WORD, RecipeForm, ValuesForm
from lossproof.spec.yaml import Place, show

LARGEST_SIZE = 2**31
LARGEST_WRITTEN = 4096
_MOST_AXES = 8
_NUMBER_WORD = re.compile(NUMBER_WORD)
_NUMBER_WISH = 'a number, "nan", "inf", "-inf", "-0.0" or a hex float'
_NEEDED = {"hash": "scale", "hash_positive": "scale", "hash_index": "below", "fill": "value", "periodic": "terms"}
_SEEDED = ("hash", "hash_positive", "hash_index")


def read_tensor(data: object, place: Place) -> Tensor:
    """The tensor written at `path`; raises SpecError where it is none, ragged, or of more than 2**31 elements."""
    if isinstance(data, dict):
        return _read_recipe(data, place) if "recipe" in data else _read_values(data, place)
    shape, numbers = _flatten(data, place)
    return _checked_layout(_written(shape, numbers, None, None), place)


def size(shape: tuple[int, ...]) -> int:
    """The number of elements of a shape."""
    return math.prod(shape)


def _read_values(data: dict[str, object], place: Place) -> Tensor:
    if "values" not in data:
        raise place.error("the key values or recipe", "neither")
    form = check(ValuesForm, data, place)
    shape, numbers = _flatten(data["values"], place.at("values"))
    if form.dtype is not None:
        for number in numbers:
            _check_fits(number, form.dtype, place.at("values"))
    return _checked_layout(_written(shape, numbers, form.dtype, form.layout), place)


def _read_recipe(data: dict[str, object], place: Place) -> Tensor:
    form = check(RecipeForm, data, place)
    shape = tuple(form.shape)
    if size(shape) > LARGEST_SIZE or any(length > LARGEST_SIZE for length in shape):
        raise place.at("shape").error("at most 2**31 elements", show(list(shape)))
    if len(shape) > _MOST_AXES:
        raise place.at("shape").error(f"at most {_MOST_AXES} axes", str(len(shape)))
    _check_keys(data, form, place)
    value = _number(data["value"], place.at("value")) if "value" in data else 0.0
    terms = _flatten(data["terms"], place.at("terms"))[1] if "terms" in data else ()
    integer = form.recipe == "hash_index" or not any(isinstance(n, float) for n in terms or (value,))
    integer = integer and form.recipe not in ("hash", "hash_positive")
    if form.dtype is not None and not integer:
        raise place.at("dtype").error("a dtype only for integers", form.dtype)
    if form.dtype is not None:
        for number in (*terms, value if isinstance(value, int) else 0, max((form.below or 1) - 1, 0)):
            _check_fits(number, form.dtype, place)
    recipe = Recipe(
        name=form.recipe,
        seed=form.seed or 0,
        scale=float(form.scale) if form.scale is not None else 1.0,
        below=form.below or 0,
        value=value,
        terms=terms if integer else tuple(float(term) for term in terms),
    )
    dtype = (form.dtype or "int64") if integer else None
    tensor = Tensor(shape, "integer" if integer else "floating", recipe=recipe, dtype=dtype, layout=form.layout)
    return _checked_layout(tensor, place)


def _check_keys(data: dict[str, object], form: RecipeForm, place: Place) -> None:
    """Every recipe has the one number it needs, and a seed only if it hashes."""
    needed = _NEEDED[form.recipe]
    if needed not in data:
        raise place.error(f"the key {needed} (recipe {form.recipe})", "none")
    allowed = {"shape", "recipe", "dtype", "layout", needed, *(("seed",) if form.recipe in _SEEDED else ())}
    for key, value in data.items():
        if key not in allowed:
            raise place.at(key).error(f"no {key} (recipe {form.recipe})", show(value))
    if form.scale is not None and not (form.scale > 0 and math.frexp(form.scale)[0] == 0.5):
        raise place.at("scale").error("a power of two", show(form.scale))
    if form.recipe == "periodic" and not (isinstance(data["terms"], list) and data["terms"]):
        raise place.at("terms").error("a list of numbers", show(data["terms"]))


def _flatten(data: object, place: Place) -> tuple[tuple[int, ...], tuple[Number, ...]]:
    """Shape and numbers, in C order, of a nested list."""
    shape: list[int] = []
    level = data
    while isinstance(level, list):
        if not level:
            raise place.error("numbers, or {shape: …, recipe: fill, value: …} where there are none", "[]")
        shape.append(len(level))
        level = level[0]
    numbers: list[Number] = []
    _collect(data, tuple(shape), place, numbers)
    if len(numbers) > LARGEST_WRITTEN:
        raise place.error(f"a recipe above {LARGEST_WRITTEN} elements", f"{len(numbers)} written out")
    return tuple(shape), tuple(numbers)


def _collect(data: object, shape: tuple[int, ...], place: Place, numbers: list[Number]) -> None:
    if not shape:
        numbers.append(_number(data, place))
        return
    if not isinstance(data, list) or len(data) != shape[0]:
        got = f"a list of {len(data)}" if isinstance(data, list) else show(data)
        raise place.error(f"a list of {shape[0]}", got)
    for index, item in enumerate(data):
        _collect(item, shape[1:], place.at(index), numbers)


def _number(data: object, place: Place) -> Number:
    if isinstance(data, bool) or not isinstance(data, int | float | str):
        raise place.error(_NUMBER_WISH, show(data))
    if not isinstance(data, str):
        return data
    if not _NUMBER_WORD.fullmatch(data):
        raise place.error(_NUMBER_WISH, show(data))
    if "0x" not in data:
        return float(data)
    try:
        number = float.fromhex(data)
    except OverflowError:
        number = math.inf
    if math.isinf(number) or not _is_exact(data, number):
        raise place.error("a hex float that binary64 holds", show(data))
    return number


def _is_exact(text: str, number: float) -> bool:
    significand, _, exponent = text.removeprefix("-").removeprefix("0x").partition("p")
    whole, _, fraction = significand.partition(".")
    written = int(whole + fraction, 16) * Fraction(2) ** (int(exponent) - 4 * len(fraction))
    return written == abs(Fraction(number))


def _written(shape: tuple[int, ...], numbers: tuple[Number, ...], dtype: str | None, layout: str | None) -> Tensor:
    """Integers everywhere make an integer tensor, int64 unless stated; one float makes all of them floats."""
    if all(isinstance(number, int) for number in numbers):
        return Tensor(shape, "integer", values=numbers, dtype=dtype or "int64", layout=layout)
    return Tensor(shape, "floating", values=tuple(float(number) for number in numbers), layout=layout)


def _check_fits(number: Number, dtype: str, place: Place) -> None:
    if not isinstance(number, int):
        raise place.error(f"integers (dtype {dtype})", show(number))
    bits = int(dtype.lstrip("uint"))
    low, high = (0, 2**bits) if dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    if not low <= number < high:
        raise place.error(f"integers of {dtype}", str(number))


def _checked_layout(tensor: Tensor, place: Place) -> Tensor:
    """The tensor, if it can lie in memory as its layout says."""
    axes = {None: 0, "misaligned": 0, "transposed": 2, "channels_last": 3}.get(tensor.layout, 1)
    if len(tensor.shape) < axes:
        raise place.at("layout").error(f"at least {axes} axes (layout {tensor.layout})", str(len(tensor.shape)))
    if tensor.layout == "expanded" and not _equal_along_first_axis(tensor):
        raise place.at("layout").error("equal rows (layout expanded)", "different ones")
    return tensor


def _equal_along_first_axis(tensor: Tensor) -> bool:
    if tensor.values is None:
        return tensor.recipe is not None and tensor.recipe.name == "fill"
    row = len(tensor.values) // tensor.shape[0]
    # As text: 0.0 and -0.0 are equal, but no two names for one row.
    rows = {repr(tensor.values[start : start + row]) for start in range(0, len(tensor.values), row)}
    return len(rows) == 1
