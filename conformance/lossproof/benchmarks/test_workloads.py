"""A benchmark for each workload, question and implementation that `--lossproof-implementation` names."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from lossproof.bench import (
    NotTimedError,
    bytes_of,
    loops_of_a_round,
    seconds_per_call,
    timed_request,
    workload_id,
)
from lossproof.benchmarks.clock import WorkerClock
from lossproof.benchmarks.correct import why_not_timed
from lossproof.case import QUESTIONS, Question
from lossproof.declaration import Declaration
from lossproof.pytest_sessions import NotStartedError, Opened, open_implementation, read_spec_once, with_options
from lossproof.spec.workloads import Workload, read_workloads

_CLOCK = WorkerClock()
_workloads = cache(read_workloads)

# Why an operation is not timed, by implementation, operation, dtype and question: it is judged once.
_REASONS: pytest.StashKey[dict[tuple[str, str, str, Question], str]] = pytest.StashKey()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each implementation, workload and question; their names are the parameters, as JSON shows them."""
    config = metafunc.config
    if hasattr(config, "workerinput"):
        raise pytest.Collector.CollectError("processes that run side by side distort each other's times: leave out -n")
    chosen = list(_chosen(config))
    metafunc.parametrize(
        ("implementation", "workload", "question"),
        [(stated.implementation, workload.name, question) for stated, workload, question in chosen],
        ids=[f"{stated.implementation}-{workload_id(workload, question)}" for stated, workload, question in chosen],
    )


def _chosen(config: pytest.Config) -> Iterator[tuple[Declaration, Workload, Question]]:
    declarations = with_options(Declaration(), config, Path())
    if not declarations:
        raise pytest.Collector.CollectError("no implementation is named: pass --lossproof-implementation NAME")
    for stated in declarations:
        try:
            opened = open_implementation(stated, config)
        except NotStartedError as why:
            raise pytest.Collector.CollectError(str(why)) from None
        offered = [each for each in _workloads().values() if each.operation in opened.subject.offered]
        workloads = [each for each in offered if _takes(stated, each)]
        if not workloads:
            names = ", ".join(f"{each.operation}/{each.name}" for each in offered) or "none"
            raise pytest.Collector.CollectError(f"no workload is selected of those of {opened.subject.name}: {names}")
        yield from ((stated, workload, question) for workload in workloads for question in QUESTIONS)


def _takes(stated: Declaration, workload: Workload) -> bool:
    name = f"{workload.operation}/{workload.name}"
    by_name = not stated.cases or any(fnmatch.fnmatchcase(name, glob) for glob in stated.cases)
    return by_name and (not stated.dtypes or workload.dtype in stated.dtypes)


@pytest.mark.benchmark(timer=_CLOCK)
def test_workload(
    benchmark: BenchmarkFixture,
    implementation: str,
    workload: str,
    question: Question,
    pytestconfig: pytest.Config,
) -> None:
    """Times one call; skipped where the answers are not right, because a wrong answer is easily had fast."""
    stated = next(s for s in with_options(Declaration(), pytestconfig, Path()) if s.implementation == implementation)
    opened, chosen = open_implementation(stated, pytestconfig), _workloads()[workload]
    reasons = pytestconfig.stash.setdefault(_REASONS, {})
    key = (implementation, chosen.operation, chosen.dtype, question)
    if key not in reasons:
        reasons[key] = why_not_timed(opened, chosen.operation, chosen.dtype, question)
    if reasons[key]:
        pytest.skip(f"{opened.subject.name} {reasons[key]}")
    benchmark.group = workload_id(chosen, question)
    benchmark.extra_info.update(_facts(opened, chosen, question))

    try:
        _time(benchmark, opened, chosen, question, pytestconfig)
    except NotTimedError as why:
        if why.unsupported:
            pytest.skip(f"{opened.subject.name}: {why}")
        pytest.fail(f"{opened.subject.name} {why}", pytrace=False)


def _facts(opened: Opened, workload: Workload, question: Question) -> dict[str, str | int]:
    subject = opened.subject
    return {
        "implementation": subject.name,
        "package": subject.package,
        "version": subject.version,
        "device": subject.device,
        "operation": workload.operation,
        "workload": workload.name,
        "question": question,
        "dtype": workload.dtype,
        "bytes": bytes_of(workload, question),
    }


def _time(
    benchmark: BenchmarkFixture, opened: Opened, workload: Workload, question: Question, config: pytest.Config
) -> None:
    session = opened.session
    request = timed_request(session, workload, read_spec_once().operations[workload.operation], question)
    loops = loops_of_a_round(session, request)
    round_seconds = loops * seconds_per_call(session, request, loops)
    rounds = math.ceil(float(config.getoption("benchmark_max_time")) / round_seconds)
    benchmark.extra_info["loops"] = loops

    def call() -> None:
        _CLOCK.add(seconds_per_call(session, request, loops))

    rounds = max(rounds, config.getoption("benchmark_min_rounds"))
    benchmark.pedantic(call, rounds=rounds)
