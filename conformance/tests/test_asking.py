"""The order in which a session asks, and of which process: an adapter writes down who answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from made_goldens import SPEC

from lossproof.gate import NEVER_GATE
from lossproof.implementations import Implementation, find_implementation
from lossproof.judge import leaves_bad_values_open
from lossproof.outcome import Outcome
from lossproof.selection import Selection, select
from lossproof.session import ABOUT_BAD_VALUES, Asked, Session

# Optax uses any label as an index, so that its dialect leaves open what bad values do.
WRITES_DOWN = """
import os
from pathlib import Path
import numpy as np

dialect = "optax"
calls = Path(__file__).with_name("calls")

def cross_entropy(logits, target, *, ignore_index=None, reduction="mean"):
    with calls.open("a") as file:
        file.write(f"{os.getpid()}\\n")
    return np.zeros(target.shape if reduction == "none" else (), logits.dtype)
"""
CASES = ("cross_entropy/ignore-index/*", "cross_entropy/labels/*", "cross_entropy/reductions/*")


@dataclass(frozen=True)
class Call:
    """A golden that was asked, and the process that answered."""

    asked: Asked
    process: str
    is_open: bool

    @property
    def is_about_bad_values(self) -> bool:
        return self.is_open and self.asked.golden.kind in ABOUT_BAD_VALUES


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    path = tmp_path_factory.mktemp("adapter") / "writes_down.py"
    path.write_text(WRITES_DOWN)
    goldens = [golden for golden in select(Selection(CASES, ("float32",))) if not golden.calls]
    with Session(find_implementation(str(path)), SPEC) as session:
        session.start()
        asked = [each for each in session.ask(goldens) if each.judgement.outcome is not Outcome.UNSUPPORTED]
        processes = path.with_name("calls").read_text().split()
        return [
            Call(each, process, leaves_bad_values_open(each.golden, session.dialects))
            for each, process in zip(asked, processes, strict=True)
        ]


def test_bad_values_are_asked_last(calls: list[Call]) -> None:
    opened = [call.is_open for call in calls]

    assert sorted(opened) == opened
    assert {False, True} == set(opened)


def test_each_golden_about_bad_values_has_a_process_of_its_own(calls: list[Call]) -> None:
    processes = [call.process for call in calls]
    about = [call.process for call in calls if call.is_about_bad_values]

    assert [1] * len(about) == [processes.count(process) for process in about]
    assert len(about) > 5


def test_other_bad_values_share_one_process_that_answers_nothing_else(calls: list[Call]) -> None:
    shared = {call.process for call in calls if call.is_open and not call.is_about_bad_values}
    others = {call.process for call in calls if not call.is_open or call.is_about_bad_values}

    assert (1, set()) == (len(shared), shared & others)


def test_what_can_fail_a_run_is_asked_before_any_bad_value(calls: list[Call]) -> None:
    gates = [call.asked.kind not in NEVER_GATE for call in calls]
    last = max(place for place, does in enumerate(gates) if does)

    assert {False} == {call.is_open for call in calls[: last + 1]}


def test_what_can_fail_a_run_is_answered_by_one_process(calls: list[Call]) -> None:
    assert 1 == len({call.process for call in calls if call.asked.kind not in NEVER_GATE})


def test_after_bad_values_a_fresh_process_answers(adapter: Callable[[str], Path]) -> None:
    path = adapter(WRITES_DOWN)
    (bad,) = select(Selection(("cross_entropy/labels/far-too-large[float32-value]",)))
    (good,) = select(Selection(("cross_entropy/reductions/default[float32-value]",)))

    with Session(find_implementation(str(path)), SPEC) as session:
        session.start()
        for golden in (good, bad, good, good):
            list(session.ask([golden]))
    first, second, third, fourth = path.with_name("calls").read_text().split()

    assert (3, True) == (len({first, second, third}), third == fourth)


def test_a_dialect_that_refuses_bad_values_asks_all_of_one_process(adapter: Callable[[str], Path]) -> None:
    path = adapter(WRITES_DOWN)
    torch = Implementation("mine", "mine.py", {"path": str(path)}, dialect="torch")

    with Session(torch, SPEC) as session:
        session.start()
        asked = list(session.ask(select(Selection(("cross_entropy/labels/*",), ("float32",)))))
    processes = path.with_name("calls").read_text().split()

    assert 1 == len(set(processes))
    assert len(asked) >= len(processes) > 5
