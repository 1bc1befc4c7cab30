"""Whatever an implementation does at one golden is the outcome of that golden, and nothing else is lost or left."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from made_goldens import SPEC
from needs import needs
from traces import children, leaving_none, shared_folders, wait_for_none

from lossproof.implementations import find_implementation
from lossproof.processes.connect import Limits
from lossproof.processes.leftovers import MARKS, marked
from lossproof.run import run
from lossproof.selection import Selection, select
from lossproof.session import Session
from lossproof.spec.golden import Golden

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").is_file(), reason="looks for processes in /proc")

LOSSPROOF = Path(sys.executable).parent / "lossproof"
FAKE = Path(__file__).parent / "fakes" / "faulty_once.py"
CULPRIT = "cross_entropy/ignore-index/number-of-classes[float32-value]"
LIMITS = Limits(first=60.0, golden=2.0, memory=2**30)

# The outcome, and how the reason begins.
OUTCOMES = {
    "segfault": ("crashed", "killed by SIGSEGV"),
    "abort": ("crashed", "killed by SIGABRT"),
    "exit": ("crashed", "exited with 3"),
    "kill": ("crashed", "killed by SIGKILL, which the system sends where memory runs out"),
    "real-time signal": ("crashed", "killed by signal 40"),
    "out of memory": ("raised", "MemoryError: Unable to allocate 128. MiB"),
    "hang": ("timed out", "no answer within 2 s"),
    "hang in C": ("timed out", "no answer within 2 s"),
    "endless output": ("timed out", "no answer within 2 s"),
    "endless reply": ("crashed", "wrote a line without an end to its reply stream"),
    "half a reply": ("crashed", "exited with 0"),
    "half a reply, hang": ("timed out", "no answer within 2 s"),
    "a reply cut short": ("crashed", """wrote '{"id":' to its reply stream"""),
    "a reply to another request": ("crashed", """wrote '{"id":1,"outcome":"""),
    "child, exit": ("crashed", "exited with 4"),
    "fork, exit": ("crashed", "exited with 6"),
    "daemon, exit": ("crashed", "exited with 5"),
}


@pytest.fixture(autouse=True)
def shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with leaving_none(tmp_path, monkeypatch) as shared:
        yield shared


@pytest.fixture(scope="module")
def goldens() -> list[Golden]:
    """The culprit in the midst of others."""
    chosen = select(Selection(("cross_entropy/ignore-index/*",), ("float32",)))
    return [golden for golden in chosen if golden.question == "value" and not golden.calls]


@pytest.fixture(scope="module")
def right(goldens: list[Golden]) -> Mapping[str, tuple[str, str]]:
    """Every golden of the fake without a fault."""
    return outcomes(goldens)


def outcomes(goldens: list[Golden]) -> dict[str, tuple[str, str]]:
    """What a run of the fake records for each golden: its outcome, and why or the number."""
    with Session(find_implementation(str(FAKE)), SPEC, LIMITS) as session:
        session.start()
        return recorded(session, goldens)


def recorded(session: Session, goldens: list[Golden]) -> dict[str, tuple[str, str]]:
    return {record.golden: (str(record.outcome), record.reason or record.got) for record in run(session, goldens)}


@pytest.mark.parametrize("fault", OUTCOMES)
def test_fault_is_the_outcome_of_its_golden_and_of_no_other(
    fault: str,
    goldens: list[Golden],
    right: Mapping[str, tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lossproof.processes.channel.ENDLESS_LINE", 1 << 20)
    monkeypatch.setenv("LOSSPROOF_FAULT", fault)
    found = outcomes(goldens)

    outcome, why = found.pop(CULPRIT)
    expected, begins = OUTCOMES[fault]
    assert (expected, begins) == (outcome, why[: len(begins)])
    assert {name: each for name, each in right.items() if name != CULPRIT} == found


def test_fake_without_a_fault_is_right(right: Mapping[str, tuple[str, str]]) -> None:
    assert len(right) > 20
    assert {"accurate"} == {outcome for outcome, _ in right.values()}


def test_faults_one_after_the_other_are_as_many_outcomes(
    right: Mapping[str, tuple[str, str]], goldens: list[Golden], monkeypatch: pytest.MonkeyPatch
) -> None:
    (culprit,) = (golden for golden in goldens if golden.id == CULPRIT)
    first, last = goldens[0], goldens[-1]
    monkeypatch.setenv("LOSSPROOF_FAULT", "exit")
    with Session(find_implementation(str(FAKE)), SPEC, LIMITS) as session:
        session.start()
        found = [record.reason or record.got for record in run(session, [culprit, first, culprit, culprit, last])]

    exited = OUTCOMES["exit"][1]
    assert [exited, right[first.id][1], exited, exited, right[last.id][1]] == found


@pytest.mark.parametrize("fault", ["child", "daemon"])
def test_what_an_answer_leaves_behind_ends_with_its_process(
    fault: str, goldens: list[Golden], right: Mapping[str, tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOSSPROOF_FAULT", fault)
    with Session(find_implementation(str(FAKE)), SPEC, LIMITS) as session:
        session.start()
        found = recorded(session, goldens)
        assert "sleep 987 " in children()

    assert set() == children()
    assert right == found


def test_without_proc_what_stays_in_the_group_is_ended(
    goldens: list[Golden], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lossproof.processes.leftovers.PROCESSES", tmp_path / "nothing")
    monkeypatch.setenv("LOSSPROOF_FAULT", "child, exit")

    assert OUTCOMES["child, exit"] == outcomes(goldens)[CULPRIT]
    assert set() == children()


def test_what_a_host_inside_a_worker_starts_ends_with_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARKS, "outer")

    assert ["outer", "inner"] == [mark for mark in marked({}, "inner")[MARKS].split() if len(mark) < 32]


@pytest.mark.parametrize("fault", ["child, exit", "fork, exit", "daemon, exit"])
def test_what_a_crash_leaves_behind_ends_before_the_next_golden(
    fault: str, goldens: list[Golden], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOSSPROOF_FAULT", fault)
    with Session(find_implementation(str(FAKE)), SPEC, LIMITS) as session:
        session.start()
        for record in run(session, goldens):
            if record.golden == CULPRIT:
                assert set() == children()


def test_run_finds_the_fault_and_nothing_else(
    right: Mapping[str, tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOSSPROOF_FAULT", "daemon, exit")
    finished = subprocess.run(
        [LOSSPROOF, "run", FAKE, "--cases", "cross_entropy/ignore-index/*", "--dtype", "float32", "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=False,
    )
    lines = map(json.loads, finished.stdout.splitlines())
    records = {line["golden"]: line for line in lines if line["type"] == "record" and line["golden"] in right}
    crashed = {name for name, record in records.items() if record["outcome"] != "accurate"}

    assert (1, right.keys(), {CULPRIT}) == (finished.returncode, records.keys(), crashed)
    assert "exited with 5" == records[CULPRIT]["reason"]
    assert set() == children()


HOST = f"""
import signal
import sys
from pathlib import Path
import lossproof.processes.connect
from lossproof.implementations import find_implementation
from lossproof.selection import Selection, select
from lossproof.session import Session
from lossproof.spec.read import read_spec

# Who starts in the background may have been told to ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
lossproof.processes.connect.SHARED_MEMORY = Path(sys.argv[1])
with Session(find_implementation({str(FAKE)!r}), read_spec()) as session:
    session.start()
    for asked in session.ask(select(Selection(("cross_entropy/ignore-index/n*",), ("float32",)))):
        print(asked.golden.id, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_end_of_the_host_is_the_end_of_all(
    number: signal.Signals, tmp_path: Path, shared_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOSSPROOF_FAULT", "daemon, hang")
    script = tmp_path / "host.py"
    script.write_text(HOST)
    with subprocess.Popen(
        [sys.executable, script, shared_memory], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as host:
        while "sleep 987 " not in children():
            assert host.poll() is None
        host.send_signal(number)

        assert -number == host.wait(10)
    wait_for_none(shared_memory)

    assert (set(), set()) == (children(), shared_folders(shared_memory))


POISONED = """
import os
import numpy as np

poisoned = False

def log_softmax(logits, *, axis=-1):
    global poisoned
    if poisoned:
        os._exit(7)
    poisoned = logits.shape[axis] == 1
    shifted = logits - logits.max(axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))
"""
KNOWN = """
[[deviation]]
case = "log_softmax/axes/one-class"
expected = ["crashed", "timed out"]
reason = "It leaves the process in no state to answer another."
varies = "It is right itself."
"""


def test_what_is_known_to_end_its_process_harms_no_other(tmp_path: Path) -> None:
    adapter = tmp_path / "poisoned.py"
    adapter.write_text(POISONED)
    chosen = select(Selection(("log_softmax/axes/*",), ("float32",)))
    values = [golden for golden in chosen if golden.question == "value" and not golden.calls]
    asked = sorted(values, key=lambda golden: golden.case != "log_softmax/axes/one-class")

    unknown = ask_all(adapter, asked)
    adapter.with_name("poisoned.known.toml").write_text(KNOWN)
    known = ask_all(adapter, asked)

    assert "crashed" in unknown.values()
    assert set(unknown) == set(known)
    assert "accurate" == known["log_softmax/axes/one-class[float32-value]"]
    assert {"accurate", "stable"} == set(known.values())


def test_what_is_known_to_hang_is_not_waited_for(tmp_path: Path) -> None:
    adapter = tmp_path / "endless.py"
    adapter.write_text("def log_softmax(logits, *, axis=-1):\n    while True: pass\n")
    adapter.with_name("endless.known.toml").write_text(KNOWN)
    asked = select(Selection(("log_softmax/axes/one-class[float32-value]",)))
    with Session(find_implementation(str(adapter)), SPEC, Limits(fatal=0.5)) as session:
        session.start()

        assert {asked[0].id: ("timed out", "no answer within 0.5 s")} == recorded(session, asked)


def ask_all(adapter: Path, goldens: list[Golden]) -> dict[str, str]:
    with Session(find_implementation(str(adapter)), SPEC) as session:
        session.start()
        return {name: outcome for name, (outcome, _) in recorded(session, goldens).items()}


TENSORFLOW = """
import tensorflow as tf

def log_softmax(logits, *, axis=-1):
    return tf.nn.log_softmax(logits, axis).numpy()
"""
PADDLE = """
import paddle

def log_softmax(logits, *, axis=-1):
    return paddle.nn.functional.log_softmax(paddle.to_tensor(logits), axis).numpy()
"""


@needs("tensorflow")
@needs("paddle")
def test_frameworks_that_cannot_share_a_process_answer_in_turn(tmp_path: Path) -> None:
    chosen = select(Selection(("log_softmax/axes/*",), ("float32",)))
    asked = [golden for golden in chosen if golden.question == "value" and not golden.calls]
    sessions = []
    with ExitStack() as stack:
        for name, source in (("tensorflow", TENSORFLOW), ("paddle", PADDLE)):
            path = tmp_path / f"by_{name}.py"
            path.write_text(source)
            session = stack.enter_context(Session(find_implementation(str(path)), SPEC))
            assert "" == session.start().failed
            sessions.append(session)
        found = [str(record.outcome) for golden in asked for session in sessions for record in run(session, [golden])]

    assert len(asked) > 3
    assert len(found) == 2 * len(asked)
    assert {"accurate", "stable"} == set(found)
