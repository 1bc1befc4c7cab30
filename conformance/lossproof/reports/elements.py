"""Expected and got, element by element, in decimal and hexadecimal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from lossproof.connect import Answered
from lossproof.expected import decode
from lossproof.judge import stored_answer
from lossproof.numerics import round_to
from lossproof.run import Asked


def elements(asked: Asked, rules: Mapping[str, str], most: int) -> Iterator[str]:
    """The worst elements first, at most `most` of them: index, both numbers, the distance."""
    for part, reply in zip(asked.golden.calls or (asked.golden,), asked.replies, strict=False):
        answer = stored_answer(part, rules)
        if "values" not in answer or not isinstance(reply, Answered) or reply.array is None:
            continue
        if reply.array.shape != part.shape:
            continue
        yield f"{'index':>7}  {'expected':<27} {'got':<24} {'ulps':>9} {'of bound':>9}"
        expected = decode(answer, part.dtype)
        got = round_to(part.dtype, reply.array.astype(np.float64)).astype(np.float64).ravel()
        positions = np.arange(got.size) if part.positions is None else np.array(part.positions)
        with np.errstate(all="ignore"):
            distance = np.abs((got[positions] * expected.scale - expected.high) - expected.low)
            ulps, bounds = distance / expected.unit, np.where(distance == 0, 0, distance / expected.bound)
        order = np.argsort(-np.nan_to_num(bounds, nan=np.inf), kind="stable")[:most]
        for place in sorted(order.tolist()):
            number = float(got[positions[place]])
            yield (
                f"{positions[place]:>7}  {expected.decimals[place]:<27} {number!r:<24} "
                f"{ulps[place]:>9.3g} {bounds[place]:>9.3g}"
            )
            nearest = float(round_to(part.dtype, expected.high[place] / expected.scale[place]).astype(np.float64))
            yield f"{'':>7}  {_hex(nearest):<27} {_hex(number):<24}"
        if positions.size > most:
            yield f"{'':>7}  … {positions.size - most} more compared, of {got.size} elements"


def _hex(number: float) -> str:
    return number.hex() if np.isfinite(number) else repr(number)
