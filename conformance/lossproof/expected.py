"""Stored decimals and bounds as arrays that answers can be compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

import numpy as np

from lossproof.numerics import FORMATS, Floats, ulp

_LARGEST = FORMATS["float64"].largest
_SCALED_EXPONENT = 1016
# Enough digits for every binary64 number to be exact.
_WIDE = Context(prec=800)


@dataclass(frozen=True)
class Expected:
    """True values (`high` + `low`, two binary64 numbers), and how far an answer may be from each for a grade.

    Where `scale` is below 1 the values and distances are scaled by it, being too large for binary64 otherwise.
    `unit` is one ulp, `bound` is u E + eta H, all of one shape: the elements, or the runs of them that are summed.
    """

    high: Floats
    low: Floats
    scale: Floats
    unit: Floats
    bound: Floats
    accurate: Floats
    stable: Floats
    loose: Floats
    decimals: tuple[str, ...]


def decode(stored: Mapping[str, Any], dtype: str) -> Expected:
    """What a golden stores for its elements, or (with `ulps`) for sums of them."""
    layout = FORMATS[dtype]
    decimals = tuple(stored["values"])
    high = np.array(decimals, dtype=np.float64)
    scale = np.ones_like(high)
    low = np.zeros_like(high)
    if dtype == "float64":
        # Binary64 answers ask for more digits of the truth than one binary64 number holds.
        low, high, scale = _second_words(decimals, high)
    u, eta = layout.unit_roundoff, layout.underflow_unit
    rounding, underflow, weakness = (
        np.array(stored[name], dtype=np.float64) for name in ("rounding", "underflow", "weakness")
    )
    # The ulps of scaled values are scaled with them.
    unit = np.array(stored["ulps"], dtype=np.float64) * scale if "ulps" in stored else ulp(dtype, high)
    bound = u * (rounding * scale) + eta * (underflow * scale)
    accurate = 4 * unit
    stable = np.maximum(2 * bound, accurate)
    return Expected(high, low, scale, unit, bound, accurate, stable, stable + u * (weakness * scale), decimals)


def _second_words(decimals: tuple[str, ...], high: Floats) -> tuple[Floats, Floats, Floats]:
    low, scale = np.zeros_like(high), np.ones_like(high)
    for index, text in enumerate(decimals):
        if not np.isfinite(high[index]) and text.lstrip("-") in ("inf", "nan"):
            continue
        exact = Decimal(text)
        if abs(exact) > _LARGEST / 4:
            # A power of two small enough that no distance overflows.
            power = max(8, math.ceil(exact.adjusted() * math.log2(10)) - _SCALED_EXPONENT)
            scale[index] = 2.0**-power
            exact = _WIDE.divide(exact, Decimal(2**power))
            high[index] = float(exact)
        low[index] = float(_WIDE.subtract(exact, Decimal(high[index].item())))
    return low, high, scale
