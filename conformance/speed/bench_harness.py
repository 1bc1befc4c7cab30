"""How fast the harness itself is: `pytest conformance/speed --benchmark-disable-gc`; no time is a pass or a failure."""

from __future__ import annotations

import importlib.util
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from lossproof.implementations import find_implementation
from lossproof.run import run
from lossproof.selection import Selection, select
from lossproof.session import Session
from lossproof.spec.golden import golden_files, load_goldens
from lossproof.spec.read import read_spec

LARGEST = 100  # elements of a golden's largest input
AT_ONCE = """
import numpy as np

answer = np.zeros(())


def cross_entropy(logits, target, **parameters):
    return answer


def cross_entropy_vjp(cotangent, logits, target, **parameters):
    return answer
"""
COMMAND = (sys.executable, "-c", "from lossproof.cli import main; main()")


@pytest.fixture
def one_core() -> Iterator[None]:
    """This process, and the workers that it starts, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.usefixtures("one_core")
def bench_goldens_a_second(benchmark: BenchmarkFixture) -> None:
    """numpy_reference, host and worker on one core, over goldens of up to 100 elements."""
    goldens = [
        golden
        for golden in select(Selection())
        if all(math.prod(tensor["shape"]) <= LARGEST for tensor in golden.inputs.values())
    ]
    with Session(find_implementation("numpy_reference"), read_spec()) as session:
        session.start()
        records = benchmark.pedantic(lambda: list(run(session, goldens)), rounds=10, warmup_rounds=1)

    assert benchmark.stats is not None, "pedantic has run"
    rate = round(len(records) / benchmark.stats.stats.median)
    benchmark.extra_info["goldens a second"] = rate
    print(f"\n{len(records)} goldens, {rate} a second (median of the rounds)")


@pytest.mark.parametrize("judged", [False, True], ids=["asked", "asked-and-judged"])
def bench_overhead(judged: bool, benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """What host and protocol cost beside the losses: an adapter that answers at once, over goldens of any size."""
    path = tmp_path / "at_once.py"
    path.write_text(AT_ONCE, encoding="utf-8")
    with Session(find_implementation(str(path)), read_spec(), names_faults=False) as session:
        session.start()
        goldens = [
            golden
            for golden in select(Selection(), ["cross_entropy"])
            if not golden.calls and not session.declared_unsupported(golden)
        ]

        def ask() -> int:
            if judged:
                return sum(1 for _ in session.ask(goldens))
            return sum(1 for _ in session.replies(session.request(golden) for golden in goldens))

        count = benchmark.pedantic(ask, rounds=5, warmup_rounds=1)

    assert benchmark.stats is not None, "pedantic has run"
    microseconds = round(benchmark.stats.stats.median / count * 1e6)
    benchmark.extra_info["µs a golden"] = microseconds
    print(f"\n{count} goldens, {microseconds} µs each (median of the rounds)")


@pytest.mark.parametrize("operation", golden_files())
def bench_loading(benchmark: BenchmarkFixture, operation: str) -> None:
    """The golden file of one operation, read and checked."""
    path: Path = golden_files()[operation]

    benchmark.pedantic(lambda: load_goldens(path), rounds=10)


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help"), ("list",), ("run", "numpy_reference"), ("run",)])
def bench_command(benchmark: BenchmarkFixture, arguments: tuple[str, ...]) -> None:
    """A command, from its start to its end."""
    benchmark.pedantic(command(*arguments), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize(
    ("implementation", "framework"),
    [("torch_eager", "torch"), ("optax_losses", "optax"), ("jax_eager", "jax"), ("jax_jit", "jax")],
)
def bench_default_run(benchmark: BenchmarkFixture, implementation: str, framework: str) -> None:
    """The whole default run of a framework's adapter, its start and its compilation included."""
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")

    benchmark.pedantic(command("run", implementation), rounds=2)


def bench_import(benchmark: BenchmarkFixture) -> None:
    """`import lossproof` in a new interpreter."""
    benchmark.pedantic(
        lambda: subprocess.run([sys.executable, "-c", "import lossproof"], check=True), rounds=10, warmup_rounds=1
    )


def command(*arguments: str) -> Callable[[], object]:
    """Runs the command, whatever its exit code."""
    return lambda: subprocess.run([*COMMAND, *arguments], stdout=subprocess.DEVNULL, check=False)
