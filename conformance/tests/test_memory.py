"""Memory: what the system says, what a huge golden needs of it, and what a process may take."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_goldens import SPEC, golden, stored

from lossproof.implementations import find_implementation
from lossproof.memory import available_memory
from lossproof.outcome import Outcome
from lossproof.processes.allowance import allowance, limit_memory
from lossproof.processes.connect import Answered, Launch, Limits, Request, Worker
from lossproof.processes.wire import encode
from lossproof.request import missing_memory
from lossproof.selection import Selection, select
from lossproof.session import Session
from lossproof.spec.golden import Golden

linux = pytest.mark.skipif(sys.platform != "linux", reason="limits are Linux's")

GIB = 2**30
MEMINFO = "MemTotal:       24684084 kB\nMemFree:         1000000 kB\nMemAvailable:   23050192 kB\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [(MEMINFO, 23050192 * 1024), ("MemTotal: 1 kB\n", None), ("", None)],
    ids=["linux", "an old kernel", "nothing"],
)
def test_memory_is_what_the_system_says_is_available(tmp_path: Path, text: str, expected: int | None) -> None:
    (tmp_path / "meminfo").write_text(text)

    assert expected == available_memory(tmp_path / "meminfo", tmp_path)


def test_a_system_that_says_nothing_has_an_unknown_amount(tmp_path: Path) -> None:
    assert available_memory(tmp_path / "nothing", tmp_path) is None


@pytest.mark.parametrize(
    ("most", "expected"),
    [("4000", 4000 - 3000 + 500), ("2000", 0), ("max", 23050192 * 1024), ("99999999999999", 23050192 * 1024)],
    ids=["less than the machine", "used up", "any", "more than the machine"],
)
def test_a_container_has_what_it_is_given(tmp_path: Path, most: str, expected: int) -> None:
    (tmp_path / "meminfo").write_text(MEMINFO)
    (tmp_path / "memory.max").write_text(f"{most}\n")
    (tmp_path / "memory.current").write_text("3000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 500\nactive_file 7\n")

    assert expected == available_memory(tmp_path / "meminfo", tmp_path)


def huge(dtype: str, question: str) -> Golden:
    """2³¹ elements: 65536 copies of a row of 32768."""
    logits = {"dtype": dtype, "shape": [1, 32768], "recipe": "hash"}
    target = {"dtype": "int64", "shape": [1], "values": [0]}
    inputs = {"logits": logits, "target": target}
    return golden(dtype, stored(["1"]), question=question, inputs=inputs, profile="huge", copies=65536)


@pytest.mark.parametrize(
    ("dtype", "question", "needed"),
    [("bfloat16", "value", 8), ("float32", "value", 16), ("bfloat16", "gradient", 16), ("float32", "gradient", 32)],
)
def test_a_huge_golden_needs_two_arrays_of_its_size_and_four_for_a_derivative(
    dtype: str, question: str, needed: int
) -> None:
    made = huge(dtype, question)

    found = missing_memory(made, needed * GIB), missing_memory(made, (needed - 1) * GIB)

    assert ("", f"needs {needed} GiB of memory, {needed - 1} are available") == found


def test_where_nobody_knows_the_memory_everything_is_asked() -> None:
    assert "" == missing_memory(huge("float32", "value"), None)


def test_a_golden_that_no_memory_holds_is_unsupported_with_the_reason() -> None:
    (chosen,) = select(Selection(("log_softmax/axes/first[float32-value]",)))
    endless = replace(chosen, copies=2**50)

    with Session(find_implementation("numpy_reference"), SPEC) as session:
        session.start()
        (asked,) = session.ask([endless])

    assert Outcome.UNSUPPORTED == asked.judgement.outcome
    assert asked.judgement.reason.startswith("needs ")
    assert " GiB of memory, " in asked.judgement.reason


LIMIT = """
import resource
def cross_entropy(logits, target): return resource.getrlimit(resource.RLIMIT_DATA)[0]
"""


def said(path: Path, memory: int | None = None) -> int:
    """What an adapter answers in a worker that may take so many bytes."""
    request = Request("cross_entropy", "value", (encode(np.ones((1, 2))), encode(np.array([0]))), {})
    with Worker(Launch(("cross_entropy",), {"path": str(path)}), Limits(memory=memory)) as worker:
        reply = worker.ask_one(request)
    assert isinstance(reply, Answered)
    assert reply.array is not None
    return int(reply.array)


@linux
def test_a_worker_may_take_what_is_stated(adapter: Callable[[str], Path]) -> None:
    assert 3 * GIB == said(adapter(LIMIT), 3 * GIB)


@linux
def test_a_worker_may_take_most_of_what_is_available(adapter: Callable[[str], Path]) -> None:
    before = available_memory()
    assert before is not None

    assert 0.5 * before < said(adapter(LIMIT)) < before + GIB


@linux
def test_a_system_without_memory_ends_a_worker_first(adapter: Callable[[str], Path]) -> None:
    path = adapter("def cross_entropy(*arrays): return int(open('/proc/self/oom_score_adj').read())\n")

    assert 1000 == said(path)


@linux
def test_no_worker_may_take_more_than_the_system_lets_it() -> None:
    command = ["bash", "-c", "ulimit -Sd 1048576; ulimit -Hd 2097152; echo ready; read -r; ulimit -Sd; ulimit -Hd"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        child.stdout.readline()
        limit_memory(child.pid, 3 * GIB)
        out, _ = child.communicate("\n")

    assert "2097152\n2097152\n" == out


def test_a_gpu_may_map_what_it_likes() -> None:
    assert allowance("cuda:1") is None
