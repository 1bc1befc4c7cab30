"""The hunt: every mutant is asked the goldens that it can be felt in, by processes side by side."""

from __future__ import annotations

import atexit
import multiprocessing
import signal
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from lossproof.gate import NEVER_GATE
from lossproof.implementations import Implementation
from lossproof.judge import kind_of
from lossproof.outcome import FAILURES, GRADES, Outcome, suffices
from lossproof.processes.messages import Limits
from lossproof.session import Asked, Session
from lossproof.spec.errors import SpecError
from lossproof.spec.golden import Golden
from lossproof.spec.read import Spec, read_spec
from lossproof.strength.mutants import Mutant, Source
from lossproof.strength.reach import entry_points, felt_lines
from lossproof.strength.turns import Turns

PROCESSES = 2
MOST_FAILURES = 3
LIMITS = Limits(golden=10.0)


@dataclass(frozen=True)
class Right:
    """What a source gets right: goldens that gate for it and find nothing, by id."""

    source: str
    goldens: frozenset[str]


@dataclass(frozen=True)
class Hunted:
    """The goldens by id that caught a mutant, with the outcome that did; `asked` is how many were put to it.

    A mutant whose process ends or hangs again and again is asked no further.
    """

    mutant: Mutant
    asked: int
    caught: Mapping[str, Outcome]

    @property
    def only_raises(self) -> bool:
        """Whether it answers nothing at all, which is no wrong answer but none."""
        return len(self.caught) == self.asked and set(self.caught.values()) == {Outcome.RAISED}


def hunt(mutants: Sequence[Mutant], goldens: Sequence[Golden]) -> Iterator[Right | Hunted]:
    """What each source gets right, then what catches each mutant, in the order in which they are done.

    A golden catches a mutant where its answer is a finding below `stable`, while that of its source is none. It is
    asked only where the source runs through the lines that are changed: elsewhere the answers are the same. Raises
    SpecError for a source that does not start.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, context, _enter, (tuple(goldens),)) as pool:
        sources = {mutant.source.name: mutant.source for mutant in mutants}
        runs = dict(zip(sources, pool.map(_runs, sources.values()), strict=True))
        for name, lines in runs.items():
            yield Right(name, frozenset(goldens[number].id for number in lines))
        tasks = {pool.submit(_hunt_one, mutant, _felt(mutant, runs[mutant.source.name])) for mutant in mutants}
        try:
            for task in as_completed(tasks):
                tasks.discard(task)
                yield task.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _felt(mutant: Mutant, runs: Mapping[int, frozenset[int]]) -> tuple[int, ...]:
    """The goldens, by number, for which the source runs through what the mutant changes."""
    felt = felt_lines(mutant.source.text, mutant.line, mutant.end_line)
    return tuple(number for number, lines in runs.items() if lines & felt)


def is_finding(asked: Asked) -> bool:
    """Whether a golden fails at `stable`, under the dialect of whoever was asked."""
    outcome = asked.judgement.outcome
    failed = outcome in FAILURES or (outcome in GRADES and not suffices(outcome, Outcome.STABLE))
    return failed and asked.kind not in NEVER_GATE


# In the processes: goldens and spec are sent once, and each source's session goes on from mutant to mutant.

_goldens: tuple[Golden, ...] = ()
_spec: Spec
_stages: dict[str, tuple[Session, Turns]] = {}


def _enter(goldens: tuple[Golden, ...]) -> None:
    global _goldens, _spec  # a process serves one hunt
    # Ctrl-C reaches all processes of a terminal: the first one tells the others to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _goldens, _spec = goldens, read_spec()
    atexit.register(_leave)


def _leave() -> None:
    for session, turns in _stages.values():
        session.__exit__()
        turns.close()


def _runs(source: Source) -> dict[int, frozenset[int]]:
    """The goldens that gate for a source and find it right, by number, and the lines that it runs through for each."""
    session, turns = _stage(source)
    turns.give_back()
    runs = {}
    for number, golden in enumerate(_goldens):
        if kind_of(golden, session.dialects) not in NEVER_GATE:
            (asked,) = session.ask([golden])
            lines = turns.lines()
            if asked.judgement.outcome is not Outcome.UNSUPPORTED and not is_finding(asked):
                runs[number] = lines
    return runs


def _hunt_one(mutant: Mutant, asked: tuple[int, ...]) -> Hunted:
    session, turns = _stage(mutant.source)
    turns.give(mutant.text)
    return Hunted(mutant, len(asked), dict(_caught(session.ask(_goldens[number] for number in asked))))


def _caught(answers: Iterable[Asked]) -> Iterator[tuple[str, Outcome]]:
    failures = 0
    for asked in answers:
        if is_finding(asked):
            yield asked.golden.id, asked.judgement.outcome
        failures += asked.judgement.outcome in (Outcome.CRASHED, Outcome.TIMED_OUT)
        if failures == MOST_FAILURES:
            return


def _stage(source: Source) -> tuple[Session, Turns]:
    """The session of a source, started once in this process."""
    if source.name not in _stages:
        folder = tempfile.TemporaryDirectory(prefix="lossproof-")
        atexit.register(folder.cleanup)
        turns = Turns(Path(folder.name), source.text, entry_points(source.text, _spec.operations))
        implementation = Implementation(source.name, str(source.path), {"path": str(turns.adapter)})
        # Nobody reads which fault a mutant's answer shows, and naming it costs more than judging.
        session = Session(implementation, _spec, LIMITS, names_faults=False)
        subject = session.start()
        if subject.failed:
            raise SpecError(f"{source.path}: expected a source that starts, got {subject.failed}")
        _stages[source.name] = session, turns
    return _stages[source.name]
