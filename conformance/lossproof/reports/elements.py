"""Expected and got, element by element, in decimal and hexadecimal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from lossproof.expected import Expected, decode
from lossproof.judge import distance, lawful_answer
from lossproof.numerics import Floats, round_to
from lossproof.processes.connect import Answered
from lossproof.session import Asked
from lossproof.spec.dialects import Dialect
from lossproof.spec.golden import Golden


@dataclass(frozen=True)
class Element:
    """One element of an answer beside its true value: position in C order, distance in ulps and in units of the bound.

    `nearest` is the number of the dtype next to the true value. The distances are words where they are none.
    """

    position: int
    expected: str
    nearest: float
    got: float
    ulps: str
    bounds: str


@dataclass(frozen=True)
class Compared:
    """The worst elements of one answer, in their order, and how many were compared of how many."""

    part: Golden
    worst: tuple[Element, ...]
    compared: int
    size: int


def elements(asked: Asked, dialects: Mapping[str, Dialect], most: int) -> Iterator[str]:
    """The worst elements first, at most `most` of them: index, both numbers, the distance."""
    for answer in compared(asked, dialects, most):
        if asked.golden.calls:
            yield f"{_parameters(answer.part)}:"
        yield f"{'index':>7}  {'expected':<27} {'got':<24} {'ulps':>9} {'of bound':>9}"
        for each in answer.worst:
            distances = f"{each.ulps:>9} {each.bounds:>9}".rstrip()
            yield f"{each.position:>7}  {each.expected:<27} {each.got!r:<24} {distances}"
            yield f"{'':>7}  {_hex(each.nearest):<27} {_hex(each.got):<24}".rstrip()
        if answer.compared > most:
            yield f"{'':>7}  … {answer.compared - most} more compared, of {answer.size} elements"


def compared(asked: Asked, dialects: Mapping[str, Dialect], most: int) -> Iterator[Compared]:
    """Each answer whose shape is right, beside what is lawful."""
    for part, reply in zip(asked.golden.parts, asked.replies, strict=False):
        answer = lawful_answer(part, dialects[part.operation])
        if "values" not in answer or not isinstance(reply, Answered) or reply.array is None:
            continue
        if (reply.shape or reply.array.shape) != part.shape:
            continue
        numbers = round_to(part.dtype, reply.array.astype(np.float64)).astype(np.float64).ravel()
        positions = np.arange(numbers.size) if part.positions is None else np.array(part.positions)
        # Of copies only the probes come back.
        got = numbers if part.copies > 1 else numbers[positions]
        lawful = [decode(each, part.dtype) for each in (answer, *answer.get("also", ()))]
        distances = np.stack([distance(got, expected, part.dtype) for expected in lawful])
        bounds = np.stack([_share(d, expected.bound) for d, expected in zip(distances, lawful, strict=True)])
        nearest = np.argmin(bounds, axis=0)
        worst = []
        for place in sorted(np.argsort(-np.min(bounds, axis=0), kind="stable")[:most].tolist()):
            expected, far = lawful[nearest[place]], distances[nearest[place], place]
            number, near = float(got[place]), bounds[nearest[place], place]
            closest = float(round_to(part.dtype, expected.high[place] / expected.scale[place]).astype(np.float64))
            ulps, of_bound = _ulps_and_bounds(number, far, near, expected, place)
            worst.append(Element(int(positions[place]), expected.decimals[place], closest, number, ulps, of_bound))
        yield Compared(part, tuple(worst), positions.size, numbers.size)


def _share(distances: Floats, units: Floats) -> Floats:
    """Distances in units; 0 where there is no distance, whatever the unit is."""
    with np.errstate(all="ignore"):
        shares: Floats = np.where(distances == 0, 0.0, np.nan_to_num(distances / units, nan=np.inf, posinf=np.inf))
    return shares


def _ulps_and_bounds(number: float, far: float, near: float, expected: Expected, place: int) -> tuple[str, str]:
    """The distance in two units, or a word where it is none between two numbers."""
    if not np.isfinite(far):
        return "differs", ""
    if np.isinf(number) and np.isfinite(expected.high[place]):
        # Overflow in the dtype: the truth rounds to infinity, or the bound reaches there.
        return "lawful", ""
    return f"{_share(np.array(far), expected.unit[place]):.3g}", f"{near:.3g}"


def _parameters(part: Golden) -> str:
    """What a call passes beside the inputs."""
    passed = [f"{name}={'…' if isinstance(value, dict) else repr(value)}" for name, value in part.parameters.items()]
    return f"{part.operation} with {', '.join(passed) or 'no parameters'}"


def _hex(number: float) -> str:
    return number.hex() if np.isfinite(number) else repr(number)
