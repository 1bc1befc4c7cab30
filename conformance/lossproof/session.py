"""A session: one implementation, started once, then asked; each reply is judged."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import BinaryIO

from lossproof.environments.environment import hold
from lossproof.environments.installers import NotMadeError
from lossproof.fingerprints import name_fault
from lossproof.implementations import Implementation
from lossproof.judge import Rules, judge, kind_of, leaves_bad_values_open, rounded
from lossproof.known import Deviation, covering, deviations_of, fatal
from lossproof.outcome import Judgement, Outcome
from lossproof.paths import IMPLEMENTATIONS, WORKER
from lossproof.processes.connect import Launch, Limits, Worker
from lossproof.processes.messages import Answered, Failed, Offer, Reply, Request, Started, Unsupported
from lossproof.record import Subject
from lossproof.request import request, unsupported
from lossproof.spec.dialects import Dialect
from lossproof.spec.golden import Golden
from lossproof.spec.read import Spec

ABOUT_BAD_VALUES = ("policy", "hazard")


@dataclass(frozen=True)
class Asked:
    """A golden that was asked, the kind that it is under the dialect, the replies (one a call), what they are worth."""

    golden: Golden
    kind: str
    replies: tuple[Reply, ...]
    judgement: Judgement


@dataclass
class _Sorted:
    """Goldens in the order of asking.

    What is unsupported, with the reasons; what harms no process; what may, with bad values; what is about those and has
    a process of its own; what is known to end its process.
    """

    unsupported: list[Golden] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    safe: list[Golden] = field(default_factory=list)
    shared: list[Golden] = field(default_factory=list)
    alone: list[Golden] = field(default_factory=list)
    fatal: list[Golden] = field(default_factory=list)

    @property
    def all(self) -> list[Golden]:
        """All of them."""
        return [*self.unsupported, *self.safe, *self.shared, *self.alone, *self.fatal]


class Session:
    """One implementation's part of a run: started once, then asked; a context manager that leaves no process behind.

    `dialects` are those by which each operation is judged, the adapter's or the operation's home dialect. Where the
    known fault of a wrong answer is of no interest, naming it can be saved.
    """

    def __init__(
        self,
        implementation: Implementation,
        spec: Spec,
        limits: Limits | None = None,
        python_path: tuple[str, ...] = (),
        *,
        names_faults: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.implementation = implementation
        self._names_faults = names_faults
        self._spec = spec
        self._limits = limits or Limits()
        self._launch = replace(_launch(implementation, spec, python_path or (os.getcwd(),)), environment=environment)
        self._worker = Worker(self._launch, self._limits)
        self._started: Started | None = None
        self._subject = Subject(implementation.name, implementation.typed, device=implementation.device)
        self._fatal: tuple[Deviation, ...] = ()
        self._environment: BinaryIO | None = None
        self._aborted = Event()
        self.dialects: Mapping[str, Dialect] = {}

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self._worker.close()
        if self._environment:
            self._environment.close()

    def start(self) -> Subject:
        """Start the worker; the subject says what it offers, or why it failed. Raises KnownDeviationError."""
        implementation = self.implementation
        try:
            self._hold_environment()
        except NotMadeError as why:
            return replace(self._subject, failed=str(why), details=why.details)
        started = self._worker.start()
        known = implementation.known_path
        if isinstance(started, Failed):
            return replace(
                self._subject,
                failed=_failure(started, implementation),
                missing=started.kind == "missing" and implementation.environment is None,
                details=started.details,
            )
        self._started = started
        self.dialects = {name: self._dialect(name) for name in self._spec.operations}
        self._subject = replace(
            self._subject,
            offered=tuple(name for name in self._spec.operations if name in started.operations),
            not_offered=tuple(name for name in self._spec.operations if name not in started.operations),
            package=started.package,
            version=started.package_version or "",
            dialect=implementation.dialect or started.dialect or "",
            known=_portable(known) if known and known.is_file() else "",
            header=started.header,
        )
        self._fatal = fatal(deviations_of(self._subject))
        return self._subject

    def order(self, goldens: Iterable[Golden]) -> list[Golden]:
        """The goldens as `ask` yields them."""
        return self._sorted(goldens).all

    def another(self) -> Session:
        """One more process of the implementation, to be started by its first question, once this session is known."""
        other = copy(self)
        other._worker = Worker(self._launch, self._limits)
        return other

    def follow(self, first: Session) -> None:
        """Take what another session of the implementation offers for this one's offer."""
        self._started, self.dialects = first._started, first.dialects
        self._subject, self._fatal = first._subject, first._fatal
        if first._environment:
            self._hold_environment()

    def abort(self) -> None:
        """End what the process does now, from another thread."""
        self._aborted.set()
        self._worker.abort()

    def ask(self, goldens: Iterable[Golden]) -> Iterator[Asked]:
        """Each golden with its judgement: first those that are unsupported by what was declared, then those asked.

        Last come those that may harm the process: with bad values that the dialect leaves open, or known to end it. A
        golden that is about bad values, or known to end it, has a process of its own.
        """
        chosen = self._sorted(goldens)
        for golden, reason in zip(chosen.unsupported, chosen.reasons, strict=True):
            yield self._judged(golden, (Unsupported(reason),))
        yield from self._ask(chosen.safe)
        for process in [chosen.shared, *([golden] for golden in chosen.alone)]:
            if process:
                self._worker.restart()
                yield from self._ask(process)
        for golden in chosen.fatal:
            self._worker.restart()
            yield from self._ask([golden], self._limits.fatal)
        if chosen.shared or chosen.alone or chosen.fatal:
            self._worker.restart()

    def _hold_environment(self) -> None:
        if self.implementation.environment and self._environment is None:
            self._environment = hold(self.implementation.environment, self._aborted.is_set)

    def _sorted(self, goldens: Iterable[Golden]) -> _Sorted:
        chosen = _Sorted()
        for golden in goldens:
            reason = next(filter(None, (self.declared_unsupported(part) for part in golden.parts)), "")
            if reason:
                chosen.unsupported.append(golden)
                chosen.reasons.append(reason)
            elif covering(golden, self._subject, self._fatal):
                chosen.fatal.append(golden)
            elif not leaves_bad_values_open(golden, self.dialects):
                chosen.safe.append(golden)
            else:
                (chosen.alone if golden.kind in ABOUT_BAD_VALUES else chosen.shared).append(golden)
        return chosen

    def _ask(self, goldens: Sequence[Golden], seconds: float | None = None) -> Iterator[Asked]:
        requests = (self.request(part) for golden in goldens for part in golden.parts)
        replies = self._worker.ask(requests, seconds=seconds)
        for golden in goldens:
            yield self._judged(golden, tuple(itertools.islice(replies, len(golden.parts))))

    def reply(self, request: Request) -> Reply:
        """The reply to one request."""
        return self._worker.ask_one(request)

    def replies(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """The replies to requests, in their order."""
        return self._worker.ask(requests)

    def declared_unsupported(self, golden: Golden) -> str:
        """Why a golden is not asked, by the adapter's signatures; "" where it is."""
        return unsupported(golden, self._spec.operations, self._operations, self.dialects)

    def request(self, golden: Golden, loops: int | None = None) -> Request:
        """The request for a golden: exactly the parameters that it states, less those that are not known."""
        return request(golden, self._spec.operations, self._operations, loops)

    def _rules(self, golden: Golden) -> Rules:
        return self.dialects[golden.operation].operations[golden.operation]

    def _dialect(self, operation: str) -> Dialect:
        """The dialect by which an operation is judged: the adapter's, or the operation's home dialect."""
        assert self._started is not None, "the session is started before it is asked"
        name = self.implementation.dialect or self._started.dialect
        dialect = self._spec.dialects.get(name or "")
        if dialect is None or operation not in dialect.operations:
            dialect = self._spec.dialects[self._spec.operations[operation].home_dialect]
        return dialect

    @property
    def _operations(self) -> Mapping[str, Offer]:
        assert self._started is not None, "the session is started before it is asked"
        return self._started.operations

    def _judged(self, golden: Golden, replies: tuple[Reply, ...]) -> Asked:
        device = self._started.header.get("device") if self._started else None
        kind = kind_of(golden, self.dialects)
        judgement = judge(golden, replies, self.dialects, device)
        if self._names_faults and judgement.outcome in (Outcome.LOOSE, Outcome.WRONG):
            judgement = self._named(judgement, golden, replies)
        return Asked(golden, kind, replies, judgement)

    def _named(self, judgement: Judgement, golden: Golden, replies: tuple[Reply, ...]) -> Judgement:
        """With the known fault that gives this answer, where no rule of another dialect does."""
        reply = replies[0]
        if judgement.fingerprint or golden.calls or not isinstance(reply, Answered) or reply.array is None:
            return judgement
        numbers = rounded(reply.array, golden.dtype)
        return replace(judgement, fingerprint=name_fault(golden, numbers, self._rules(golden)))


def _portable(known: Path) -> str:
    """A shipped file of known deviations by its place there, so that a run can be read elsewhere; others by path."""
    return str(known.relative_to(IMPLEMENTATIONS)) if known.is_relative_to(IMPLEMENTATIONS) else str(known)


def _failure(failed: Failed, implementation: Implementation) -> str:
    """Why it did not start; in an environment of its own, what is missing there is not the user's to install."""
    importing = failed.kind == "missing" or re.search(r"^\s+(?:import|from)\s", failed.details, re.MULTILINE)
    return f"cannot be imported: {failed.message}" if implementation.environment and importing else failed.message


def _launch(implementation: Implementation, spec: Spec, python_path: tuple[str, ...]) -> Launch:
    launch = Launch(
        tuple(spec.operations),
        implementation.adapter,
        implementation.framework,
        implementation.dialect,
        implementation.device,
        python_path,
    )
    if implementation.command:
        return replace(launch, command=implementation.command)
    # What PYTHONPATH names would take the place of what an environment was made for.
    options = ("-I",) if implementation.environment else ()
    return replace(launch, command=(implementation.python, *options, str(WORKER))) if implementation.python else launch
