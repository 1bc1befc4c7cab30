"""Several workers at a time: their records are those of a single one, in its order."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from made_goldens import SPEC
from needs import needs

from lossproof import side_by_side
from lossproof.implementations import Implementation, find_implementation
from lossproof.processes.messages import Limits
from lossproof.record import Ended, Record, Subject
from lossproof.selection import Selection, select
from lossproof.session import Session
from lossproof.side_by_side import Plan, run_all
from lossproof.spec.golden import Golden

# Right on plain inputs, wrong where a label is ignored; every call tells who answered.
WRITES_DOWN = """
import os
from pathlib import Path
import numpy as np

calls = Path(__file__).with_name("calls")

def log_softmax(logits, *, axis=-1):
    with calls.open("a") as file:
        file.write(f"{os.getpid()} {logits.shape} {logits.dtype}\\n")
    return np.zeros_like(logits)
"""
SLOW = """
import time
import numpy as np

def log_softmax(logits, *, axis=-1):
    time.sleep(0.05)
    return np.zeros_like(logits)
"""
HANGS = """
import time

def log_softmax(logits, *, axis=-1):
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _shares_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "_LEAST_SHARE", 2)


def judged(implementations: Sequence[Implementation], goldens: Sequence[Golden], plan: Plan) -> list[Subject | Record]:
    """What a run gives, less what differs from run to run."""
    items = run_all(implementations, goldens, SPEC, Limits(), plan)
    return [
        replace(item, seconds=math.nan) if isinstance(item, Record) else replace(item, header=None)
        for item in items
        if not isinstance(item, Ended)
    ]


def names(items: Iterable[Subject | Record]) -> list[str]:
    return [repr(item) for item in items]


def goldens_of(*cases: str) -> list[Golden]:
    return select(Selection(cases, ("float32", "float64")))


@pytest.mark.parametrize("jobs", [2, 3])
def test_several_workers_give_what_one_gives_in_its_order(jobs: int) -> None:
    chosen = [find_implementation(name) for name in ("numpy_reference", "textbook_unshifted", "textbook_definition")]
    goldens = goldens_of("cross_entropy/ignore-index/*", "cross_entropy/labels/*", "log_softmax/values/*")

    assert names(judged(chosen, goldens, Plan())) == names(judged(chosen, goldens, Plan(jobs)))


def test_several_workers_share_one_implementation(adapter: Callable[[str], Path]) -> None:
    path = adapter(WRITES_DOWN)
    alone = judged([find_implementation(str(path))], goldens_of("log_softmax/*/*"), Plan())
    path.with_name("calls").unlink()

    shared = judged([find_implementation(str(path))], goldens_of("log_softmax/*/*"), Plan(2))

    workers: dict[str, set[str]] = {}
    for line in path.with_name("calls").read_text().splitlines():
        worker, _, program = line.partition(" ")
        workers.setdefault(program, set()).add(worker)
    assert names(alone) == names(shared)
    assert len(set.union(*workers.values())) == 2


def test_what_compiles_to_one_program_is_asked_of_one_worker() -> None:
    goldens = goldens_of("log_softmax/*/*")

    owners = side_by_side._share_out(goldens, 2)

    programs: dict[object, set[int]] = {}
    for golden, owner in zip(goldens, owners, strict=True):
        programs.setdefault(side_by_side._program(golden), set()).add(owner)
    assert {len(each) for each in programs.values()} == {1}
    assert abs(owners.count(0) - owners.count(1)) <= len(goldens) / 10


@pytest.mark.parametrize("name", ["numpy_reference", pytest.param("jax_jit", marks=needs("jax"))])
def test_the_order_of_asking_changes_no_verdict(name: str) -> None:
    goldens = goldens_of("log_softmax/*/*", "cross_entropy/ignore-index/*")
    shuffled = list(goldens)
    random.Random(7).shuffle(shuffled)

    with Session(find_implementation(name), SPEC) as session:
        session.start()
        first, second = (
            {each.golden.id: each.judgement for each in session.ask(order)} for order in (goldens, shuffled)
        )

    assert shuffled != goldens
    assert repr(sorted(first.items())) == repr(sorted(second.items()))


def test_what_the_budget_does_not_suffice_for_has_no_record(adapter: Callable[[str], Path]) -> None:
    goldens = goldens_of("log_softmax/*/*")

    subject, *records = judged([find_implementation(str(adapter(SLOW)))], goldens, Plan(2, budget=1.0))

    assert isinstance(subject, Subject)
    assert 0 < len(records) < subject.asked == len(goldens)


def test_who_takes_no_more_waits_for_no_worker(adapter: Callable[[str], Path]) -> None:
    items = run_all([find_implementation(str(adapter(HANGS)))], goldens_of("log_softmax/*/*"), SPEC, Limits(), Plan(2))
    assert isinstance(next(items), Subject)
    began = time.monotonic()

    items.close()  # type: ignore[attr-defined]  # a generator

    assert time.monotonic() - began < 30


def test_a_fault_of_the_harness_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*stated: object) -> Record:
        raise ZeroDivisionError

    monkeypatch.setattr(side_by_side, "record_of", faulty)

    with pytest.raises(ZeroDivisionError):
        judged([find_implementation("numpy_reference")], goldens_of("log_softmax/values/*"), Plan(2))
