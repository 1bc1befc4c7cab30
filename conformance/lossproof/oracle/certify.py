"""Certified answers: decimals proved to 25 digits, with the error bounds of the reference algorithm."""

from __future__ import annotations

import importlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Context, Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
from flint import arb

from lossproof.numerics import FORMATS, ulp
from lossproof.oracle.arithmetic import Arithmetic, PrecisionTooLowError, Quantity
from lossproof.oracle.problem import Parameter, Problem, RefusedError, UndefinedError

ORACLE_VERSION = "1"
DIGITS = 25
_PLAIN = 6  # Numbers up to a million, and down to a millionth, are written without an exponent.
MOST_JUMPS = 4
PRECISIONS = (192, 384, 768, 1536, 3072, 6144, 12288)
_CONTEXT = Context(prec=DIGITS)
# Half of float64's smallest subnormal: nothing below it is told from 0 in any dtype.
_NOTHING = arb(2) ** -1075
# Near the largest binary64 number a bound no longer fits a binary64 number.
_WIDE = 2.0**900


@dataclass(frozen=True)
class Probes:
    """Which elements of a large answer are kept, and which runs of elements (start, stop) are summed."""

    positions: Sequence[int]
    runs: Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Numbers:
    """Elements as decimals ("nan", "inf", "-inf" for special values) with bounds in units of u and of underflow."""

    values: tuple[str, ...]
    rounding: tuple[float, ...]
    underflow: tuple[float, ...]
    weakness: tuple[float, ...]


@dataclass(frozen=True)
class Sums:
    """Sums over runs of elements; `ulps` is the sum of the elements' ulps."""

    numbers: Numbers
    ulps: tuple[float, ...]


@dataclass(frozen=True)
class Certified:
    """The answer under `rules` (only those that mattered), by what proof, with further lawful answers."""

    rules: Mapping[str, str]
    bits: int
    numbers: Numbers | None = None
    sums: Sums | None = None
    alternatives: tuple[tuple[Numbers, Sums | None], ...] = ()
    raises: str | None = None
    undefined: str | None = None


@dataclass(frozen=True)
class Asked:
    """A question to the oracle: inputs as binary64 or integer arrays that hold numbers of `dtype` exactly.

    `mapped` inputs, cotangent and direction have one more leading axis: the answer is that of each slice, in order.
    `copies` is how often the implementation gets each row (of inputs that are stated with one).
    """

    operation: str
    dtype: str
    inputs: Mapping[str, npt.NDArray[Any]]
    parameters: Mapping[str, Parameter]
    cotangent: npt.NDArray[np.float64] | None = None
    probes: Probes | None = None
    question: str = "value"
    direction: npt.NDArray[np.float64] | None = None
    mapped: bool = False
    copies: int = 1


@dataclass
class _Trail:
    """The rules that one evaluation asked for, and what it met on its way."""

    decided: Mapping[str, str]
    home: Mapping[str, str]
    asked: dict[str, str] = field(default_factory=dict)
    jumps: int = 0

    def rule(self, name: str) -> str:
        self.asked[name] = self.decided.get(name, self.home[name])
        return self.asked[name]

    def meet_jumps(self, count: int) -> None:
        if count > MOST_JUMPS:
            raise UndefinedError(f"{count} numbers of a row lie at a jump")
        self.jumps = max(self.jumps, count)


def certify(asked: Asked, home: Mapping[str, str], choices: Mapping[str, Sequence[str]]) -> list[Certified]:
    """One answer for every combination of values of the rules that matter, the home dialect's first."""
    answers = []
    pending: list[dict[str, str]] = [{}]
    while pending:
        decided = pending.pop(0)
        trail = _Trail(decided, home)
        answers.append(_certify_one(asked, trail))
        fresh = [name for name in trail.asked if name not in decided]
        for position, name in enumerate(fresh):
            before = {earlier: trail.asked[earlier] for earlier in fresh[:position]}
            pending += [{**decided, **before, name: other} for other in choices[name] if other != trail.asked[name]]
    return answers


def _certify_one(asked: Asked, trail: _Trail) -> Certified:
    for precision in PRECISIONS:
        try:
            return _at_precision(asked, trail, precision)
        except PrecisionTooLowError:
            trail.asked.clear()
        except RefusedError as why:
            return Certified(dict(trail.asked), precision, raises=str(why))
        except UndefinedError as why:
            return Certified(dict(trail.asked), precision, undefined=str(why))
    raise ArithmeticError(f"{asked.operation} [{asked.dtype}]: not decided at {PRECISIONS[-1]} bits")


def _at_precision(asked: Asked, trail: _Trail, precision: int) -> Certified:
    arithmetic = Arithmetic(asked.dtype, precision, wide=_is_wide(asked))
    numbers, sums = _kept(_evaluate(asked, trail, arithmetic, reading=0), asked)
    alternatives = []
    for inputs, reading in _lawful_readings(asked, trail):
        other = _kept(_evaluate(inputs, trail, arithmetic, reading=reading), asked)
        if other[0].values != numbers.values:
            alternatives.append(other)
    return Certified(dict(trail.asked), precision, numbers, sums, tuple(alternatives))


def _evaluate(asked: Asked, trail: _Trail, arithmetic: Arithmetic, *, reading: int) -> list[Quantity]:
    oracle = importlib.import_module(f"lossproof.oracle.{asked.operation}")
    answer: Callable[[Problem], list[Quantity]] = getattr(oracle, asked.question.replace("-", "_"))
    elements = [
        element
        for part in (_slices(asked) if asked.mapped else (asked,))
        for element in answer(
            Problem(
                arithmetic,
                part.inputs,
                part.parameters,
                trail.rule,
                part.cotangent,
                part.direction,
                part.copies,
                reading,
                trail.meet_jumps,
            )
        )
    ]
    if any(_fits_after_overflow(element) for element in elements):
        raise UndefinedError(f"a step of the reference algorithm overflows {asked.dtype} although the result does not")
    return elements


def _slices(asked: Asked) -> Iterator[Asked]:
    """One question for each position along the leading axis."""
    for position in range(len(next(iter(asked.inputs.values())))):
        yield replace(
            asked,
            inputs={name: tensor[position] for name, tensor in asked.inputs.items()},
            cotangent=None if asked.cotangent is None else asked.cotangent[position],
            direction=None if asked.direction is None else asked.direction[position],
        )


def _is_wide(asked: Asked) -> bool:
    tensors = itertools.chain(asked.inputs.values(), asked.parameters.values(), (asked.cotangent, asked.direction))
    return asked.dtype == "float64" and any(
        isinstance(tensor, np.ndarray) and np.max(abs(tensor), initial=0, where=np.isfinite(tensor)) > _WIDE
        for tensor in tensors
    )


def _fits_after_overflow(element: Quantity) -> bool:
    return element.overflowed and not element.arithmetic.overflows(element.value)


def _lawful_readings(asked: Asked, trail: _Trail) -> Iterator[tuple[Asked, int]]:
    """The same question with subnormal inputs read as zero, with jumps on their other sides, and both.

    Rows do not meet in a result with jumps, so that every combination of sides within a row is enough.
    """
    flushed = _without_subnormals(asked)
    for reading in range(2**trail.jumps):
        if reading:
            yield asked, reading
        if flushed is not None:
            yield flushed, reading


def _without_subnormals(asked: Asked) -> Asked | None:
    """The question with subnormal inputs as zero; None where there are none, or nobody flushes the dtype."""
    if not FORMATS[asked.dtype].flushed:
        return None
    smallest = FORMATS[asked.dtype].smallest_normal
    found = False

    def flush(tensor: Any) -> Any:
        nonlocal found
        if not isinstance(tensor, np.ndarray) or not np.issubdtype(tensor.dtype, np.floating):
            return tensor
        subnormal = (tensor != 0) & (abs(tensor) < smallest)
        found = found or bool(subnormal.any())
        return np.where(subnormal, 0.0, tensor)

    flushed = replace(
        asked,
        inputs={name: flush(tensor) for name, tensor in asked.inputs.items()},
        parameters={name: flush(value) for name, value in asked.parameters.items()},
        cotangent=flush(asked.cotangent),
        direction=flush(asked.direction),
    )
    return flushed if found else None


def _kept(elements: list[Quantity], asked: Asked) -> tuple[Numbers, Sums | None]:
    if asked.probes is None:
        return _numbers(elements), None
    sums = [_summed(elements[start:stop], asked.dtype) for start, stop in asked.probes.runs]
    return (
        _numbers([elements[position] for position in asked.probes.positions]),
        Sums(_numbers([quantity for quantity, _ in sums]), tuple(_rounded_up(ulps) for _, ulps in sums)),
    )


def _summed(elements: list[Quantity], dtype: str) -> tuple[Quantity, float]:
    """The exact sum of a run: a question about its elements, so that adding them costs nothing."""
    arithmetic, zero = elements[0].arithmetic, elements[0].arithmetic.zero
    special = [element.value for element in elements if isinstance(element.value, float)]
    finite = sum((element.value for element in elements if not isinstance(element.value, float)), start=arb(0))
    exact = Quantity(
        arithmetic,
        float(np.sum(special)) if special else finite,
        sum((element.rounding for element in elements), start=zero),
        sum((element.underflow for element in elements), start=zero),
        sum((element.weakness for element in elements), start=zero),
    )
    sizes = np.array([float(element.value) for element in elements])
    return exact, float(ulp(dtype, sizes[np.isfinite(sizes)]).sum())


def _numbers(elements: Sequence[Quantity]) -> Numbers:
    return Numbers(
        tuple(decimal(element) for element in elements),
        tuple(_rounded_up(element.rounding) for element in elements),
        tuple(_rounded_up(element.underflow) for element in elements),
        tuple(_rounded_up(element.weakness) for element in elements),
    )


def _rounded_up(bound: Any) -> float:
    """A bound with three digits, not below the true one (its binary64 sums are off by far less than 1e-9)."""
    if isinstance(bound, arb):
        bound = min(float(bound.upper()), FORMATS["float64"].largest / 2)
    if not math.isfinite(bound):
        return FORMATS["float64"].largest
    padded = bound * (1 + 1e-9)
    rounded = float(f"{padded:.2e}")
    return rounded if rounded >= padded else float(f"{padded * 1.005:.2e}")


def decimal(element: Quantity) -> str:
    """The number, correctly rounded to 25 significant digits by proof; raises PrecisionTooLowError without one."""
    value = element.value
    if isinstance(value, float):
        return repr(value)
    if value.is_zero() or abs(value) < _NOTHING:
        return "0"
    low, high = _ends(value)
    first, second = _dyadic_decimal(*low), _dyadic_decimal(*high)
    if first != second and not _is_tie(value):
        raise PrecisionTooLowError
    return _written(first)


def _ends(value: arb) -> tuple[tuple[int, int], tuple[int, int]]:
    """Both ends of a ball, or of a slightly wider one, as exact (mantissa, exponent) pairs of powers of two."""
    mid_mantissa, mid_exponent = (int(part) for part in value.mid().man_exp())
    rad_mantissa, rad_exponent = (int(part) for part in value.rad().man_exp())
    if not rad_mantissa:
        return (mid_mantissa, mid_exponent), (mid_mantissa, mid_exponent)
    # Of a radius that is next to nothing one more bit is taken, far below the digits that count.
    least = mid_exponent - PRECISIONS[-1]
    if rad_exponent < least:
        rad_mantissa, rad_exponent = (rad_mantissa >> min(least - rad_exponent, rad_mantissa.bit_length())) + 1, least
    exponent = min(mid_exponent, rad_exponent)
    middle = mid_mantissa << (mid_exponent - exponent)
    radius = rad_mantissa << (rad_exponent - exponent)
    return (middle - radius, exponent), (middle + radius, exponent)


def _dyadic_decimal(mantissa: int, exponent: int) -> Decimal:
    if exponent >= 0:
        return _CONTEXT.create_decimal(mantissa << exponent)
    # Beyond 200 bits the digits that are dropped cannot matter: both ends of the ball are rounded alike.
    return _CONTEXT.create_decimal(Decimal(mantissa * 5**-exponent).scaleb(exponent, Context(prec=100_000)))


def _is_tie(value: arb) -> bool:
    """Whether the ball is so small that only a number with exactly 26 digits can leave its rounding open."""
    return bool(value.rel_accuracy_bits() > 1000)


def _written(number: Decimal) -> str:
    plain = number.normalize(_CONTEXT)
    return format(plain, "f") if -_PLAIN <= plain.adjusted() <= _PLAIN else str(plain)
