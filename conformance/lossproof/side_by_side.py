"""Implementations side by side: several workers at a time, whose records come in the order of a single one."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from queue import SimpleQueue
from threading import Event
from time import monotonic

from lossproof.implementations import Implementation
from lossproof.processes.messages import Limits
from lossproof.record import Ended, Record, Subject
from lossproof.run import record_of
from lossproof.session import Session
from lossproof.spec.golden import Golden
from lossproof.spec.read import Spec

# Threads that wait in a loop for their next work take the time of those that have some.
_SHARES_CORES = {"OMP_WAIT_POLICY": "PASSIVE"}
# Fewer goldens are not worth the start of one more process.
_LEAST_SHARE = 500


@dataclass(frozen=True)
class Plan:
    """How many workers run at a time, and how many seconds an implementation gets: None for as many as it needs."""

    jobs: int = 1
    budget: float | None = None


def run_all(
    implementations: Sequence[Implementation],
    goldens: Sequence[Golden],
    spec: Spec,
    limits: Limits,
    plan: Plan = Plan(),  # frozen
) -> Iterator[Subject | Record | Ended]:
    """For each implementation what it is, a record for each golden of the operations that it offers, and its end.

    Whatever the number of workers, the order is the same. What an implementation's seconds do not suffice for has no
    record.
    """
    stop = Event()
    workers = max(1, plan.jobs // max(1, len(implementations)))
    turns = [_Turn(each, goldens, spec, limits, workers, plan.budget, stop) for each in implementations]
    with ThreadPoolExecutor(plan.jobs, initializer=_leave_interrupts_to_the_main_thread) as pool:
        try:
            for turn in turns:
                for number in range(workers):
                    pool.submit(turn.ask, number)
            for turn in turns:
                yield from turn.items()
        finally:
            stop.set()
            for turn in turns:
                turn.end()
            pool.shutdown(cancel_futures=True)


def _leave_interrupts_to_the_main_thread() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


class _Turn:
    """An implementation's part of a run: its goldens in shares, each asked of a worker and judged in a thread."""

    def __init__(
        self,
        implementation: Implementation,
        goldens: Sequence[Golden],
        spec: Spec,
        limits: Limits,
        workers: int,
        budget: float | None,
        stop: Event,
    ) -> None:
        self._goldens = goldens
        self._budget = budget
        self._stop = stop
        first = Session(implementation, spec, limits, environment={**_SHARES_CORES, **os.environ})
        self._sessions = [first, *(first.another() for _ in range(workers - 1))]
        self._started: Future[_Shares] = Future()
        self._began = 0.0
        self._seconds = [0.0] * workers
        self._streams: list[SimpleQueue[Record | BaseException | None]] = [SimpleQueue() for _ in self._sessions]

    def ask(self, number: int) -> None:
        """Ask a share, start to end; its records can be taken as they come."""
        stream = self._streams[number]
        try:
            with self._sessions[number] as session:
                shares = self._start(session) if number == 0 else self._started.result()
                for asked in session.ask(shares.of(number)):
                    stream.put(record_of(asked, session.implementation.name))
                    if self._stop.is_set() or monotonic() > shares.deadline:
                        break
        except BaseException as error:
            stream.put(error)
        finally:
            self._seconds[number] = monotonic() - self._began
            stream.put(None)

    def items(self) -> Iterator[Subject | Record | Ended]:
        """What it is, its records, its end."""
        shares = self._started.result()
        yield shares.subject
        ended = set()
        for number in shares.owners:
            if number in ended:
                continue
            record = self._next(number)
            if record is None:
                ended.add(number)
            else:
                yield record
        for number in set(range(len(self._streams))) - ended:
            self._next(number)
        yield Ended(shares.subject.name, max(self._seconds))

    def end(self) -> None:
        """End its processes now, whatever they do."""
        for session in self._sessions:
            session.abort()

    def _next(self, number: int) -> Record | None:
        """The next record of a share, None at its end; raises what its thread raised."""
        item = self._streams[number].get()
        if isinstance(item, BaseException):
            raise item
        return item

    def _start(self, session: Session) -> _Shares:
        """Start the first process, and share the goldens out."""
        self._began = monotonic()
        try:
            subject = session.start()
            offered = [golden for golden in self._goldens if golden.operation in subject.offered]
            order = session.order(offered)
            owners = _share_out(order, len(self._sessions))
            deadline = float("inf") if self._budget is None else self._began + self._budget
            shares = _Shares(replace(subject, asked=len(order)), tuple(order), owners, deadline)
            for other in self._sessions[1:]:
                other.follow(session)
        except BaseException as error:
            self._started.set_exception(error)
            raise
        self._started.set_result(shares)
        return shares


@dataclass(frozen=True)
class _Shares:
    """A started implementation, its goldens in the order of asking, and which worker each of them is asked of."""

    subject: Subject
    order: tuple[Golden, ...]
    owners: tuple[int, ...]
    deadline: float

    def of(self, number: int) -> list[Golden]:
        """The goldens of one worker."""
        return [golden for golden, owner in zip(self.order, self.owners, strict=True) if owner == number]


def _share_out(order: Iterable[Golden], workers: int) -> tuple[int, ...]:
    """The worker of each golden: those that make a framework compile the same program go to the same one."""
    programs = [_program(golden) for golden in order]
    workers = max(1, min(workers, len(programs) // _LEAST_SHARE))
    loads = [0] * workers
    owner: dict[Hashable, int] = {}
    for program, count in Counter(programs).most_common():
        owner[program] = loads.index(min(loads))
        loads[owner[program]] += count
    return tuple(owner[program] for program in programs)


def _program(golden: Golden) -> Hashable:
    """What a compiling framework builds a program for: operation, dtype, shapes and the names of the parameters."""
    shapes = tuple(tuple(stored["shape"]) for stored in golden.inputs.values())
    return golden.operation, golden.dtype, shapes, tuple(golden.parameters)
