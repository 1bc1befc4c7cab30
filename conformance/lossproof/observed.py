"""What implementations were seen to do where frameworks lawfully differ, next to what their dialect says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from lossproof.judge import holds, input_name, judge, lawful_answer, stored_answer
from lossproof.numerics import FORMATS
from lossproof.outcome import GRADES, Outcome, suffices
from lossproof.processes.messages import Answered, Raised
from lossproof.session import Asked, Session
from lossproof.spec.golden import Golden
from lossproof.spec.read import Spec

LABEL_DTYPES = "label_dtypes"
PROMISES = "promises"
RESULTS = "results"
OVERWRITES = "overwrites"
NOTHING = "nothing"
NOT = "not "
PROPERTIES = ("repeatable", "batch-invariant")


@dataclass(frozen=True)
class Observation:
    """How often an operation was seen to follow each value of a rule, and none of them.

    `stated` is the value of the dialect. A golden counts where its answer agrees with exactly one value.
    """

    implementation: str
    operation: str
    rule: str
    stated: str
    seen: Mapping[str, int]
    neither: int = 0

    @property
    def agrees(self) -> bool:
        """Whether nothing was seen that the dialect's documentation denies; more than it promises may be had."""
        stated = self.stated.split(", ")
        if self.rule == PROMISES:
            return not any(f"{NOT}{value}" in self.seen for value in stated)
        if self.rule == LABEL_DTYPES:
            # Some labels of a dtype are refused for other reasons.
            return not any(f"{NOT}{value}" in self.seen and value not in self.seen for value in stated)
        if self.rule in (RESULTS, OVERWRITES):
            # What need not be so may be so.
            return set(self.seen) <= {*stated, "same", NOTHING}
        return self.stated == "undefined" or (not self.neither and set(self.seen) <= set(stated))


def tells(golden: Golden) -> bool:
    """Whether answers to a golden can tell rules, label dtypes, dtypes of results or properties apart."""
    if golden.transform is not None or golden.copies > 1:
        return False
    if golden.calls:
        return _property(golden) in PROPERTIES
    return len(golden.answers) > 1 or _label_dtype(golden) is not None or _tells_results(golden)


def observe(session: Session, goldens: Iterable[Golden], spec: Spec) -> list[Observation]:
    """What a started implementation does, by operation and rule, in the order of the spec."""
    seen: dict[tuple[str, str], Counter[str]] = {}
    for asked in session.ask(goldens):
        for rule, value in _values(asked, session):
            seen.setdefault((asked.golden.operation, rule), Counter())[value] += 1
    operations = [*spec.operations]
    return [
        Observation(
            session.implementation.name,
            operation,
            rule,
            _stated(session, operation, rule),
            {value: count for value, count in sorted(values.items()) if value},
            values[_NEITHER],
        )
        for (operation, rule), values in sorted(seen.items(), key=lambda each: operations.index(each[0][0]))
    ]


_NEITHER = ""


def _values(asked: Asked, session: Session) -> Iterator[tuple[str, str]]:
    """What one golden tells: a rule, and the value that the answer follows."""
    golden, outcome = asked.golden, asked.judgement.outcome
    if golden.calls:
        if outcome in GRADES:
            yield PROMISES, f"{'' if suffices(outcome, Outcome.STABLE) else NOT}{_property(golden)}"
        return
    reply = asked.replies[0]
    if isinstance(reply, Answered):
        changed = [name for name in map(partial(input_name, golden), reply.changed) if name in golden.inputs]
        yield OVERWRITES, ", ".join(changed) or NOTHING
        if _tells_results(golden) and reply.array is not None:
            yield RESULTS, _result(golden.dtype, str(reply.array.dtype))
    dtype = _label_dtype(golden)
    if dtype is not None and golden.kind != "raises":
        if isinstance(reply, Answered) and suffices(outcome, Outcome.STABLE):
            yield LABEL_DTYPES, dtype
        elif isinstance(reply, Raised) and _must_answer(asked, session):
            yield LABEL_DTYPES, f"{NOT}{dtype}"
    rules = session.dialects[golden.operation].operations[golden.operation]
    for rule in dict.fromkeys(name for answer in golden.answers for name in answer["rules"]):
        followed = _followed(asked, session, rule, _possible(golden, rule, rules))
        if followed is not None:
            yield rule, followed


def _tells_results(golden: Golden) -> bool:
    """Whether the dtype of an answer is judged: a gradient has that of its input in any case."""
    return golden.kind == "contract" and golden.question == "value"


def _result(dtype: str, got: str) -> str:
    if got == dtype:
        return "same"
    return "wider" if holds(got, dtype) else got


def _possible(golden: Golden, rule: str, rules: Mapping[str, str]) -> list[str]:
    """The values of a rule that the golden tells apart, all other rules being the dialect's."""
    values = dict.fromkeys(answer["rules"][rule] for answer in golden.answers if rule in answer["rules"])
    answers = {value: stored_answer(golden, {**rules, rule: value}) for value in values}
    if any("undefined" in answer for answer in answers.values()) and rule != "bad_values":
        return []
    defined = {value: answer for value, answer in answers.items() if "undefined" not in answer}
    return [*defined] if len({id(answer) for answer in answers.values()}) > 1 else []


def _followed(asked: Asked, session: Session, rule: str, values: Sequence[str]) -> str | None:
    """The one value that the reply agrees with, nothing for none of them, None where the golden does not tell."""
    golden = asked.golden
    if not values or asked.judgement.outcome is Outcome.UNSUPPORTED:
        return None
    dialect = replace(session.dialects[golden.operation], label_dtypes=(_label_dtype(golden) or "",))
    rules = dialect.operations[golden.operation]
    answers = [stored_answer(golden, {**rules, rule: value}) for value in values]
    if isinstance(asked.replies[0], Raised) and not any("raises" in answer for answer in answers):
        return None
    agreeing = []
    for value in values:
        other = replace(dialect, operations={golden.operation: {**rules, rule: value}})
        if suffices(judge(golden, asked.replies, {golden.operation: other}).outcome, Outcome.STABLE):
            agreeing.append(value)
    return None if len(agreeing) > 1 else next(iter(agreeing), _NEITHER)


def _must_answer(asked: Asked, session: Session) -> bool:
    return "raises" not in lawful_answer(asked.golden, session.dialects[asked.golden.operation])


def _label_dtype(golden: Golden) -> str | None:
    """The dtype of the labels, where the target is one of labels."""
    return next((stored["dtype"] for stored in golden.inputs.values() if stored["dtype"] not in FORMATS), None)


def _property(golden: Golden) -> str:
    return str(golden.relation.get("promise", "")) if golden.relation else ""


def _stated(session: Session, operation: str, rule: str) -> str:
    dialect = session.dialects[operation]
    if rule == LABEL_DTYPES:
        return ", ".join(dialect.label_dtypes)
    if rule == PROMISES:
        return ", ".join(dialect.promises) or NOTHING
    if rule == RESULTS:
        return "wider" if dialect.wider_results else "same"
    if rule == OVERWRITES:
        return ", ".join(dialect.overwrites) or NOTHING
    return dialect.operations[operation][rule]
