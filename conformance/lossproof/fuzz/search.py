"""The search: cases are drawn by Hypothesis, asked, judged, and shrunk where they fail."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

from hypothesis import Phase, Verbosity, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from lossproof.case import Case, Tensor
from lossproof.compile import Sources, compile_one
from lossproof.fuzz.faults import Fault, fault_of
from lossproof.fuzz.found import Counts, Found, Plan
from lossproof.fuzz.relations import relations
from lossproof.fuzz.slices import smaller
from lossproof.fuzz.strategies import Rules, cases, dtype_order, ignored_label
from lossproof.fuzz.traits import traits
from lossproof.fuzz.written import content_hash
from lossproof.gate import NEVER_GATE, decide_one
from lossproof.known import Deviation, covering
from lossproof.outcome import Outcome
from lossproof.record import Record, Subject
from lossproof.reports.failures import evidence
from lossproof.run import run
from lossproof.session import Session

TOPIC = "fuzz"
_RELATIONS = 8  # One in so many examples compares two calls.
_BATCH = 100
_MOST_FOUND = 8
# What ends the process costs a new one each time, and a hang its time limit too.
_MOST_ENDINGS = {Outcome.CRASHED: 60, Outcome.TIMED_OUT: 20}


class _TimeIsOverError(BaseException):
    """Ends a batch; no Exception, which Hypothesis would take for a failure and shrink."""


def search(
    session: Session,
    subject: Subject,
    sources: Sources,
    deviations: Sequence[Deviation],
    operations: Sequence[str],
    plan: Plan,
) -> Iterator[Found | Counts]:
    """Faults as they are found, and after each batch of examples the counts of its operation.

    The session is started. Each operation draws from a seed of its own, so that what is found in it does not depend on
    the others; the next batch is of the one that had the least time.
    """
    share = replace(plan, seconds=plan.seconds / len(operations)) if operations else plan
    hunts = [_Hunt(session, subject, sources, deviations, name, share) for name in operations]
    while waiting := [hunt for hunt in hunts if not hunt.is_over]:
        hunt = min(waiting, key=lambda each: each.counts.seconds)
        found = hunt.batch()
        yield hunt.counts
        yield from hunt.unreported
        hunt.unreported.clear()
        if found is not None:
            yield found


class _Hunt:
    """The search in one operation: `counts` says how far it is, `unreported` are cases on which the oracle failed."""

    def __init__(
        self,
        session: Session,
        subject: Subject,
        sources: Sources,
        deviations: Sequence[Deviation],
        operation: str,
        plan: Plan,
    ) -> None:
        self.counts = Counts(operation)
        self.unreported: list[Found] = []
        self._stumbled: dict[str, Found] = {}
        self._session = session
        self._subject = subject
        self._sources = sources
        self._deviations = deviations
        self._plan = plan
        self._operation = sources.operations[operation]
        self._rules = session.dialects[operation].operations[operation]
        self._dialect = _under(self._rules, sources, operation)
        self._strategy = self._examples()
        self._faults: list[Fault] = []
        self._batches = 0
        self._start_batch()

    def _examples(self) -> st.SearchStrategy[Case]:
        dtypes = dtype_order(self._plan.dtypes)
        drawn = cases(self._operation, self._rules, dtypes, self._offered_questions(dtypes))
        related = relations(self._operation, self._rules, dtypes)
        return st.integers(1, _RELATIONS).flatmap(lambda number: related if number == _RELATIONS else drawn)

    def _offered_questions(self, dtypes: Sequence[str]) -> tuple[str, ...]:
        """The questions that the implementation does not refuse by what it declares."""
        questions = self._operation.questions
        first = settings(max_examples=1, database=None, phases=(Phase.generate,))
        plainest = [
            find(cases(self._operation, self._rules, dtypes, (each,)), lambda _: True, settings=first)
            for each in questions
        ]
        goldens = [compile_one(case, self._dialect)[0] for case in plainest]
        refused = [self._session.declared_unsupported(golden) for golden in goldens]
        return tuple(each for each, reason in zip(questions, refused, strict=True) if not reason) or questions

    def _start_batch(self) -> None:
        self._started = time.monotonic()
        # Each case is asked once, lest answers that change from call to call confuse shrinking.
        self._records: dict[str, Record] = {}
        self._verdicts: dict[str, bool] = {}
        self._wanted: Fault | None = None
        self._endings = 0

    @property
    def is_over(self) -> bool:
        """Whether its time is spent, its examples are drawn, or enough is found."""
        return (
            self.counts.exhausted
            or self.counts.seconds >= self._plan.seconds
            or self.counts.examples >= self._plan.examples
            or len(self._faults) >= _MOST_FOUND
        )

    def batch(self) -> Found | None:
        """Some more examples, up to the first that shows a new fault; it is shrunk."""
        self._start_batch()
        self._batches += 1
        before = self.counts.examples
        wanted = settings(
            max_examples=int(min(_BATCH, self._plan.examples - before)),
            database=None,
            deadline=None,
            derandomize=False,
            phases=(Phase.generate, Phase.shrink),
            verbosity=Verbosity.quiet,
        )
        random = Random(f"{self._plan.seed} {self._operation.name} {self._batches}")
        try:
            smallest = find(self._strategy, self._shows_fault, settings=wanted, random=random)
        except (NoSuchExample, _TimeIsOverError):
            self._spend()
            if self.counts.examples == before:
                # Nothing came before the time was over, or there is nothing else.
                self.counts = replace(self.counts, exhausted=True)
            return None
        return self._settle(self._sliced(smallest))

    def _sliced(self, case: Case) -> Case:
        """The case less all slices that the fault does not take."""
        fewer = next(filter(self._shows_fault, smaller(case, self._operation)), None)
        return case if fewer is None else self._sliced(fewer)

    def _shows_fault(self, case: Case) -> bool:
        """Whether a case shows a fault that is looked for: a new one, and while shrinking the one that was found."""
        if self._wanted is None and time.monotonic() - self._started + self.counts.seconds > self._plan.seconds:
            raise _TimeIsOverError
        case = self._named(case)
        if case.id not in self._verdicts:
            self._verdicts[case.id] = self._judge(case)
        return self._verdicts[case.id]

    def _judge(self, case: Case) -> bool:
        record = self._record(case)
        if self._wanted is None:
            self._count(record)
        if record is None or not self._is_finding(record):
            return False
        fault = fault_of(record, self._traits(case))
        if self._wanted is not None and not fault.shows_like(self._wanted):
            return False
        if any(known.explains(fault) for known in self._faults) or self._is_open(case) or self._fails_by_itself(case):
            return False
        if self._wanted is None:
            self._wanted = fault
            self._spend()
        return True

    def _ends_again(self, case: Case) -> bool:
        """Whether a fault that ended the process would do so again: it shall not be met over and over."""
        found = frozenset(self._traits(case))
        return any(known.outcome in _MOST_ENDINGS and known.traits <= found for known in self._faults)

    def _record(self, case: Case) -> Record | None:
        """The record of a case; None where it is likely to cost a process, and enough of them are spent."""
        if self._wanted is None and self._ends_again(case):
            return None
        if self._wanted is not None and self._endings >= _MOST_ENDINGS.get(self._wanted.outcome, math.inf):
            return None
        record = self._records[case.id] = self._ask(case, self._dialect)
        self._endings += record.outcome in _MOST_ENDINGS
        return record

    def _ask(self, case: Case, sources: Sources) -> Record:
        try:
            goldens = compile_one(case, sources)
        except Exception as why:  # The oracle's own fault, whatever it is, must not end the search, nor be lost.
            return self._stumble(case, why)
        (record,) = run(self._session, goldens)
        return record

    def _stumble(self, case: Case, why: Exception) -> Record:
        """The record of a case on which the oracle fails; the first of each kind is reported."""
        golden, kind = f"{case.id}[{case.dtypes[0]}-{case.questions[0]}]", type(why).__name__
        reason = f"the oracle fails, which is a fault of lossproof: {kind}: {why}"
        record = Record(golden, self._session.implementation.name, Outcome.UNJUDGED, "hazard", reason=reason)
        if kind not in self._stumbled:
            self._stumbled[kind] = Found(replace(case, why=f"Found at random: {reason}."), record, again=True)
            self.unreported.append(self._stumbled[kind])
        return record

    def _is_finding(self, record: Record) -> bool:
        if self._is_known(record):
            return False
        return bool(decide_one(self._subject, [record], (), self._plan.required).findings)

    def _fails_by_itself(self, case: Case) -> bool:
        """Whether a call of a relation fails without the other: that is no fault of the relation's own."""
        parts = [part for golden in compile_one(case, self._dialect) for part in golden.calls]
        return any(self._is_finding(record) for record in run(self._session, parts))

    def _is_known(self, record: Record) -> bool:
        deviation = covering(record, self._subject, self._deviations)
        return deviation is not None and record.outcome in deviation.expected

    def _is_open(self, case: Case) -> bool:
        """Whether a factor of 0 meets infinity, as a loss or as 1/0: what comes out is up to the order of the steps."""
        factors = {n: value for call in case.calls for n, value in call.parameters.items() if isinstance(value, Tensor)}
        if not any(0 in (value.values or ()) for value in factors.values()):
            return False
        plain = {name: value for name, value in case.call.parameters.items() if name not in factors}
        if "reduction" in self._operation.parameters:
            plain["reduction"] = "none"
        without = replace(
            case, parameters=plain, questions=("value",), cotangent=None, direction=None, kind="value", relation=None
        )
        goldens = [golden for each in (case, without) for golden in compile_one(each, self._dialect)]
        answers = [answer for golden in goldens for part in golden.parts for answer in part.answers]
        return any("inf" in text for answer in answers for text in answer.get("values", ()))

    def _traits(self, case: Case) -> tuple[str, ...]:
        ignored = {
            each.name: ignored_label(each, self._operation, case.parameters, self._rules)
            for each in self._operation.inputs
        }
        return traits(case, self._operation, ignored)

    def _named(self, case: Case) -> Case:
        """The case with an id that says what it has beyond the plainest one, which known deviations may match."""
        name = "-".join((*self._traits(case), content_hash(case)))
        return replace(case, id=f"{case.operation}/{TOPIC}/{name}")

    def _count(self, record: Record | None) -> None:
        if record is None:
            self.counts = replace(self.counts, examples=self.counts.examples + 1)
            return
        counts, known = self.counts, self._is_known(record)
        is_open = record.kind in NEVER_GATE
        unsupported = record.outcome is Outcome.UNSUPPORTED
        self.counts = replace(
            counts,
            examples=counts.examples + 1,
            judged=counts.judged + (not is_open and not unsupported),
            open=counts.open + is_open,
            unsupported=counts.unsupported + (unsupported and not is_open),
            known=counts.known + known,
        )

    def _spend(self) -> None:
        self.counts = replace(self.counts, seconds=self.counts.seconds + time.monotonic() - self._started)

    def _settle(self, smallest: Case) -> Found:
        """The fault as it is reported: asked once more, and judged by what every dialect would say."""
        case = self._named(smallest)
        first = self._records[case.id]
        self._faults.append(fault_of(first, self._traits(case)))
        again = self._ask(case, self._sources)
        fails = self._is_finding(again) or again.outcome is Outcome.UNJUDGED
        reported = again if self._is_finding(again) else first
        return Found(replace(case, why=_why(reported)), reported, fails)


def _under(rules: Rules, sources: Sources, operation: str) -> Sources:
    """The sources with one answer to every question on which dialects differ, which saves the oracle the others."""
    home = sources.operations[operation].home_dialect
    dialect = sources.dialects[home]
    only = replace(dialect, operations={**dialect.operations, operation: rules})
    return Sources(
        sources.operations, {**sources.dialects, home: only}, {name: (value,) for name, value in rules.items()}
    )


def _why(record: Record) -> str:
    """One sentence on what went wrong."""
    said = " ".join(evidence(record).split()).rstrip(".")
    return f"Found at random, where the {record.question} of {record.implementation} was {record.outcome}: {said}."
