"""The judge: an answer beside a golden gives a judgement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lossproof.expected import Expected, decode
from lossproof.numerics import FORMATS, Floats, overflow_threshold, round_to, ulp
from lossproof.outcome import GRADES, Judgement, Outcome
from lossproof.processes.connect import Answered, Crashed, Raised, Reply, TimedOut, Unsupported
from lossproof.relations import Side, sides
from lossproof.spec.dialects import Dialect
from lossproof.spec.golden import Golden

Rules = Mapping[str, str]


def judge(
    golden: Golden, replies: Sequence[Reply], dialects: Mapping[str, Dialect], device: str | None = None
) -> Judgement:
    """What the replies to a golden (one, or one for each call of a relation) are worth.

    `dialects` say by operation what is lawful. `device` is where the answer of a contract must lie, as the bridge
    writes it; None where nobody says.
    """
    parts = [
        _judge_reply(part, reply, dialects[part.operation], device)
        for part, reply in zip(golden.parts, replies, strict=False)
    ]
    if not golden.calls:
        return parts[0]
    failed = [part for part in parts if part.outcome not in GRADES or part.outcome is Outcome.WRONG]
    return failed[0] if failed else max([*parts, _judge_relation(golden, replies, dialects)], key=_grade)


def _grade(judgement: Judgement) -> tuple[int, float]:
    return GRADES.index(judgement.outcome), judgement.bounds


def _judge_reply(golden: Golden, reply: Reply, dialect: Dialect, device: str | None) -> Judgement:
    match reply:
        case Unsupported(reason=reason):
            return Judgement(Outcome.UNSUPPORTED, reason=reason)
        case Crashed(reason=reason):
            return Judgement(Outcome.CRASHED, reason=reason)
        case TimedOut(seconds=seconds):
            return Judgement(Outcome.TIMED_OUT, reason=f"no answer within {seconds:g} s")
        case Raised():
            return _judge_refusal(golden, reply, dialect)
        case Answered():
            return _judge_answer(golden, reply, dialect, device)
    raise TypeError(f"expected a reply to a golden, got {reply!r}")


def _judge_relation(golden: Golden, replies: Sequence[Reply], dialects: Mapping[str, Dialect]) -> Judgement:
    """Whether calls agree: within the sum of the distances that each may lawfully have from its own truth."""
    stable, loose = [], []
    for part, reply in zip(golden.calls, replies, strict=True):
        assert isinstance(reply, Answered)
        assert reply.array is not None
        numbers = rounded(reply.array, golden.dtype)
        truth = decode(lawful_answer(part, dialects[part.operation]), golden.dtype)
        stable.append(Side(part, numbers, truth.stable / truth.scale))
        loose.append(Side(part, numbers, truth.loose / truth.scale))
    compared = sides(golden, stable)
    if not compared.right.size:
        return Judgement(Outcome.ACCURATE, 0.0, 0.0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        gap = np.abs(compared.left - compared.right)
        left, right = _overflowed(compared.left, golden.dtype), _overflowed(compared.right, golden.dtype)
        same = (left == right) | (np.isnan(left) & np.isnan(right))
        gap = np.where(same, 0.0, np.where(np.isfinite(gap), gap, np.inf))
        units = ulp(golden.dtype, np.where(np.isfinite(compared.right), compared.right, 0.0))
        bounds = np.where(gap == 0, 0.0, gap / compared.bound)
    worst = int(np.argmax(bounds))
    lawful = (np.minimum(4 * units, compared.bound), compared.bound, sides(golden, loose).bound)
    grade = next((GRADES[level] for level, bound in enumerate(lawful) if (gap <= bound).all()), Outcome.WRONG)
    return Judgement(
        grade,
        float((gap / units)[worst]),
        float(bounds[worst]),
        str(worst),
        repr(float(compared.left[worst])),
        repr(float(compared.right[worst])),
        f"the relation {golden.relation['name']} does not hold" if grade is Outcome.WRONG and golden.relation else "",
    )


def _overflowed(numbers: Floats, dtype: str) -> Floats:
    """The numbers, with infinity for those that the dtype does not hold: an answer joined of several may be one."""
    threshold = overflow_threshold(dtype)
    return np.where(np.abs(numbers) >= threshold, np.copysign(np.inf, numbers), numbers)


def stored_answer(golden: Golden, rules: Rules) -> Mapping[str, Any]:
    """The answer that a golden stores for these rules."""
    return next(
        answer for answer in golden.answers if all(rules[name] == value for name, value in answer["rules"].items())
    )


def lawful_answer(golden: Golden, dialect: Dialect) -> Mapping[str, Any]:
    """The answer that a golden stores for a dialect."""
    return stored_answer(golden, dialect.operations[golden.operation])


def kind_of(golden: Golden, dialects: Mapping[str, Dialect]) -> str:
    """The kind that a golden is under dialects, by operation.

    What the dialect, or overflow in this dtype, leaves open is a hazard; a property that the dialect does not promise
    is a property. Neither ever gates.
    """
    if golden.kind == "hazard" or any("undefined" in lawful_answer(p, dialects[p.operation]) for p in golden.parts):
        return "hazard"
    if golden.relation and golden.relation.get("promise", "") not in ("", *dialects[golden.operation].promises):
        return "property"
    return golden.kind


def leaves_bad_values_open(golden: Golden, dialects: Mapping[str, Dialect]) -> bool:
    """Whether a dialect leaves open what bad values do: a label may then be used as an index, whatever it points at."""
    answers = [lawful_answer(part, dialects[part.operation]) for part in golden.parts]
    return any("undefined" in answer and "bad_values" in answer["rules"] for answer in answers)


def _judge_refusal(golden: Golden, reply: Raised, dialect: Dialect) -> Judgement:
    said = f"{reply.type}: {reply.message}"
    if "raises" in lawful_answer(golden, dialect):
        return Judgement(Outcome.ACCURATE, reason=said)
    if any(tensor["dtype"] not in (*FORMATS, *dialect.label_dtypes) for tensor in golden.inputs.values()):
        return Judgement(Outcome.UNSUPPORTED, reason=f"refuses this label dtype, as its dialect allows ({said})")
    return Judgement(Outcome.RAISED, reason=said)


def _judge_answer(golden: Golden, reply: Answered, dialect: Dialect, device: str | None) -> Judgement:
    answer = lawful_answer(golden, dialect)
    fault = _fault(golden, answer, reply, dialect, device)
    if fault:
        return Judgement(Outcome.WRONG, reason=fault)
    if "undefined" in answer:
        return Judgement(Outcome.UNJUDGED, reason=answer["undefined"])
    assert reply.array is not None, "no array is a fault"
    numbers = rounded(reply.array, golden.dtype)
    judgement = compare(numbers, golden, answer)
    if judgement.outcome is not Outcome.WRONG:
        return judgement
    return replace(judgement, fingerprint=_other_rules(numbers, golden, answer))


def _fault(golden: Golden, answer: Mapping[str, Any], reply: Answered, dialect: Dialect, device: str | None) -> str:
    """What is wrong with an answer whatever its numbers are; "" where nothing is."""
    changed = [input_name(golden, each) for each in reply.changed]
    # What a dialect is known to overwrite is the fault of the cases that are about it, and hides no other.
    if changed and (golden.kind == "contract" or not {*changed} <= {*dialect.overwrites}):
        return f"overwrote its input {', '.join(changed)}"
    if "raises" in answer:
        return f"answered where it must refuse: {answer['raises']}"
    if reply.array is None:
        return f"answered a {reply.type}, expected an array of shape {golden.shape}"
    if golden.kind == "contract" and None not in (device, reply.device) and reply.device != device:
        return f"answered on the device {reply.device}, expected {device}"
    if "undefined" in answer:
        return ""
    return _misfit(golden, reply.array, reply.shape or reply.array.shape, dialect)


def input_name(golden: Golden, changed: str) -> str:
    """The name of what was overwritten: inputs come by position."""
    return [*golden.inputs][int(changed)] if changed.isdigit() else changed


def holds(wider: str, dtype: str) -> bool:
    """Whether a dtype holds every number of another."""
    return np.can_cast(FORMATS[dtype].storage, FORMATS[wider].storage) if wider in FORMATS else False


def _misfit(golden: Golden, got: npt.NDArray[Any], shape: tuple[int, ...], dialect: Dialect) -> str:
    if shape != golden.shape:
        return f"answered the shape {shape}, expected {golden.shape}"
    if golden.kind != "contract" or golden.transform == "autocast" or str(got.dtype) == golden.dtype:
        return ""
    if dialect.wider_results and holds(str(got.dtype), golden.dtype):
        return ""
    return f"answered the dtype {got.dtype}, expected {golden.dtype}"


def compare(numbers: Floats, golden: Golden, answer: Mapping[str, Any]) -> Judgement:
    """The grade of the worst element, each beside the lawful answer that it is nearest to.

    `numbers` are the answer's elements in C order, as binary64 numbers that the dtype holds.
    """
    # Of copies only the probes come back.
    whole = golden.positions is None or golden.copies > 1
    asked = numbers if whole else numbers[list(golden.positions or ())]
    lawful = [answer, *answer.get("also", ())]
    judgement = _worst(asked, [decode(each, golden.dtype) for each in lawful], golden.dtype, golden.positions)
    if not golden.runs:
        return judgement
    sums = np.array([_exact_sum(numbers[start:stop]) for start, stop in golden.runs])
    # A sum is a question of the judge's: it is no number of the dtype, and does not overflow there.
    of_sums = _worst(sums, [decode(each["sums"], golden.dtype) for each in lawful], "float64", None)
    if GRADES.index(of_sums.outcome) <= GRADES.index(judgement.outcome):
        return judgement
    start, stop = golden.runs[int(of_sums.where)]
    return Judgement(
        of_sums.outcome, of_sums.ulps, of_sums.bounds, f"sum of [{start}:{stop}]", of_sums.expected, of_sums.got
    )


def _worst(numbers: Floats, lawful: Sequence[Expected], dtype: str, positions: Sequence[int] | None) -> Judgement:
    if not numbers.size:
        return Judgement(Outcome.ACCURATE, 0.0, 0.0)
    gaps = [distance(numbers, expected, dtype) for expected in lawful]
    # Most answers are accurate throughout, which takes one comparison to see.
    if (gaps[0] <= lawful[0].accurate).all():
        return _evidence(numbers, gaps[0], lawful[0], int((gaps[0] / lawful[0].unit).argmax()), 0, positions)
    levels = np.stack([_levels(gap, expected) for gap, expected in zip(gaps, lawful, strict=True)])
    nearest, level = levels.argmin(axis=0), levels.min(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        ulps = np.stack([gap / expected.unit for gap, expected in zip(gaps, lawful, strict=True)])
    worst = int(np.lexsort((np.take_along_axis(ulps, nearest[None], 0)[0], level))[-1])
    chosen = int(nearest[worst])
    return _evidence(numbers, gaps[chosen], lawful[chosen], worst, int(level[worst]), positions)


def _evidence(
    numbers: Floats, gap: Floats, expected: Expected, worst: int, level: int, positions: Sequence[int] | None
) -> Judgement:
    """The judgement that the worst element makes."""
    off, bound = float(gap[worst]), float(expected.bound[worst])
    return Judgement(
        GRADES[level],
        off / float(expected.unit[worst]),
        0.0 if off == 0 else off / bound if bound else math.inf,
        str(worst if positions is None else positions[worst]),
        expected.decimals[worst],
        repr(float(numbers[worst])),
    )


def _levels(gap: Floats, expected: Expected) -> npt.NDArray[np.intp]:
    """Index of each element's grade."""
    return (
        (gap > expected.accurate).astype(np.intp)
        + (gap > expected.stable).astype(np.intp)
        + (gap > expected.loose).astype(np.intp)
    )


def distance(numbers: Floats, expected: Expected, dtype: str) -> Floats:
    """|answer - truth|, scaled as `expected` is; 0 between equal special values, infinite beside a number."""
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.abs((numbers * expected.scale - expected.high) - expected.low)
    if np.isfinite(gap).all() and (np.abs(expected.high) < _largest(dtype) * expected.scale).all():
        return gap
    gap = np.where(np.isfinite(gap), gap, np.inf)
    same = (numbers == expected.high) & (expected.scale == 1) | (np.isnan(numbers) & np.isnan(expected.high))
    gap = np.where(same & ~np.isfinite(expected.high), 0.0, gap)
    return _beside_overflow(gap, numbers, expected, dtype)


def _beside_overflow(gap: Floats, numbers: Floats, expected: Expected, dtype: str) -> Floats:
    """Infinity is right where the truth rounds to it, and lawful where the bound reaches over that threshold."""
    with np.errstate(over="ignore", invalid="ignore"):
        sign = np.sign(expected.high)
        same_side = np.isinf(numbers) & (np.sign(numbers) == sign) & np.isfinite(expected.high)
        missing = _below_overflow(np.abs(expected.high), expected.low * sign, expected.scale, dtype)
        lawful = same_side & (missing <= 2 * expected.bound)
    return np.where(lawful, np.where(missing <= 0, 0.0, expected.stable), gap)


def _below_overflow(size: Floats, low: Floats, scale: Floats, dtype: str) -> Floats:
    """How far size + low lies below the least number that rounds to infinity, scaled as they are."""
    threshold = overflow_threshold(dtype)
    if math.isfinite(threshold):
        return (threshold * scale - size) - low
    # 2**1024 - 2**970: neither is a binary64 number unless scaled, which all numbers near it are.
    scaled = np.where(scale < 1, scale, 0.0)
    missing = (scaled * 2.0**1000 * 2.0**24 - size) - (low + scaled * 2.0**970)
    return np.where(scale < 1, missing, np.inf)


def _largest(dtype: str) -> float:
    return FORMATS[dtype].largest


def rounded(answer: npt.NDArray[Any], dtype: str) -> Floats:
    """The answer's elements in C order as numbers of the dtype: a wider float is judged by its value, rounded once."""
    numbers = answer.ravel()
    if numbers.dtype == FORMATS[dtype].storage:
        return numbers.astype(np.float64)
    return round_to(dtype, numbers.astype(np.float64)).astype(np.float64)


def _exact_sum(numbers: Floats) -> float:
    """The sum, rounded once; special values follow IEEE 754."""
    if not np.isfinite(numbers).all():
        return float(np.sum(numbers))
    try:
        return math.fsum(numbers)
    except OverflowError:
        return math.copysign(math.inf, float(np.sum(numbers / numbers.size)))


def _other_rules(numbers: Floats, golden: Golden, answer: Mapping[str, Any]) -> str:
    """The rule values that give exactly this answer, if another dialect's do; "" where none."""
    for other in golden.answers:
        if other is answer or "values" not in other:
            continue
        if compare(numbers, golden, other).outcome in (Outcome.ACCURATE, Outcome.STABLE):
            names = [f"{name}: {value}" for name, value in other["rules"].items() if answer["rules"].get(name) != value]
            return f"equals the answer of the rule {', '.join(names)}"
    return ""
