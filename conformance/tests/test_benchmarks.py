"""Benchmarks: the worker's own times, of right answers only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pytest_runs import FAKES, PytestRun, run_pytest

from lossproof.bench import ROUND, NotTimedError, loops_of_a_round, seconds_per_call, timed_request
from lossproof.implementations import find_implementation
from lossproof.paths import IMPLEMENTATIONS
from lossproof.processes.connect import Request
from lossproof.session import Session
from lossproof.spec.read import read_spec
from lossproof.spec.workloads import Workload, read_workloads

WORKLOAD = "nll-loss-imagenet"
QUICK = ("--benchmark-max-time=0.02", "--benchmark-min-rounds=2", f"--lossproof-cases=nll_loss/{WORKLOAD}")


def run_benchmarks(folder: Path, implementation: str | Path, *arguments: str) -> PytestRun:
    named = ("--lossproof-implementation", str(implementation))
    return run_pytest(folder, "--pyargs", "lossproof.benchmarks", *named, *QUICK, *arguments)


def benchmarks_of(folder: Path) -> dict[str, Any]:
    data = json.loads((folder / "benchmarks.json").read_text())
    return {each["params"]["question"]: each for each in data["benchmarks"]}


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The benchmarks of the NumPy reference, as pytest-benchmark writes them."""
    folder = tmp_path_factory.mktemp("timed")
    run = run_benchmarks(folder, "numpy_reference", "--benchmark-json=benchmarks.json")
    assert (0, {"passed": 2}) == (run.code, run.counts)
    return benchmarks_of(folder)


def test_forward_and_backward_are_timed(timed: dict[str, Any]) -> None:
    assert {"value", "gradient"} == timed.keys()


def test_facts_stand_beside_the_times(timed: dict[str, Any]) -> None:
    workload, facts = read_workloads()[WORKLOAD], timed["gradient"]["extra_info"]

    expected = {"implementation": "numpy_reference", "package": "numpy", "device": "cpu", "operation": "nll_loss"}
    expected |= {"workload": WORKLOAD, "question": "gradient", "dtype": "float32"}
    assert {**expected, "bytes": workload.gradient_bytes} == {
        name: value for name, value in facts.items() if name not in ("version", "loops")
    }
    assert facts["version"]
    assert facts["loops"] >= 1


def test_implementations_are_compared_by_workload(timed: dict[str, Any]) -> None:
    assert f"nll_loss/{WORKLOAD}[float32-value]" == timed["value"]["group"]


def test_time_is_that_of_the_worker(timed: dict[str, Any]) -> None:
    assert "WorkerClock" == timed["value"]["options"]["timer"]


def test_wrong_answers_are_not_timed(tmp_path: Path) -> None:
    source = (FAKES / "raises.py").read_text().replace("cross_entropy(logits", "nll_loss(log_probs")
    (tmp_path / "mine.py").write_text(source)

    run = run_benchmarks(tmp_path, "mine.py")

    assert {"skipped": 2} == run.counts
    assert "mine does not pass nll_loss: " in "".join(run.texts.values())


def test_a_known_deviation_is_no_finding_and_timed(tmp_path: Path) -> None:
    source = (IMPLEMENTATIONS / "numpy_reference.py").read_text()
    (tmp_path / "mine.py").write_text(
        source.replace("def nll_loss(", "def _nll_loss(")
        + "\n\ndef nll_loss(log_probs, target, *, reduction='mean', **parameters):\n"
        "    known = reduction if reduction in ('none', 'sum') else 'mean'\n"
        "    return _nll_loss(log_probs, target, reduction=known, **parameters)\n"
    )
    (tmp_path / "mine.known.toml").write_text(
        '[[deviation]]\ncase = "nll_loss/errors/unknown-reduction"\nexpected = "wrong"\nreason = "It is a fake."\n'
    )

    run = run_benchmarks(tmp_path, "mine.py")

    assert {"passed": 2} == run.counts


def test_gradients_that_are_unsupported_are_skipped(tmp_path: Path) -> None:
    source = (IMPLEMENTATIONS / "numpy_reference.py").read_text().replace("def nll_loss_vjp(", "def _nll_loss_vjp(")
    (tmp_path / "mine.py").write_text(source)

    run = run_benchmarks(tmp_path, "mine.py")

    assert {"passed": 1, "skipped": 1} == run.counts
    assert "mine: offers no gradient" in "".join(run.texts.values())


def test_processes_side_by_side_are_an_error(tmp_path: Path) -> None:
    run = run_benchmarks(tmp_path, "numpy_reference", "-n2", "-Wignore")

    assert run.code not in (0, 5)
    assert "processes that run side by side distort each other's times" in run.output


def test_no_workload_is_an_error(tmp_path: Path) -> None:
    run = run_benchmarks(tmp_path, FAKES / "raises.py")

    assert 2 == run.code
    assert "no workload is selected of those of raises: cross_entropy/" in run.output


def test_without_an_implementation_it_is_an_error(tmp_path: Path) -> None:
    run = run_pytest(tmp_path, "--pyargs", "lossproof.benchmarks")

    assert 2 == run.code
    assert "no implementation is named" in run.output


def session_of(path: Path) -> Session:
    session = Session(find_implementation(str(path)), read_spec())
    session.start()
    return session


def request_of(session: Session) -> Request:
    workload: Workload = read_workloads()[WORKLOAD]
    return timed_request(session, workload, read_spec().operations["nll_loss"], "value")


def test_seconds_are_those_of_one_call(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import time\n\n"
        "def nll_loss(log_probs, target, **parameters):\n    time.sleep(0.01)\n    return log_probs[0, 0]\n"
    )

    with session_of(tmp_path / "mine.py") as session:
        seconds = seconds_per_call(session, request_of(session), 4)

    assert 0.01 <= seconds < 0.02


def test_round_has_calls_enough_for_the_clock(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import time\n\n"
        "def nll_loss(log_probs, target, **parameters):\n    time.sleep(0.001)\n    return log_probs[0, 0]\n"
    )

    with session_of(tmp_path / "mine.py") as session:
        loops = loops_of_a_round(session, request_of(session))

    assert 1 < loops <= 1.1 * ROUND / 0.001 + 1


def test_exception_is_no_time(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def nll_loss(log_probs, target, **parameters):\n    raise ValueError('mine')\n")

    with session_of(tmp_path / "mine.py") as session, pytest.raises(NotTimedError, match="raised ValueError: mine"):
        seconds_per_call(session, request_of(session), 1)
