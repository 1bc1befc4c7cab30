"""A run: goldens are asked of an implementation, and each reply is judged."""

from __future__ import annotations

import fnmatch
import itertools
import os
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from lossproof.connect import Answered, Failed, Launch, Limits, Offer, Reply, Request, Started, Unsupported, Worker
from lossproof.cpu import cpu_features, cpu_model
from lossproof.implementations import Implementation
from lossproof.judge import is_hazard, judge
from lossproof.numerics import DTYPES
from lossproof.outcome import Judgement
from lossproof.paths import IMPLEMENTATIONS
from lossproof.record import Record, Subject
from lossproof.spec.dialects import Dialect, read_dialects
from lossproof.spec.golden import SPEC_VERSION, Golden, array, golden_files, load_goldens
from lossproof.spec.operations import Operation, Parameter, read_operations
from lossproof.wire import Encoded, encode


@dataclass(frozen=True)
class Spec:
    """What a run reads of the spec once: operations and dialects."""

    operations: Mapping[str, Operation]
    dialects: Mapping[str, Dialect]


@dataclass(frozen=True)
class Selection:
    """Which goldens are asked: globs over ids of cases (an id also matches as it is), dtypes."""

    cases: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = DTYPES

    def takes(self, golden: Golden) -> bool:
        """Whether a golden is asked."""
        if golden.dtype not in self.dtypes:
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
    return not globs or any(fnmatch.fnmatchcase(operation, glob.split("/")[0]) for glob in globs)


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


class Session:
    """One implementation's part of a run: started once, then asked; a context manager that leaves no process behind."""

    def __init__(
        self,
        implementation: Implementation,
        spec: Spec,
        limits: Limits | None = None,
        python_path: tuple[str, ...] = (),
    ) -> None:
        self.implementation = implementation
        self._spec = spec
        self._worker = Worker(_launch(implementation, spec, python_path or (os.getcwd(),)), limits)
        self._started: Started | None = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self._worker.close()

    def start(self) -> Subject:
        """Start the worker; the subject says what it offers, or why it failed."""
        implementation = self.implementation
        started = self._worker.start()
        known = implementation.known_path
        if isinstance(started, Failed):
            return Subject(
                implementation.name,
                implementation.typed,
                device=implementation.device,
                failed=started.message,
                missing=started.kind == "missing",
                details=started.details,
            )
        self._started = started
        return Subject(
            implementation.name,
            implementation.typed,
            offered=tuple(name for name in self._spec.operations if name in started.operations),
            not_offered=tuple(name for name in self._spec.operations if name not in started.operations),
            package=started.package,
            version=started.package_version or "",
            dialect=implementation.dialect or started.dialect or "",
            device=implementation.device,
            known=_portable(known) if known and known.is_file() else "",
            header=started.header,
        )

    def ask(self, goldens: Iterable[Golden]) -> Iterator[Asked]:
        """Each golden with its judgement: first those that are unsupported by what was declared, then those asked."""
        supported = []
        for golden in goldens:
            reason = next(filter(None, (self.declared_unsupported(part) for part in _parts(golden))), "")
            if reason:
                yield self._judged(golden, (Unsupported(reason),))
            else:
                supported.append(golden)
        replies = self._worker.ask(self.request(part) for golden in supported for part in _parts(golden))
        for golden in supported:
            yield self._judged(golden, tuple(itertools.islice(replies, len(_parts(golden)))))

    def reply(self, request: Request) -> Reply:
        """The reply to one request."""
        return self._worker.ask_one(request)

    def declared_unsupported(self, golden: Golden) -> str:
        """Why a golden is not asked, by the adapter's signatures; "" where it is."""
        offer, operation = self._offer(golden), self._spec.operations[golden.operation]
        if golden.question == "gradient" and not (offer.vjp or offer.autodiff):
            return "offers no gradient: neither automatic differentiation nor a _vjp function"
        known = _known_parameters(golden, offer)
        rules, _ = self.rules(golden.operation)
        for name, value in golden.parameters.items():
            if known is not None and name not in known and not _is_default(value, operation.parameters[name], rules):
                return f"has no parameter {name}"
        return ""

    def request(self, golden: Golden, loops: int | None = None) -> Request:
        """The request for a golden: exactly the parameters that it states, less those that are not known."""
        operation = self._spec.operations[golden.operation]
        known = _known_parameters(golden, self._offer(golden))
        return Request(
            golden.operation,
            "gradient" if golden.question == "gradient" else "value",
            tuple(_encoded(golden.inputs[name]) for name in operation.input_names),
            {
                name: _encoded(value) if isinstance(value, dict) else value
                for name, value in golden.parameters.items()
                if known is None or name in known
            },
            _encoded(golden.cotangent) if golden.cotangent else None,
            operation.which,
            loops,
        )

    def rules(self, operation: str) -> tuple[Mapping[str, str], Sequence[str]]:
        """Rules and label dtypes by which an operation is judged: the adapter's dialect's, or its home dialect's."""
        assert self._started is not None, "the session is started before it is asked"
        name = self.implementation.dialect or self._started.dialect
        dialect = self._spec.dialects.get(name or "")
        if dialect is None or operation not in dialect.operations:
            dialect = self._spec.dialects[self._spec.operations[operation].home_dialect]
        return dialect.operations[operation], dialect.label_dtypes

    def _offer(self, golden: Golden) -> Offer:
        assert self._started is not None, "the session is started before it is asked"
        return self._started.operations[golden.operation]

    def _judged(self, golden: Golden, replies: tuple[Reply, ...]) -> Asked:
        rules, label_dtypes = self.rules(golden.operation)
        device = self._started.header.get("device") if self._started else None
        kind = "hazard" if is_hazard(golden, rules) else golden.kind
        return Asked(golden, kind, replies, judge(golden, replies, rules, label_dtypes, device))


def run_all(
    implementations: Iterable[Implementation], goldens: Sequence[Golden], spec: Spec, limits: Limits
) -> Iterator[Subject | Record]:
    """For each implementation what it is, then a record for each golden of the operations that it offers."""
    for implementation in implementations:
        with Session(implementation, spec, limits) as session:
            subject = session.start()
            asked = [golden for golden in goldens if golden.operation in subject.offered]
            yield replace(subject, asked=len(asked))
            yield from run(session, asked)


def run(session: Session, goldens: Iterable[Golden]) -> Iterator[Record]:
    """A record for each golden, in the order in which they are asked."""
    for asked in session.ask(goldens):
        judgement = asked.judgement
        yield Record(
            asked.golden.id,
            session.implementation.name,
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
    """A shipped file of known deviations by its name, so that a run can be read elsewhere; another one by its path."""
    return known.name if known.parent == IMPLEMENTATIONS else str(known)


def _parts(golden: Golden) -> tuple[Golden, ...]:
    return golden.calls or (golden,)


def _known_parameters(golden: Golden, offer: Offer) -> Sequence[str] | None:
    return offer.vjp_parameters if golden.question == "gradient" and offer.vjp else offer.parameters


def _is_default(value: Any, parameter: Parameter, rules: Mapping[str, str]) -> bool:
    """Whether leaving the parameter out means the same: a rule default_<parameter> of the dialect has the first say."""
    if isinstance(value, dict):
        return False
    stated = rules.get(f"default_{parameter.name}")
    return str(value).lower() == stated if stated is not None else value == parameter.default


def _encoded(stored: Mapping[str, Any]) -> Encoded:
    return encode(array(stored), stored.get("layout"))


def _launch(implementation: Implementation, spec: Spec, python_path: tuple[str, ...]) -> Launch:
    launch = Launch(
        tuple(spec.operations),
        implementation.adapter,
        implementation.framework,
        implementation.dialect,
        implementation.device,
        python_path,
    )
    return replace(launch, command=implementation.command) if implementation.command else launch
