"""Tensors made exact for one dtype: rounded once, or computed from a recipe."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from lossproof.case import Recipe, Tensor
from lossproof.numerics import FORMATS, round_to

# Multiplicative hashing (Knuth, The Art of Computer Programming, section 6.4).
_MULTIPLIER = 2654435769
_SEED_STEP = 7919
_WORD = 2**32
_MOST_BITS = 24


def materialise(tensor: Tensor, dtype: str) -> npt.NDArray[Any]:
    """The tensor as an array: floating in `dtype`, integer in its own dtype; its layout is left to whoever sends it."""
    numbers = _recipe(tensor.recipe, tensor.shape, dtype) if tensor.recipe else np.array(tensor.values)
    if tensor.kind == "integer":
        integers: npt.NDArray[Any] = numbers.astype(tensor.dtype or "int64").reshape(tensor.shape)
        return integers
    return round_to(dtype, numbers.astype(np.float64)).reshape(tensor.shape)


def _recipe(recipe: Recipe, shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
    size = math.prod(shape)
    match recipe.name:
        case "fill":
            filled: npt.NDArray[Any] = np.full(size, recipe.value)
            return filled
        case "periodic":
            periodic: npt.NDArray[Any] = np.resize(np.array(recipe.terms), size)
            return periodic
        case "hash_index":
            indices: npt.NDArray[Any] = (_hashed(size, recipe.seed) >> 8) % recipe.below
            return indices
    bits = min(_MOST_BITS, FORMATS[dtype].precision)
    k = _hashed(size, recipe.seed) >> (32 - bits)
    first, steps = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if recipe.name == "hash" else (1, 2**bits)
    numbers: npt.NDArray[Any] = (k + first) * (recipe.scale / steps)
    return numbers


def _hashed(size: int, seed: int) -> npt.NDArray[np.int64]:
    start = 1 + seed * _SEED_STEP
    # Products stay below 2**63 for every size that a spec may state; the remainder is taken of exact integers.
    return (np.arange(start, start + size, dtype=np.int64) * _MULTIPLIER) % _WORD
