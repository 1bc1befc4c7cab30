"""Memory that is missing: what the system says, and what a huge golden then needs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_goldens import SPEC, golden, stored

from lossproof.implementations import find_implementation
from lossproof.memory import available_memory
from lossproof.outcome import Outcome
from lossproof.run import Selection, Session, missing_memory, select
from lossproof.spec.golden import Golden

GIB = 2**30
MEMINFO = "MemTotal:       24684084 kB\nMemFree:         1000000 kB\nMemAvailable:   23050192 kB\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [(MEMINFO, 23050192 * 1024), ("MemTotal: 1 kB\n", None), ("", None)],
    ids=["linux", "an old kernel", "nothing"],
)
def test_memory_is_what_the_system_says_is_available(tmp_path: Path, text: str, expected: int | None) -> None:
    (tmp_path / "meminfo").write_text(text)

    assert expected == available_memory(tmp_path / "meminfo")


def test_a_system_that_says_nothing_has_an_unknown_amount(tmp_path: Path) -> None:
    assert available_memory(tmp_path / "nothing") is None


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
