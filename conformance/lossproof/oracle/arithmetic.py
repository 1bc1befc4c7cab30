"""Arithmetic on certified enclosures that carry the running error bound of the steps that made them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from flint import arb, ctx

from lossproof.numerics import FORMATS, HALF_DTYPES

Bound = Any  # float, or arb where magnitudes come near the largest binary64 number


_SMALL_EXPONENT = 1.0
_LARGEST_EXPONENT = 600.0  # whose power, over u, is still a binary64 number


class PrecisionTooLowError(ArithmeticError):
    """A sign or a comparison is not decided at this precision."""


@dataclass
class Arithmetic:
    """The dtype whose steps are followed, and the precision in bits.

    Bounds are in units of the dtype's unit roundoff u (`rounding`, `weakness`) or of what underflow may lose
    (`underflow`). `wide` carries them as balls, for magnitudes near the largest binary64 number.
    """

    dtype: str
    precision: int
    wide: bool = False

    def __post_init__(self) -> None:
        """Derive the dtype's limits."""
        self.zero: Bound = arb(0) if self.wide else 0.0
        layout = FORMATS[self.dtype]
        # The least number that rounds to infinity.
        self.threshold = (2 - arb(2) ** -layout.precision) * arb(2) ** (layout.max_exponent - 1)
        self.half = self.dtype in HALF_DTYPES
        # Sums in half dtypes belong in float32, whose range counts there.
        self.sum_threshold = self.threshold if not self.half else arb(2) ** FORMATS["float32"].max_exponent
        # A running sum kept in float32 is a known weakness; one kept in a half dtype is wrong.
        self.running = FORMATS["float32"].unit_roundoff / FORMATS[self.dtype].unit_roundoff if self.half else 1.0
        ctx.prec = self.precision

    def exact(self, number: float) -> Quantity:
        """An input: a number of the dtype, without error."""
        value = arb(number) if math.isfinite(number) else float(number)
        return Quantity(self, value, self.zero, self.zero, self.zero)

    def constant(self, number: arb | float) -> Quantity:
        """A scalar constant, rounded once to the dtype (0 and 1 are exact)."""
        value = arb(number)
        rounding = self.zero if value in (0, 1) else self.magnitude(value)
        return Quantity(self, value, rounding, self.zero, self.zero)

    def magnitude(self, value: arb | float) -> Bound:
        """|value| as a bound; 0 for special values, whose errors are never asked."""
        if isinstance(value, float):
            return self.zero
        return abs(value) if self.wide else abs(float(value))

    def overflows(self, value: arb | float) -> bool:
        """Whether a number rounds to infinity in the dtype."""
        return isinstance(value, arb) and bool(abs(value) >= self.threshold)


class Quantity:
    """A real number enclosed in a ball (or inf, -inf, nan as a float) with its running error bounds.

    The rules are those of Wilkinson's running error analysis (Higham, Accuracy and Stability of Numerical
    Algorithms, section 3.3), first order in u. Sign, maximum and selection are exact; what is written is one rounding.
    `overflowed` says that a step on the way here left the dtype's range.
    """

    __slots__ = ("arithmetic", "overflowed", "rounding", "underflow", "value", "weakness")

    def __init__(
        self,
        arithmetic: Arithmetic,
        value: arb | float,
        rounding: Bound,
        underflow: Bound,
        weakness: Bound,
        *,
        overflowed: bool = False,
    ) -> None:
        self.arithmetic = arithmetic
        self.value = value
        self.rounding = rounding
        self.underflow = underflow
        self.weakness = weakness
        self.overflowed = overflowed or arithmetic.overflows(value)

    def __neg__(self) -> Quantity:
        return Quantity(
            self.arithmetic, -self.value, self.rounding, self.underflow, self.weakness, overflowed=self.overflowed
        )

    def __add__(self, other: Quantity) -> Quantity:
        arithmetic = self.arithmetic
        value = _add(self.value, other.value)
        # Adding an exact zero rounds nothing.
        added = arithmetic.zero if self.is_zero() or other.is_zero() else arithmetic.magnitude(value)
        return Quantity(
            arithmetic,
            value,
            self.rounding + other.rounding + added,
            self.underflow + other.underflow,
            self.weakness + other.weakness,
            overflowed=self.overflowed or other.overflowed,
        )

    def __sub__(self, other: Quantity) -> Quantity:
        return self + -other

    def __mul__(self, other: Quantity) -> Quantity:
        arithmetic = self.arithmetic
        value = _multiply(self.value, other.value)
        a, b = arithmetic.magnitude(self.value), arithmetic.magnitude(other.value)
        return Quantity(
            arithmetic,
            value,
            arithmetic.magnitude(value) + b * self.rounding + a * other.rounding,
            1 + b * self.underflow + a * other.underflow,
            b * self.weakness + a * other.weakness,
            overflowed=self.overflowed or other.overflowed,
        )

    def __truediv__(self, other: Quantity) -> Quantity:
        arithmetic = self.arithmetic
        value = _divide(self.value, other.value)
        if isinstance(value, float) or isinstance(other.value, float):
            zero = arithmetic.zero
            return Quantity(arithmetic, value, zero, zero, zero, overflowed=self.overflowed or other.overflowed)
        quotient, b = arithmetic.magnitude(value), arithmetic.magnitude(other.value)
        return Quantity(
            arithmetic,
            value,
            quotient + self.rounding / b + quotient * (other.rounding / b),
            1 + self.underflow / b + quotient * (other.underflow / b),
            self.weakness / b + quotient * (other.weakness / b),
            overflowed=self.overflowed or other.overflowed,
        )

    def exp(self) -> Quantity:
        """e to this power; good to one ulp, hence 2 u."""
        arithmetic = self.arithmetic
        if isinstance(self.value, float):
            return arithmetic.exact(0.0 if self.value == -math.inf else self.value)
        value = self.value.exp()
        size = arithmetic.magnitude(value)
        return Quantity(
            arithmetic,
            value,
            2 * size + self._grown(value),
            1 + size * self.underflow,
            size * self.weakness,
            overflowed=self.overflowed,
        )

    def _grown(self, power: arb) -> Bound:
        """What the error of an exponent makes of e to it, in u: e^a (e^(uE) - 1) / u, about e^a E where uE is small."""
        arithmetic = self.arithmetic
        u = FORMATS[arithmetic.dtype].unit_roundoff
        if arithmetic.wide:
            return abs(power) * (arb(u) * self.rounding).expm1() / u
        lost = u * self.rounding
        if lost <= _SMALL_EXPONENT:
            return abs(float(power)) * (math.expm1(lost) / u)
        return math.exp(min(float(self.value) + lost, _LARGEST_EXPONENT)) / u

    def log(self) -> Quantity:
        """The natural logarithm; good to one ulp, hence 2 u."""
        arithmetic = self.arithmetic
        value = _log(self.value)
        if isinstance(value, float):
            return arithmetic.exact(value)
        a = arithmetic.magnitude(self.value)
        return Quantity(
            arithmetic,
            value,
            2 * arithmetic.magnitude(value) + self.rounding / a,
            self.underflow / a,
            self.weakness / a,
            overflowed=self.overflowed,
        )

    def weakened(self, weakness: Bound) -> Quantity:
        """The same number, `weakness` units of u further from it for those who take a known shortcut."""
        return Quantity(
            self.arithmetic,
            self.value,
            self.rounding,
            self.underflow,
            self.weakness + weakness,
            overflowed=self.overflowed,
        )

    def roughened(self, rounding: Bound) -> Quantity:
        """The same number, for those who take more roundings on another common way to it."""
        return Quantity(
            self.arithmetic,
            self.value,
            self.rounding + rounding,
            self.underflow,
            self.weakness,
            overflowed=self.overflowed,
        )

    def is_zero(self) -> bool:
        """Whether the number is exactly 0, by proof."""
        return isinstance(self.value, arb) and self.value.is_zero()

    def is_nan(self) -> bool:
        """Whether the number is NaN."""
        return isinstance(self.value, float) and math.isnan(self.value)

    def is_less(self, other: Self | float) -> bool:
        """Whether this number is below another one; raises PrecisionTooLowError where the balls overlap."""
        a, b = self.value, other.value if isinstance(other, Quantity) else arb(other)
        if isinstance(a, float) or isinstance(b, float):
            return _as_float(a) < _as_float(b)
        if a < b:
            return True
        if a >= b:
            return False
        raise PrecisionTooLowError


def total(terms: Sequence[Quantity], arithmetic: Arithmetic, copies: int = 1) -> Quantity:
    """A sum of n terms, added pairwise: ⌈log2 n⌉ roundings of the terms; one term is exact, a zero adds nothing.

    Each of `terms` comes `copies` times.
    """
    value: arb | float = arb(0)
    size, rounding, underflow, weakness = (arithmetic.zero,) * 4
    nonzero = 0
    for term in terms:
        value = _add(value, term.value)
        nonzero += not term.is_zero()
        size = size + arithmetic.magnitude(term.value)
        rounding = rounding + term.rounding
        underflow = underflow + term.underflow
        weakness = weakness + term.weakness
    if copies > 1:
        value, nonzero = value * copies, nonzero * copies
        size, rounding, underflow, weakness = (copies * each for each in (size, rounding, underflow, weakness))
    overflowed = any(term.overflowed for term in terms)
    if nonzero <= 1:
        return Quantity(arithmetic, value, rounding, underflow, weakness, overflowed=overflowed)
    depth = min((copies * len(terms) - 1).bit_length(), nonzero - 1)
    summed = Quantity(
        arithmetic,
        value,
        rounding + depth * size,
        underflow,
        weakness + arithmetic.running * nonzero * size,
    )
    # Some order of adding leaves the range as soon as all terms together do.
    summed.overflowed = overflowed or bool(arb(size) >= arithmetic.sum_threshold)
    return summed


def scaled_quotient(scale: Quantity, numerator: Quantity, denominator: Quantity) -> Quantity:
    """scale · numerator / denominator, where either step may come first: one may underflow, the other overflow."""
    quotient = scale * numerator / denominator
    quotient.overflowed = quotient.overflowed or (scale * (numerator / denominator)).overflowed
    return quotient


def product_sum(a: Sequence[Quantity], b: Sequence[Quantity], arithmetic: Arithmetic, copies: int = 1) -> Quantity:
    """An element of a matrix product, Σ a_i b_i, each term `copies` times: n roundings of n terms, in any order.

    No matrix product adds pairwise. Those of half dtypes multiply exactly, add in float32 and round once.
    """
    value: arb | float = arb(0)
    size, rounding, underflow, weakness = (arithmetic.zero,) * 4
    nonzero, overflowed = 0, False
    for a_i, b_i in zip(a, b, strict=True):
        term = _multiply(a_i.value, b_i.value)
        value = _add(value, term)
        first, second = arithmetic.magnitude(a_i.value), arithmetic.magnitude(b_i.value)
        nonzero += not (a_i.is_zero() or b_i.is_zero())
        size = size + first * second
        rounding = rounding + second * a_i.rounding + first * b_i.rounding
        underflow = underflow + second * a_i.underflow + first * b_i.underflow
        weakness = weakness + second * a_i.weakness + first * b_i.weakness
        overflowed = overflowed or a_i.overflowed or b_i.overflowed
        overflowed = overflowed or (not arithmetic.half and arithmetic.overflows(term))
    if copies > 1:
        value, nonzero = value * copies, nonzero * copies
        size, rounding, underflow, weakness = (copies * each for each in (size, rounding, underflow, weakness))
    rounding = rounding + arithmetic.running * nonzero * size
    if arithmetic.half:
        rounding = rounding + arithmetic.magnitude(value)
        # Whoever adds in the half dtype, even pairwise.
        weakness = weakness + (nonzero.bit_length() + 1) * size
    # Products of float16 cannot underflow in float32: only the last rounding can.
    lost = nonzero if FORMATS[arithmetic.dtype].flushed else min(nonzero, 1)
    return Quantity(arithmetic, value, rounding, underflow + lost, weakness, overflowed=overflowed)


def mean(terms: Sequence[Quantity], weights: Iterable[Quantity], arithmetic: Arithmetic, copies: int = 1) -> Quantity:
    """Sum of `terms` over the sum of `weights`; a count is a sum of ones."""
    return total(terms, arithmetic, copies) / total(list(weights), arithmetic, copies)


def _as_float(value: arb | float) -> float:
    if isinstance(value, float):
        return value
    if not value.is_exact() and value.contains(0):
        raise PrecisionTooLowError
    # Only the sign and whether it is zero matter beside a special value.
    return 0.0 if value.is_zero() else math.copysign(1.0, float(value.mid()))


def _add(a: arb | float, b: arb | float) -> arb | float:
    if isinstance(a, arb) and isinstance(b, arb):
        return a + b
    return _as_float_or_one(a) + _as_float_or_one(b)


def _as_float_or_one(value: arb | float) -> float:
    return value if isinstance(value, float) else 1.0


def _multiply(a: arb | float, b: arb | float) -> arb | float:
    if isinstance(a, arb) and isinstance(b, arb):
        return a * b
    return _as_float(a) * _as_float(b)


def _divide(a: arb | float, b: arb | float) -> arb | float:
    if isinstance(b, arb):
        if b.is_zero():
            numerator = _as_float(a)
            return math.nan if numerator == 0 or math.isnan(numerator) else math.copysign(math.inf, numerator)
        if b.contains(0):
            raise PrecisionTooLowError
        return a / b if isinstance(a, arb) else a / _as_float(b)
    if isinstance(a, arb):
        return math.nan if math.isnan(b) else arb(0)
    return math.nan


def _log(a: arb | float) -> arb | float:
    if isinstance(a, float):
        return a if a == math.inf else math.nan
    if a.is_zero():
        return -math.inf
    if a > 0:
        return a.log()
    if a < 0:
        return math.nan
    raise PrecisionTooLowError
