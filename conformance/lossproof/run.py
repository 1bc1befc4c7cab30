"""A run: goldens are asked of an implementation, and each reply is judged."""

from __future__ import annotations

import fnmatch
import itertools
import math
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO, Literal

import numpy as np

from lossproof.connect import Launch, Limits, Worker
from lossproof.cpu import cpu_features, cpu_model
from lossproof.environments.environment import hold
from lossproof.environments.installers import NotMadeError
from lossproof.fingerprints import name_fault
from lossproof.implementations import Implementation
from lossproof.judge import Rules, judge, kind_of, leaves_bad_values_open, rounded
from lossproof.known import Deviation, covering, deviations_of, fatal
from lossproof.memory import available_memory
from lossproof.messages import After, Answered, Failed, Offer, Reply, Request, Started, Unsupported
from lossproof.numerics import DTYPES, FORMATS
from lossproof.outcome import Judgement, Outcome
from lossproof.paths import IMPLEMENTATIONS, WORKER
from lossproof.record import Record, Subject
from lossproof.spec.dialects import Dialect, read_dialects
from lossproof.spec.golden import SPEC_VERSION, Golden, array, golden_files, load_goldens
from lossproof.spec.operations import Operation, Parameter, read_operations
from lossproof.spec.profiles import quick_goldens
from lossproof.spec.shapes import class_axis
from lossproof.wire import Encoded, encode

Profile = Literal["quick", "default", "huge"]

ABOUT_BAD_VALUES = ("policy", "hazard")


@dataclass(frozen=True)
class Spec:
    """What a run reads of the spec once: operations and dialects."""

    operations: Mapping[str, Operation]
    dialects: Mapping[str, Dialect]


@dataclass(frozen=True)
class Selection:
    """Which goldens are asked: globs over ids of cases (an id also matches as it is), dtypes, a profile or any."""

    cases: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = DTYPES
    profile: Profile | None = "default"

    def takes(self, golden: Golden) -> bool:
        """Whether a golden is asked."""
        if golden.dtype not in self.dtypes:
            return False
        if self.profile and golden.profile != ("huge" if self.profile == "huge" else "default"):
            return False
        if self.profile == "quick" and golden.id not in quick_goldens():
            return False
        return not self.cases or any(fnmatch.fnmatchcase(golden.case, glob) or golden.id == glob for glob in self.cases)


@dataclass(frozen=True)
class Asked:
    """A golden that was asked, the kind that it is under the dialect, the replies (one a call), what they are worth."""

    golden: Golden
    kind: str
    replies: tuple[Reply, ...]
    judgement: Judgement


def read_spec() -> Spec:
    """The operations and dialects; raises SpecError."""
    operations = read_operations()
    return Spec(operations, read_dialects(operations))


def select(selection: Selection, operations: Iterable[str] | None = None) -> list[Golden]:
    """The selected goldens of the operations named, or of all; golden files are read only as they are asked for."""
    files = golden_files()
    names = files if operations is None else [name for name in files if name in set(operations)]
    wanted = [name for name in names if _may_match(name, selection.cases)]
    return [golden for name in wanted for golden in load_goldens(files[name]) if selection.takes(golden)]


def _may_match(operation: str, globs: Sequence[str]) -> bool:
    """Whether a case of the operation may match, by what stands before the first wildcard."""
    plain = [re.split(r"[*?\[]", glob)[0] for glob in globs]
    return not globs or any(
        operation == each.split("/")[0] if "/" in each else operation.startswith(each) for each in plain
    )


def run_header() -> dict[str, Any]:
    """What is known of a run before any implementation starts."""
    return {
        "spec": SPEC_VERSION,
        "lossproof": metadata.version("lossproof"),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "system": platform.system(),
        "cpu": cpu_model(),
        "cpu_features": cpu_features(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cores": os.cpu_count(),
    }


@dataclass
class _Sorted:
    """Goldens in the order of asking: what is unsupported, with the reasons; what harms no process; what may, with bad
    values; what may and has a process of its own; what is known to end its process.
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
        self._limits = limits
        self._launch = replace(_launch(implementation, spec, python_path or (os.getcwd(),)), environment=environment)
        self._worker = Worker(self._launch, limits)
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
            yield from self._ask([golden], patient=False)
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

    def _ask(self, goldens: Sequence[Golden], *, patient: bool = True) -> Iterator[Asked]:
        requests = (self.request(part) for golden in goldens for part in golden.parts)
        replies = self._worker.ask(requests, patient=patient)
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
        for name in (golden.operation, golden.after):
            if name is not None and name not in self._operations:
                return f"{name} is not offered"
        offer, operation = self._operations[golden.operation], self._spec.operations[golden.operation]
        if golden.question != "value" and golden.question not in offer.derivatives and not offer.autodiff:
            return f"offers no {golden.question}: neither automatic differentiation nor a function of its own"
        missing = missing_memory(golden, available_memory()) if golden.copies > 1 else ""
        if missing:
            return missing
        known = _known_parameters(golden, offer)
        for name, value in golden.parameters.items():
            default = operation.parameters[name]
            if known is not None and name not in known and not _is_default(value, default, self._rules(golden)):
                return f"has no parameter {name}"
        return ""

    def request(self, golden: Golden, loops: int | None = None) -> Request:
        """The request for a golden: exactly the parameters that it states, less those that are not known."""
        operation = self._spec.operations[golden.operation]
        known = _known_parameters(golden, self._operations[golden.operation])
        return Request(
            golden.operation,
            golden.question,
            tuple(_encoded(golden.inputs[name], golden.copies) for name in operation.input_names),
            {
                name: _encoded(value) if isinstance(value, dict) else value
                for name, value in golden.parameters.items()
                if known is None or name in known
            },
            _encoded(golden.cotangent, golden.copies if golden.cotangent["shape"] else 1) if golden.cotangent else None,
            operation.position(golden.question),
            loops,
            _encoded(golden.direction) if golden.direction else None,
            golden.transform,
            golden.positions if golden.copies > 1 else None,
            _after(golden, self._spec.operations),
        )

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


def run(session: Session, goldens: Iterable[Golden]) -> Iterator[Record]:
    """A record for each golden, in the order in which they are asked."""
    for asked in session.ask(goldens):
        yield record_of(asked, session.implementation.name)


def record_of(asked: Asked, implementation: str) -> Record:
    """What is kept of a golden that was asked."""
    judgement = asked.judgement
    return Record(
        asked.golden.id,
        implementation,
        judgement.outcome,
        asked.kind,
        judgement.ulps,
        judgement.bounds,
        judgement.where,
        judgement.expected,
        judgement.got,
        judgement.reason,
        judgement.fingerprint,
        sum(reply.seconds for reply in asked.replies if isinstance(reply, Answered)),
    )


def _portable(known: Path) -> str:
    """A shipped file of known deviations by its place there, so that a run can be read elsewhere; others by path."""
    return str(known.relative_to(IMPLEMENTATIONS)) if known.is_relative_to(IMPLEMENTATIONS) else str(known)


def _known_parameters(golden: Golden, offer: Offer) -> Sequence[str] | None:
    return offer.derivatives.get(golden.question, offer.parameters)


def missing_memory(golden: Golden, available: int | None) -> str:
    """Why a huge golden does not fit into so many bytes; "" where it does, or nobody knows how many there are."""
    if available is None:
        return ""
    # Copies of a row take no memory. Whoever answers makes the log-probabilities and one temporary of their size, and
    # for a gradient two more.
    largest = max(golden.copies * math.prod(stored["shape"]) for stored in golden.inputs.values())
    needed = largest * FORMATS[golden.dtype].storage.itemsize * (2 if golden.question == "value" else 4)
    if available >= needed:
        return ""
    return f"needs {needed / 2**30:.0f} GiB of memory, {available / 2**30:.0f} are available"


def _after(golden: Golden, operations: Mapping[str, Operation]) -> After | None:
    """The operation that the first input goes through before, along the axis of the classes."""
    if golden.after is None:
        return None
    name = operations[golden.after].class_axis
    first = operations[golden.operation].input_names[0]
    axis = class_axis(operations[golden.operation], len(golden.inputs[first]["shape"]), golden.parameters)
    return After(golden.after, {name: axis} if name in operations[golden.after].parameters and name else {})


def _is_default(value: Any, parameter: Parameter, rules: Mapping[str, str]) -> bool:
    """Whether leaving the parameter out means the same: a rule default_<parameter> of the dialect has the first say."""
    if isinstance(value, dict):
        return False
    stated = rules.get(f"default_{parameter.name}")
    return str(value).lower() == stated if stated is not None else value == parameter.default


def _encoded(stored: Mapping[str, Any], copies: int = 1) -> Encoded:
    return encode(array(stored), stored.get("layout"), copies)


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
