"""A bug report for whoever makes what was under test, as Markdown, of one golden that fails."""

from __future__ import annotations

import ast
import math
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from lossproof.case import QUESTIONS
from lossproof.cpu import cpu_model
from lossproof.gate import NEVER_GATE
from lossproof.judge import lawful_answer
from lossproof.known import Deviation, covering, deviations_of
from lossproof.outcome import Outcome
from lossproof.processes.connect import Answered, Crashed, Raised, TimedOut
from lossproof.processes.script import Ended
from lossproof.record import Subject
from lossproof.reports.elements import Compared, compared
from lossproof.reports.inputs import stated_inputs
from lossproof.reports.rendering import template
from lossproof.session import Asked
from lossproof.spec.dialects import Dialect
from lossproof.spec.golden import Golden
from lossproof.spec.operations import Operation

_ELEMENTS = 5
_STDERR_LINES = 8
_WORST_FIRST = (Outcome.CRASHED, Outcome.TIMED_OUT, Outcome.RAISED, Outcome.WRONG, Outcome.LOOSE)
_PLAINEST_FIRST = ("float32", "float64", "bfloat16", "float16")
_THROUGH = {"torch.compile", "torch.autocast", "jax.jit"}
_LOSS = re.compile(r"entropy|nll|log_?softmax|log_?loss", re.IGNORECASE)


@dataclass(frozen=True)
class Reproduced:
    """A script of the framework alone, and what it did when it was run; or why there is none."""

    script: str = ""
    ended: Ended | None = None
    why_not: str = ""


def failing(asked: Sequence[Asked]) -> list[Asked]:
    """Those that a report can be made of: the worst outcome first, then the plainest dtype and question."""
    failed = [each for each in asked if each.kind not in NEVER_GATE and each.judgement.outcome in _WORST_FIRST]
    return sorted(failed, key=_plainness)


def _plainness(asked: Asked) -> tuple[int, int, bool]:
    golden = asked.golden
    return (
        _WORST_FIRST.index(asked.judgement.outcome),
        _PLAINEST_FIRST.index(golden.dtype),
        golden.question != "value",
    )


def why_no_script(golden: Golden) -> str:
    """What of a golden cannot be written as one call of the framework alone; "" where nothing is in the way."""
    if golden.calls:
        name = f" ({golden.relation['name']})" if golden.relation else ""
        return f"it takes several calls whose answers must agree{name}"
    if golden.transform:
        return f"it goes through the framework's {golden.transform}"
    if golden.copies > 1:
        return "its inputs are too large to be written down"
    return "" if golden.question in QUESTIONS else f"it asks for the {_QUESTIONS.get(golden.question, golden.question)}"


def page(
    asked: Asked,
    others: Sequence[Asked],
    subject: Subject,
    operation: Operation,
    dialects: Mapping[str, Dialect],
    reproduced: Reproduced,
) -> str:
    """The report on `asked`; `others` are goldens of the same case that fail as well."""
    golden, known = asked.golden, _known(asked, subject)
    return template("issue.md.j2").render(
        title=f"{called(reproduced.script, golden.operation)}: {_what(asked)} ({subject.package} {subject.version})",
        known=known,
        got=_got(asked),
        why=golden.why,
        formula=operation.formula,
        wish=_wish(asked, dialects),
        algorithm=operation.reference_algorithm.get(golden.question, "") if _is_off(asked) else "",
        reproduced=reproduced,
        printed=_printed(reproduced.ended) if reproduced.ended else [],
        unlike=_unlike(asked, reproduced.ended) if reproduced.ended else "",
        inputs="\n".join(stated_inputs(golden)).strip(),
        tables=[_table(answer) for answer in compared(asked, dialects, _ELEMENTS)],
        others=[(each.golden.id, _what(each)) for each in others],
        environment=list(_environment(subject)),
        golden=golden.id,
        implementation=subject.name,
    )


# What is wrong

_QUESTIONS = {
    "gradient-target": "gradient for the target",
    "hessian": "Hessian along a direction",
    "tangent": "derivative in forward mode",
    "relation": "agreement of several calls",
}


def _question(golden: Golden) -> str:
    return f"{golden.dtype} {_QUESTIONS.get(golden.question, golden.question)}"


def called(script: str, operation: str) -> str:
    """The loss of the library that the script calls, by its full name; the operation where that is not the only one.

    And what of the framework it goes through.
    """
    tree = ast.parse(script)
    modules = {
        (alias.asname or alias.name).split(".")[0]: alias.name if alias.asname else alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    named = {_dotted(node, modules) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name)}
    losses = {name for name in named if _LOSS.search(name.rpartition(".")[2])}
    return " through ".join([losses.pop() if len(losses) == 1 else operation, *sorted(named & _THROUGH)])


def _dotted(node: ast.expr, modules: Mapping[str, str]) -> str:
    """The name that an expression such as F.cross_entropy has in its library, "" for any other expression."""
    match node:
        case ast.Name(id=name):
            return modules.get(name, "")
        case ast.Attribute(value=value, attr=attribute):
            before = _dotted(value, modules)
            return f"{before}.{attribute}" if before else ""
    return ""


def _what(asked: Asked) -> str:
    """What is wrong, in some words."""
    judgement, question = asked.judgement, _question(asked.golden)
    match asked.replies[-1]:
        case Raised(type=name) if judgement.outcome is Outcome.RAISED:
            return f"{question} raises {name}"
        case Crashed(reason=reason):
            return f"the process is {reason}" if reason.startswith("killed") else f"the process {reason}"
        case TimedOut(seconds=seconds):
            return f"no {question} within {seconds:g} s"
    if _must_refuse(asked):
        return "an answer instead of an exception"
    if judgement.reason or not judgement.expected:
        return f"{question}: {judgement.reason or judgement.outcome}"
    got, expected = _short(judgement.got), _short(judgement.expected)
    return f"{question} is " + (f"{got} instead of {expected}" if got != expected else f"{judgement.ulps:.3g} ulp off")


def _got(asked: Asked) -> str:
    """The outcome in a sentence."""
    judgement, question = asked.judgement, _question(asked.golden)
    match asked.replies[-1]:
        case Raised(type=name, message=message) if judgement.outcome is Outcome.RAISED:
            return f"Asked for the {question}, it raises {name}: {_flat(message)}"
        case Crashed(reason=reason):
            return f"Asked for the {question}, the process ends: {reason}."
        case TimedOut(seconds=seconds):
            return f"Asked for the {question}, it does not come back within {seconds:g} s."
    if _must_refuse(asked):
        return "The call below returns, although what is passed is invalid."
    if judgement.reason or not judgement.expected:
        return f"Asked for the {question}: {judgement.reason or judgement.outcome}."
    fault = f" As far as the numbers tell: {judgement.fingerprint}." if judgement.fingerprint else ""
    return f"{_place(asked)} {question} is {judgement.got}; the true value is {judgement.expected}.{fault}"


def _place(asked: Asked) -> str:
    """Which element of the answer is the worst, up to the name of the answer."""
    where = asked.judgement.where
    if not where.isdigit():
        return f"The {where} of the"
    return f"Element {_index(asked.golden, int(where))} of the" if asked.golden.shape else "The"


def _must_refuse(asked: Asked) -> bool:
    return asked.judgement.reason.startswith("answered where it must refuse")


def _is_off(asked: Asked) -> bool:
    """Whether the answer differs from the true value by more than rounding explains, both being finite."""
    judgement = asked.judgement
    return bool(judgement.expected) and math.isfinite(judgement.ulps) and 0 < judgement.bounds < math.inf


def _wish(asked: Asked, dialects: Mapping[str, Dialect]) -> str:
    """What was expected, beside the reason of the case."""
    judgement = asked.judgement
    if "raises" in lawful_answer(asked.golden.parts[0], dialects[asked.golden.parts[0].operation]):
        said = judgement.reason.partition("must refuse: ")[2]
        reason = "" if said in ("", asked.golden.why) else f": {said}"
        return f"This must be refused with an exception{reason}."
    if _is_off(asked):
        gap = abs(float(Decimal(judgement.got) - Decimal(judgement.expected)))
        return (
            "On this very input the rounding errors of the standard algorithm add up to at most "
            f"{gap / judgement.bounds:.2g} there, and twice that would be accepted; the answer is {gap:.2g} off."
        )
    return ""


def _known(asked: Asked, subject: Subject) -> Deviation | None:
    deviation = covering(asked.golden, subject, deviations_of(subject))
    return deviation if deviation and asked.judgement.outcome in deviation.expected else None


# What was printed


def _printed(ended: Ended) -> list[str]:
    """What the script wrote: stdout, then what ended it."""
    return [*ended.out.strip("\n").splitlines(), *(_last_words(ended.err) if ended.status != 0 else [])]


def _last_words(stderr: str) -> list[str]:
    """The exception, without its traceback; else the last lines."""
    lines = stderr.strip().splitlines()
    begins = [number for number, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    after = [line for line in lines[begins[-1] + 1 :] if not line.startswith("  ")] if begins else lines
    return after[:_STDERR_LINES] if begins else after[-_STDERR_LINES:]


def _unlike(asked: Asked, ended: Ended) -> str:
    """What was seen before, where the script does not show it."""
    reply = asked.replies[-1]
    match reply:
        case Raised(type=name):
            shown = ended.status == 1 and name in ended.err
        case Answered():
            shown = ended.status == 0
        case Crashed():
            shown = ended.status is not None and ended.status not in (0, 1)
        case _:
            shown = ended.status is None
    return "" if shown else _got(asked)


# The elements


def _table(answer: Compared) -> tuple[str, list[tuple[str, str, str, str]]]:
    """Its caption and its rows."""
    count = f", the worst {len(answer.worst)} of {answer.compared}" if answer.compared > len(answer.worst) else ""
    rows = [(_index(answer.part, each.position), each.expected, repr(each.got), each.ulps) for each in answer.worst]
    return f"Elements of the {_question(answer.part)}{count}:", rows


def _index(part: Golden, position: int) -> str:
    shape = (part.copies, *part.shape[1:]) if part.copies > 1 and part.shape else part.shape
    return str([int(each) for each in np.unravel_index(position, shape)]) if shape else "–"


def _short(number: str) -> str:
    return f"{float(number):.6g}"


def _flat(text: str) -> str:
    """The text in one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= 300 else f"{line[:300]} …"


def _environment(subject: Subject) -> Iterator[str]:
    header: Mapping[str, Any] = subject.header or {}
    yield f"{subject.package} {subject.version}"
    if header.get("framework") not in (None, subject.package) and header.get("version") != subject.version:
        yield f"{header['framework']} {header['version']}"
    if "python" in header:
        yield f"Python {header['python']}"
    yield platform.platform()
    yield f"CPU: {cpu_model()}"
    device = ", ".join(str(header[name]) for name in ("device", "device_name") if header.get(name))
    yield f"device: {device or subject.device}"
    for name in ("threads", "cuda"):
        if header.get(name):
            yield f"{name}: {header[name]}"
    if header.get("flush_to_zero"):
        yield "subnormal numbers are flushed to zero"
