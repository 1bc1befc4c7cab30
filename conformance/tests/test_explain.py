"""`lossproof explain`: where the implementation runs, and what is printed of it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner, Result

from lossproof.cli import main

CASE = "cross_entropy/ignore-index/default-mean[float32-value]"
FAKES = Path(__file__).parent / "fakes"


def explain(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["explain", *arguments])


def interpreter(folder: Path, variable: str) -> str:
    """An interpreter whose environment holds a variable."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\n{variable}=1 exec {shlex.quote(sys.executable)} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return str(path)


# Where it runs


def test_the_adapter_runs_in_the_python_that_is_named(adapter: Callable[[str], Path], tmp_path: Path) -> None:
    path = adapter("import os\n\ndef cross_entropy(logits, target):\n    raise ValueError(os.environ.get('MARKED'))\n")

    printed = explain(CASE, str(path), "--python", interpreter(tmp_path, "MARKED"))

    assert (0, True) == (printed.exit_code, "  ValueError: 1\n" in printed.output), printed.output


def test_a_program_is_explained_as_run_names_it() -> None:
    program = shlex.join([sys.executable, "-c", "raise SystemExit('no port')"])

    printed = explain(CASE, "--exec", program)

    assert 3 == printed.exit_code
    assert f"lossproof: {program} was not started: exited with 1\n" == printed.stderr


def test_several_implementations_are_2_and_named() -> None:
    printed = explain(CASE, "numpy==2", "--python", sys.executable)

    assert 2 == printed.exit_code
    assert "expected one implementation, got " in printed.stderr
    assert "textbook_definition@numpy==2" in printed.stderr
