"""Fakes through a whole run: what misbehaves is found for what it does, and what passes is right."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

LOSSPROOF = Path(sys.executable).parent / "lossproof"
FAKES = sorted((Path(__file__).parent / "fakes").glob("*.py"))
PLAIN = "cross_entropy/reductions/default[float32-value]"
CONTRACT = "cross_entropy/contract/dtype-follows-the-logits[float32-value]"

# The outcome and why, or the number that was answered, for the plain golden.
OUTCOMES = {
    "answers_nothing": ("wrong", "answered a NoneType, expected an array of shape ()"),
    "exits": ("crashed", "exited with 3"),
    "faulty_once": ("accurate", "0.33505380153656006"),
    "floods_stderr": ("wrong", "0.5"),
    "hangs": ("timed out", "no answer within 5 s"),
    "leaves_child": ("crashed", "exited with 4"),
    "mutates_inputs": ("wrong", "overwrote its input logits"),
    "not_implemented": ("unsupported", "this fake offers nothing"),
    "prints_garbage": ("crashed", "wrote 'garbage' to its reply stream"),
    "prints_stdout": ("wrong", "0.5"),
    "raises": ("raised", "ValueError: this fake raises"),
    "segfaults": ("crashed", "killed by SIGSEGV"),
    "sys_exits": ("raised", "SystemExit: this fake exits"),
    "wrong_dtype": ("accurate", "0.33505380153656006"),
    "wrong_shape": ("wrong", "answered the shape (1,), expected ()"),
    "wrong_type": ("wrong", "answered a str, expected an array of shape ()"),
}


def run(folder: Path, fakes: Iterable[Path], golden: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code of a run of one golden, and its records."""
    finished = subprocess.run(
        [LOSSPROOF, "run", *fakes, "--cases", golden, "--timeout", "5", "--json"],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    lines = map(json.loads, finished.stdout.splitlines())
    return finished.returncode, [line for line in lines if line["type"] == "record"]


def shown(record: Mapping[str, Any]) -> tuple[str, str]:
    return record["outcome"], record.get("reason") or record["got"]


def test_each_fake_is_found_for_what_it_does(tmp_path: Path) -> None:
    code, records = run(tmp_path, FAKES, PLAIN)

    assert 1 == code
    assert {record["implementation"]: shown(record) for record in records} == OUTCOMES


def test_a_wrong_dtype_breaks_the_contract(tmp_path: Path) -> None:
    code, (record,) = run(tmp_path, [path for path in FAKES if path.stem == "wrong_dtype"], CONTRACT)

    assert 1 == code
    assert ("wrong", "answered the dtype float64, expected float32") == shown(record)
