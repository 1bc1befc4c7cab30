"""Expected and got, element by element, in decimal and hexadecimal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from lossproof.expected import Expected, decode
from lossproof.judge import distance, lawful_answer
from lossproof.numerics import Floats, round_to
from lossproof.processes.connect import Answered
from lossproof.session import Asked
from lossproof.spec.dialects import Dialect
from lossproof.spec.golden import Golden


def elements(asked: Asked, dialects: Mapping[str, Dialect], most: int) -> Iterator[str]:
    """The worst elements first, at most `most` of them: index, both numbers, the distance."""
    for part, reply in zip(asked.golden.parts, asked.replies, strict=False):
        answer = lawful_answer(part, dialects[part.operation])
        if "values" not in answer or not isinstance(reply, Answered) or reply.array is None:
            continue
        if (reply.shape or reply.array.shape) != part.shape:
            continue
        if asked.golden.calls:
            yield f"{_parameters(part)}:"
        yield f"{'index':>7}  {'expected':<27} {'got':<24} {'ulps':>9} {'of bound':>9}"
        numbers = round_to(part.dtype, reply.array.astype(np.float64)).astype(np.float64).ravel()
        positions = np.arange(numbers.size) if part.positions is None else np.array(part.positions)
        # Of copies only the probes come back.
        got = numbers if part.copies > 1 else numbers[positions]
        lawful = [decode(each, part.dtype) for each in (answer, *answer.get("also", ()))]
        distances = np.stack([distance(got, expected, part.dtype) for expected in lawful])
        bounds = np.stack([_share(d, expected.bound) for d, expected in zip(distances, lawful, strict=True)])
        nearest = np.argmin(bounds, axis=0)
        worst = np.argsort(-np.min(bounds, axis=0), kind="stable")[:most]
        for place in sorted(worst.tolist()):
            expected, far = lawful[nearest[place]], distances[nearest[place], place]
            number, near = float(got[place]), bounds[nearest[place], place]
            yield (
                f"{positions[place]:>7}  {expected.decimals[place]:<27} {number!r:<24} "
                f"{_ulps_and_bounds(number, far, near, expected, place)}"
            )
            closest = float(round_to(part.dtype, expected.high[place] / expected.scale[place]).astype(np.float64))
            yield f"{'':>7}  {_hex(closest):<27} {_hex(number):<24}".rstrip()
        if positions.size > most:
            yield f"{'':>7}  … {positions.size - most} more compared, of {numbers.size} elements"


def _share(distances: Floats, units: Floats) -> Floats:
    """Distances in units; 0 where there is no distance, whatever the unit is."""
    with np.errstate(all="ignore"):
        shares: Floats = np.where(distances == 0, 0.0, np.nan_to_num(distances / units, nan=np.inf, posinf=np.inf))
    return shares


def _ulps_and_bounds(number: float, far: float, near: float, expected: Expected, place: int) -> str:
    """The distance in two columns, or a word where it is none between two numbers."""
    if not np.isfinite(far):
        return f"{'differs':>9}"
    if np.isinf(number) and np.isfinite(expected.high[place]):
        # Overflow in the dtype: the truth rounds to infinity, or the bound reaches there.
        return f"{'lawful':>9}"
    return f"{_share(np.array(far), expected.unit[place]):>9.3g} {near:>9.3g}"


def _parameters(part: Golden) -> str:
    """What a call passes beside the inputs."""
    passed = [f"{name}={'…' if isinstance(value, dict) else repr(value)}" for name, value in part.parameters.items()]
    return f"{part.operation} with {', '.join(passed) or 'no parameters'}"


def _hex(number: float) -> str:
    return number.hex() if np.isfinite(number) else repr(number)
