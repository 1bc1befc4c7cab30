"""What host and protocol cost beside the losses: goldens asked of an adapter that answers at once.

`pytest conformance/speed` prints the time of all goldens; the column OPS, times `goldens`, is goldens a second.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from lossproof.implementations import find_implementation
from lossproof.run import Selection, Session, read_spec, select

AT_ONCE = '''"""Answers at once, and wrong."""

import numpy as np

answer = np.zeros(())


def cross_entropy(logits, target, **parameters):
    return answer


def cross_entropy_vjp(cotangent, logits, target, **parameters):
    return answer
'''


@pytest.mark.parametrize("question", ["asked", "asked and judged"])
def test_overhead_of_a_golden(question: str, benchmark: BenchmarkFixture, tmp_path: Path) -> None:
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
            if question == "asked":
                return sum(1 for _ in session.replies(session.request(golden) for golden in goldens))
            return sum(1 for _ in session.ask(goldens))

        count = benchmark.pedantic(ask, rounds=5, warmup_rounds=1)
    assert benchmark.stats
    microseconds = benchmark.stats.stats.median / count * 1e6
    benchmark.extra_info |= {"goldens": count, "microseconds_a_golden": round(microseconds, 1)}
    print(f"\n{question}: {microseconds:.0f} µs a golden, the median of 5 rounds over {count} goldens")
