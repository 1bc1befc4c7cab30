"""Implementations that a pytest process has started: each once, and ended with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest

from lossproof.declaration import Declaration
from lossproof.gate import Verdict, decide_one
from lossproof.implementations import Implementation, UnknownImplementationError, find_implementation
from lossproof.known import Deviation, KnownDeviationError, deviations_of
from lossproof.numerics import DTYPES
from lossproof.outcome import Outcome
from lossproof.processes.connect import Limits
from lossproof.record import Record, Subject
from lossproof.run import run
from lossproof.selection import Selection
from lossproof.session import Session
from lossproof.spec.errors import SpecError
from lossproof.spec.golden import Golden
from lossproof.spec.read import Spec, read_spec


class NotStartedError(Exception):
    """Why there is nothing to ask: the name, the spec or the implementation is at fault."""


@dataclass(frozen=True)
class Opened:
    """A started implementation, how it is judged, and what it is known to get wrong."""

    session: Session
    subject: Subject
    selection: Selection
    required: Outcome
    deviations: tuple[Deviation, ...]

    def judge(self, golden: Golden) -> tuple[Record, Verdict]:
        """The record of one golden, and what the gate says of it."""
        (record,) = run(self.session, [golden])
        verdict = decide_one(self.subject, (record,), self.deviations, self.required)
        return record, verdict


def with_options(declaration: Declaration, config: pytest.Config, folder: Path) -> list[Declaration]:
    """The declaration in a file of this folder, with the options in the places that it leaves open.

    One for each implementation that the options name, where the declaration names none.
    """
    if declaration.implementation is None:
        names = list(dict.fromkeys(config.getoption("lossproof_implementation")))
    else:
        beside = folder / declaration.implementation
        names = [str(beside) if beside.is_file() else declaration.implementation]
    return [
        Declaration(
            name,
            declaration.operation or config.getoption("lossproof_as"),
            declaration.framework or config.getoption("lossproof_framework"),
            declaration.dialect or config.getoption("lossproof_dialect"),
            declaration.device or config.getoption("lossproof_device"),
            declaration.require or config.getoption("lossproof_require"),
            declaration.cases or tuple(config.getoption("lossproof_cases")),
            declaration.dtypes or tuple(config.getoption("lossproof_dtype")),
            declaration.timeout or config.getoption("lossproof_timeout"),
        )
        for name in names
    ]


def open_implementation(stated: Declaration, config: pytest.Config) -> Opened:
    """The implementation that a declaration names, started where it is not yet; raises NotStartedError."""
    try:
        session, subject = _started(stated, config)
        deviations = deviations_of(subject)
    except (UnknownImplementationError, KnownDeviationError, SpecError) as why:
        raise NotStartedError(str(why)) from why
    if subject.failed:
        raise NotStartedError(f"{subject.name} could not be started: {subject.failed}\n{subject.details}".rstrip())
    selection = Selection(stated.cases, stated.dtypes or DTYPES)
    return Opened(session, subject, selection, Outcome(stated.require or Outcome.STABLE), deviations)


_STARTED: pytest.StashKey[dict[Declaration, tuple[Session, Subject]]] = pytest.StashKey()


def _started(stated: Declaration, config: pytest.Config) -> tuple[Session, Subject]:
    started = config.stash.setdefault(_STARTED, {})
    # What is asked of a process, and what suffices, makes no difference to it.
    key = replace(stated, require=None, cases=(), dtypes=())
    if key not in started:
        session = Session(_implementation(stated), read_spec_once(), _limits(stated.timeout))
        config.add_cleanup(session.__exit__)
        started[key] = session, session.start()
    return started[key]


def _implementation(stated: Declaration) -> Implementation:
    spec = read_spec_once()
    for what, name, known in (
        ("operation", stated.operation, spec.operations),
        ("dialect", stated.dialect, spec.dialects),
    ):
        if name is not None and name not in known:
            raise UnknownImplementationError(f"{what}: expected one of {', '.join(known)}, got {name}")
    return find_implementation(
        stated.implementation or "",
        operations=spec.operations,
        operation=stated.operation,
        framework=stated.framework,
        dialect=stated.dialect,
        device=stated.device or "cpu",
    )


@cache
def read_spec_once() -> Spec:
    """The operations and dialects; raises SpecError."""
    return read_spec()


def _limits(timeout: float | None) -> Limits:
    return Limits() if timeout is None else Limits(first=timeout, golden=timeout)
