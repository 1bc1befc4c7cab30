"""Name the known faults that give exactly a wrong answer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lossproof.fingerprints.evidence import Elements, distance, is_evidence, is_narrow_by_chance
from lossproof.fingerprints.fault import Fault
from lossproof.fingerprints.faults import FAULTS
from lossproof.fingerprints.formula import evaluate
from lossproof.fingerprints.loss import OPERATIONS, Loss, read
from lossproof.fingerprints.numbers import EXTENDED, ROUGH, Arithmetic, Array
from lossproof.numerics import FORMATS, HALF_DTYPES, Floats, overflow_threshold, round_to, ulp
from lossproof.spec.golden import Golden

LARGEST = 2_000_000
MOST_NAMES = 3


def name_fault(golden: Golden, numbers: Floats, rules: Mapping[str, str]) -> str:
    """The known faults whose answer `numbers` are, joined by "or"; "" where none is.

    `numbers` are a wrong answer's elements in C order, or those at the golden's positions, as the dtype holds them.
    """
    return " or ".join(matching_faults(golden, numbers, rules)[:MOST_NAMES])


def matching_faults(golden: Golden, numbers: Floats, rules: Mapping[str, str]) -> list[str]:
    """The names of all known faults that give this answer, in the order of the list."""
    if not _is_tried(golden, numbers):
        return []
    tried = faults_of(golden.operation)
    with np.errstate(all="ignore"):
        wrong = _Wrong(replace(read(golden, rules), arithmetic=ROUGH), numbers, golden.positions, len(tried))
        return [fault.name for fault in tried if wrong.is_of(fault)]


def faults_of(operation: str) -> list[Fault]:
    """The faults that are tried for an operation."""
    return [fault for fault in FAULTS if operation in fault.operations]


def _is_tried(golden: Golden, numbers: Floats) -> bool:
    return (
        golden.operation in OPERATIONS
        and golden.question in ("value", "gradient")
        and golden.kind != "raises"
        and golden.after is None
        and golden.transform != "vmap"
        and golden.copies == 1
        and numbers.size in (math.prod(golden.shape), len(golden.positions or ()))
        and max(math.prod(stored["shape"]) for stored in golden.inputs.values()) <= LARGEST
        and _holds_an_ordinary_number(numbers)
    )


def _holds_an_ordinary_number(numbers: Floats) -> bool:
    """Nothing but NaN, infinities and zeros is no evidence: whatever goes wrong may end there."""
    return bool((np.isfinite(numbers) & (numbers != 0)).any())


@dataclass(frozen=True, eq=False)
class _Wrong:
    """A wrong answer beside the right loss, in rough arithmetic, for which so many faults are tried."""

    right: Loss
    numbers: Floats
    positions: tuple[int, ...] | None
    tried: int

    @cached_property
    def truth(self) -> Elements:
        """The right answer."""
        return self._bounded(self.right, EXTENDED, self.right.dtype)

    def is_of(self, fault: Fault) -> bool:
        """Whether the fault gives this answer, on the bits up to its bound, and the right formula does not."""
        changed = fault.change(self.right)
        if changed is None:
            return False
        if fault.narrow:
            return self._is_narrow(changed, fault.narrow)
        if fault.steps:
            return any(self._is_of_steps(changed, arithmetic) for arithmetic in _steps(fault, changed.dtype))
        return self._is_of_formula(changed)

    def _is_of_formula(self, changed: Loss) -> bool:
        """Every element within the bound of the faulty formula, and some faulty ones beyond both bounds."""
        if not self._is_near(self._values(changed)):
            return False
        faulty, truth = self._bounded(changed, EXTENDED, changed.dtype), self.truth
        if (distance(self.numbers, faulty.value) > faulty.bound).any():
            return False
        departs = distance(faulty.value, truth.value) > faulty.bound + truth.bound
        return is_evidence(departs, faulty, truth, self.tried)

    def _is_of_steps(self, changed: Loss, arithmetic: Arithmetic) -> bool:
        """Where the steps leave the truth the answer has their bits, elsewhere it is right.

        The right steps, taken in the same way, give another answer there.
        """
        value = self._in_steps(changed, arithmetic)
        if not self._is_near(value):
            return False
        departs = distance(value, self.truth.value) > self.truth.bound
        if not departs.any():
            return False
        slack = np.where(departs, 0, self.truth.bound)
        if (distance(self.numbers, np.where(departs, value, self.truth.value)) > slack).any():
            return False
        usual = replace(arithmetic, sums=arithmetic.storage, running=arithmetic.running and changed is not self.right)
        departs &= distance(value, self._in_steps(self.right, usual)) > 0
        return is_evidence(departs, Elements(value, ulp(changed.dtype, value) / 2), self.truth, self.tried)

    def _in_steps(self, loss: Loss, arithmetic: Arithmetic) -> Array:
        values = self._values(replace(loss, arithmetic=arithmetic)).astype(np.float64)
        return round_to(loss.dtype, values).astype(np.float64)

    def _is_narrow(self, loss: Loss, dtype: str) -> bool:
        """Every element is a number of the narrower dtype, as right as that allows; some are wrong otherwise."""
        if (distance(self.numbers, round_to(dtype, self.numbers).astype(np.float64)) > 0).any():
            return False
        narrow = self._bounded(loss, _NARROW, dtype)
        if (distance(self.numbers, narrow.value) > narrow.bound).any():
            return False
        departs = distance(self.numbers, self.truth.value) > self.truth.bound
        lost = FORMATS[loss.dtype].precision - FORMATS[dtype].precision
        return not is_narrow_by_chance(int(departs.sum()), lost, self.tried)

    def _is_near(self, values: Array) -> bool:
        """Whether a closer look can be worth its while: no element is off by an eighth of the largest one."""
        size = np.max(np.abs(values), initial=0, where=np.isfinite(values))
        far = distance(self.numbers, values) > size / 8
        overflows = np.isinf(self.numbers) & (np.abs(values) > FORMATS[self.right.dtype].largest / 2)
        return not (far & ~overflows).any()

    def _bounded(self, loss: Loss, arithmetic: Arithmetic, dtype: str) -> Elements:
        """Elements with their `stable` bounds in a dtype: 2 (u E + eta H), 4 ulp at least.

        E and H are running errors of the formula's own steps, by the rules that give the golden's bounds.
        """
        answer = evaluate(replace(loss, arithmetic=arithmetic))
        assert answer.bounds is not None
        value, rounding, underflow = (self._asked(each) for each in (answer.value, *answer.bounds))
        layout = FORMATS[dtype]
        u = layout.unit_roundoff + float(np.finfo(np.longdouble).eps) / 2
        bound = np.maximum(2 * (u * rounding + layout.underflow_unit * underflow), 4 * ulp(dtype, value))
        beyond = np.isfinite(value) & (np.abs(value) >= overflow_threshold(dtype))
        return Elements(np.where(beyond, np.copysign(np.inf, value), value), bound)

    def _values(self, loss: Loss) -> Array:
        return self._asked(evaluate(loss).value)

    def _asked(self, values: Array) -> Array:
        """All elements of an answer, or those at the positions that came back."""
        size = math.prod(self.right.shape)
        spread = np.broadcast_to(values, (size,))
        return spread if self.numbers.size == size else spread[list(self.positions or ())]


_NARROW = replace(EXTENDED, rounds_inputs=True)


def _steps(fault: Fault, dtype: str) -> Iterator[Arithmetic]:
    """The ways in which steps are commonly taken: half dtypes as they are or in float32, sums pairwise or in order."""
    own = FORMATS[dtype].storage
    half = dtype in HALF_DTYPES
    wide = np.dtype(np.float32) if half else own
    if fault.steps == "running-half":
        if half:
            yield Arithmetic(wide, own, running=True)
            yield Arithmetic(own, own, running=True)
        return
    if fault.steps == "own":
        yield Arithmetic(wide, wide)
        if half:
            yield Arithmetic(own, own)
    yield Arithmetic(wide, wide, running=True)
