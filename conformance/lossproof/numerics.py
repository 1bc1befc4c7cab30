"""Floating-point formats: unit roundoff, ulps, and one rounding from binary64 to each dtype."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Format:
    """A binary floating-point format with `precision` significand bits, the hidden one included."""

    name: str
    precision: int
    max_exponent: int
    flushed: bool
    storage: np.dtype[Any]

    @property
    def unit_roundoff(self) -> float:
        """Half the gap between 1 and the next number."""
        return 2.0**-self.precision

    @property
    def min_exponent(self) -> int:
        """Exponent of the smallest normal number."""
        return 2 - self.max_exponent

    @property
    def smallest_normal(self) -> float:
        """The smallest positive number with all significand bits."""
        return 2.0**self.min_exponent

    @property
    def smallest_subnormal(self) -> float:
        """The smallest positive number."""
        return 2.0 ** (self.min_exponent - self.precision + 1)

    @property
    def largest(self) -> float:
        """The largest finite number."""
        return (2.0 - 2.0 ** (1 - self.precision)) * 2.0 ** (self.max_exponent - 1)

    @property
    def underflow_unit(self) -> float:
        """What may lawfully be lost to underflow: hardware flushes float64, float32 and bfloat16, never float16."""
        return self.smallest_normal if self.flushed else self.smallest_subnormal


FORMATS: Mapping[str, Format] = {
    "float64": Format("float64", 53, 1024, True, np.dtype(np.float64)),
    "float32": Format("float32", 24, 128, True, np.dtype(np.float32)),
    "bfloat16": Format("bfloat16", 8, 128, True, np.dtype(ml_dtypes.bfloat16)),
    "float16": Format("float16", 11, 16, False, np.dtype(np.float16)),
}
DTYPES: tuple[str, ...] = tuple(FORMATS)
HALF_DTYPES = ("bfloat16", "float16")


def round_to(dtype: str, numbers: npt.ArrayLike) -> npt.NDArray[Any]:
    """Round binary64 `numbers` once, to nearest with ties to even, to an array of `dtype`; any shape."""
    exact = np.asarray(numbers, dtype=np.float64)
    storage = FORMATS[dtype].storage
    if dtype != "bfloat16":
        with np.errstate(over="ignore", under="ignore"):
            return exact.astype(storage)
    return _to_odd_float32(exact).astype(storage)


def _to_odd_float32(exact: Floats) -> npt.NDArray[np.float32]:
    """Round to float32 with an odd last bit where inexact, so that a second rounding to nearest is still right."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        nearest = exact.astype(np.float32)
        error = exact - nearest.astype(np.float64)
        even = (nearest.view(np.uint32) & 1) == 0
        towards = np.where(error > 0, np.float32(np.inf), np.float32(-np.inf)).astype(np.float32)
        odd = np.nextafter(nearest, towards)
        inexact = (error != 0) & even & np.isfinite(nearest) & np.isfinite(exact)
    return np.where(inexact, odd, nearest).astype(np.float32)


def ulp(dtype: str, numbers: Floats) -> Floats:
    """Gap between neighbouring numbers of `dtype` at each real number, never below the smallest subnormal."""
    layout = FORMATS[dtype]
    _, exponent = np.frexp(np.maximum(np.abs(numbers), layout.smallest_normal))
    gap: Floats = np.ldexp(1.0, exponent - layout.precision)
    return gap


def overflow_threshold(dtype: str) -> float:
    """The least real number that rounds to infinity in `dtype`; infinity for float64, which cannot hold it."""
    layout = FORMATS[dtype]
    with np.errstate(over="ignore"):
        return float(np.ldexp(2.0 - 2.0**-layout.precision, layout.max_exponent - 1))
