"""Strategies for the numbers of a tensor: plain ones first, then full significands, then the edges of a dtype."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st

from lossproof.fuzz.draws import pick, picks
from lossproof.numerics import FORMATS, Format, overflow_threshold, round_to, ulp

Values = tuple[float, ...]

# A prime: k / 997 fills the significand of every dtype, whatever k is.
_DENOMINATOR = 997
_STYLES = ("plain", "special", "full", "equal", "special")
_SEEDS = st.integers(0, 999)


@dataclass(frozen=True)
class Palette:
    """What the numbers of a tensor are made of: the simplest come first, as shrinking goes there.

    Those with full significands are scale · k / 997 + shift, k from `lowest` to `highest`, for one of `stretches`;
    `special` ones stand among plain ones.
    """

    plain: Values
    lowest: int
    highest: int
    stretches: tuple[tuple[float, float], ...] = ((1.0, 0.0),)
    special: Values = ()


@lru_cache
def real_numbers(dtype: str, *, masked: bool) -> Palette:
    """Logits and whatever else may be any number; with -inf where a class may be masked."""
    layout = FORMATS[dtype]
    stretches = ((1.0, 0.0), (2.0**-10, 0.0), (30.0, 0.0), (1.0, 1e4), (1.0, -1e4), (1e3, 0.0), (1.0, 1e6), (1.0, 1e8))
    edges = (math.log(layout.largest), math.log(layout.smallest_normal), math.log(layout.smallest_subnormal))
    special = (
        *(-math.inf,) * (3 * masked),
        *(-0.0, math.nan) * 2,
        *_both(1e4, 1e8, layout.largest, layout.smallest_normal, layout.smallest_subnormal),
        1 + 2 * layout.unit_roundoff,
        1 - layout.unit_roundoff,
        *_beside(edges, layout),
    )
    plain = (0.0, 1.0, -1.0, 2.0, -2.0, 3.0, 0.5, -0.5, 8.0, -8.0, 20.0, -20.0, 100.0, -100.0)
    return Palette(
        plain,
        -8 * _DENOMINATOR,
        8 * _DENOMINATOR,
        tuple((scale, shift) for scale, shift in stretches if 8 * scale + abs(shift) < layout.largest),
        _held(special, dtype),
    )


@lru_cache
def probabilities(dtype: str) -> Palette:
    """Numbers from 0 to 1, both ends and what lies next to them included; not -0.0, as 1/p is -inf there."""
    layout = FORMATS[dtype]
    special = (
        1 - layout.unit_roundoff,
        1 - 2 * layout.unit_roundoff,
        layout.unit_roundoff,
        layout.smallest_normal,
        layout.smallest_subnormal,
        1e-30,
        *_beside((1e-7, 1 - 1e-7, 1e-12, math.exp(-100)), layout),
    )
    inside = tuple(number for number in _held(special, dtype) if 0 < number <= 1)
    return Palette((0.5, 1.0, 0.0, 0.25, 0.75, 0.125), 0, _DENOMINATOR, special=inside)


@lru_cache
def targets(dtype: str) -> Palette:
    """Probabilities where nothing keeps a number from lying outside [0, 1]."""
    inside = probabilities(dtype)
    return Palette((1.0, 0.0, *inside.plain, 2.0, -1.0), inside.lowest, inside.highest, special=inside.special)


@lru_cache
def weights(dtype: str) -> Palette:
    """Factors of the terms, 0 included; a negative one would make denominators cancel."""
    return Palette((1.0, 2.0, 0.5, 3.0, 0.0), 1, 4 * _DENOMINATOR, special=_held((1e4, 1e-4, 0.1), dtype))


@lru_cache
def cotangents(dtype: str) -> Palette:
    """What comes in for a gradient, or a direction: both signs, so that terms cancel."""
    plain = (1.0, 2.0, -1.0, 0.5, -2.0, 0.0, 1.25)
    return Palette(plain, -2 * _DENOMINATOR, 2 * _DENOMINATOR, special=_held((1e4, 1e-4), dtype))


def numbers(draw: st.DrawFn, palette: Palette, dtype: str, size: int) -> Values:
    """`size` numbers that the dtype holds exactly."""
    style = pick(draw, _STYLES)
    match style:
        case "plain":
            return tuple(picks(draw, palette.plain, size))
        case "equal":
            return (pick(draw, palette.plain),) * size
        case "special":
            # As many plain ones as special ones; shrinking leaves few of these.
            mixed = [*palette.plain, *(n for number in palette.special for n in (number, palette.plain[0]))]
            return tuple(picks(draw, mixed, size))
    scale, shift = pick(draw, palette.stretches)
    steps = np.random.default_rng(draw(_SEEDS)).integers(palette.lowest, palette.highest, size, endpoint=True)
    return tuple(round_to(dtype, steps / _DENOMINATOR * scale + shift).astype(np.float64).tolist())


def _both(*numbers: float) -> Values:
    return tuple(sign * number for number in numbers for sign in (1, -1))


def _beside(numbers: Values, layout: Format) -> Values:
    """Each number as the dtype holds it, and its two neighbours there."""
    nearest = round_to(layout.name, numbers).astype(np.float64)
    gaps = ulp(layout.name, nearest)
    return tuple(np.concatenate([nearest, nearest - gaps, nearest + gaps]).tolist())


def _held(numbers: Values, dtype: str) -> Values:
    """The numbers rounded to the dtype, less those that overflow there or are lost."""
    threshold = overflow_threshold(dtype)
    rounded = round_to(dtype, [n for n in numbers if not math.isfinite(n) or abs(n) < threshold])
    held = rounded.astype(np.float64).tolist()
    return tuple(number for number in held if number != 0 or math.copysign(1, number) < 0)
