"""`lossproof explain`: where the implementation runs, and what is printed of it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lossproof.cli import main
from lossproof.processes.script import Ended, run_script
from lossproof.reports.issue import called
from lossproof.selection import Selection, select

CASE = "cross_entropy/ignore-index/default-mean[float32-value]"
TRUE_VALUE = next(each for each in select(Selection((CASE,))) if each.id == CASE).answers[0]["values"][0]
VERSION = metadata.version("numpy")


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


# The bug report

LOSS = "def cross_entropy(logits, target):\n    return {}\n"
MEAN = (
    "import numpy as np\n\ndef cross_entropy(logits, target, *, ignore_index=-100, reduction='mean', "
    "label_smoothing=0.0):\n    kept = target != ignore_index\n    rows = logits[kept] - logits[kept].max(1)[:, None]\n"
    "    losses = np.log(np.exp(rows).sum(1)) - rows[np.arange(len(rows)), target[kept]]\n    return {}\n"
)


def fenced(report: str, language: str) -> str:
    block = re.search(rf"^```{language}\n(.*?)^```$", report, re.DOTALL | re.MULTILINE)
    assert block is not None, report
    return block[1]


def reported(case: str, path: Path) -> str:
    printed = explain(case, str(path), "--report")
    assert (0, "") == (printed.exit_code, printed.stderr), printed.output
    return printed.output


def printed_block(report: str) -> str:
    return fenced(report.partition("## Reproduction")[2], "text")


def test_the_script_of_a_report_prints_what_the_report_says(adapter: Callable[[str], Path], tmp_path: Path) -> None:
    report = reported(CASE, adapter(MEAN.format("losses.mean() / 2")))
    (tmp_path / "pasted.py").write_text(fenced(report, "python"), encoding="utf-8")

    alone = subprocess.run(
        [sys.executable, "-I", tmp_path / "pasted.py"], capture_output=True, encoding="utf-8", timeout=60, check=True
    )

    assert alone.stdout == printed_block(report)
    assert f"| – | {TRUE_VALUE} | {float(alone.stdout)!r}"[:40] in report


def test_a_report_says_what_is_wrong_and_what_was_expected(adapter: Callable[[str], Path]) -> None:
    title, _, said, _, heading, _, why, *_ = reported(CASE, adapter(MEAN.format("losses.mean() / 2"))).splitlines()

    half = float(TRUE_VALUE) / 2
    assert f"# cross_entropy: float32 value is {half:.6g} instead of {float(TRUE_VALUE):.6g} (numpy {VERSION})" == title
    assert f"; the true value is {TRUE_VALUE}." in said
    assert "## Expected" == heading
    assert why.startswith("Label −100 is ignored although ignore_index is not stated. On this very input the rounding")


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("import scipy.special as S\n" + LOSS.format("S.log_softmax(logits)"), "scipy.special.log_softmax"),
        ("from scipy import special\n" + LOSS.format("special.log_softmax(logits)"), "scipy.special.log_softmax"),
        ("from a import nll\nimport b.nll_c\n" + LOSS.format("nll(b.nll_c)"), "cross_entropy"),
        ("import torch.nn.functional as F\n" + LOSS.format("F.nll_loss(logits)"), "torch.nn.functional.nll_loss"),
        (
            "import jax\nfrom o import log_loss\n" + LOSS.format("jax.jit(log_loss)"),
            "o.log_loss through jax.jit",
        ),
    ],
)
def test_the_title_names_the_one_loss_of_the_library(source: str, title: str) -> None:
    assert title == called(source, "cross_entropy")


def test_an_exception_is_printed_without_its_traceback(adapter: Callable[[str], Path]) -> None:
    report = reported(CASE, adapter(LOSS.format("int('one\\ntwo')")))

    assert "float32 value raises ValueError (numpy " in report.partition("\n")[0]
    assert "It ended with exit status 1, and prints:" in report
    assert "ValueError: invalid literal for int() with base 10: 'one\\ntwo'\n" == printed_block(report)


def test_a_crash_is_named_by_its_signal(adapter: Callable[[str], Path]) -> None:
    report = reported(CASE, adapter("import os\n" + LOSS.format("os.abort()")))

    assert "cross_entropy: the process is killed by SIGABRT" in report.partition("\n")[0]
    assert "It was killed by SIGABRT and prints nothing." in report


def test_what_must_be_refused_is_called_so(adapter: Callable[[str], Path]) -> None:
    report = reported("cross_entropy/errors/negative-smoothing", adapter(MEAN.format("losses.mean()")))

    assert "# cross_entropy: an answer instead of an exception" in report.partition("\n")[0]
    assert "This must be refused with an exception." in report
    assert "`cross_entropy/errors/negative-smoothing[float32-value]`" in report


def test_a_script_that_does_not_show_it_is_said_to(adapter: Callable[[str], Path]) -> None:
    report = reported(CASE, adapter(MEAN.format("losses.mean() if __name__ == '__main__' else int('x')")))

    assert "**This run of the script does not show what was seen before**: Asked for the float32 value, it" in report


def test_a_known_deviation_brings_its_link_and_its_reason(adapter: Callable[[str], Path]) -> None:
    path = adapter(MEAN.format("losses.mean() / 2"))
    path.with_suffix(".known.toml").write_text(
        '[[deviation]]\ncase = "*"\nexpected = "wrong"\nreason = "It is halved."\nlink = "https://example.org/1"\n'
    )

    report = reported(CASE, path)

    assert "\n\nKnown: https://example.org/1\n\n" in report
    assert "\nIt is halved.\n" in report


def test_a_case_that_fails_in_several_ways_is_one_report_that_names_them(adapter: Callable[[str], Path]) -> None:
    report = reported(CASE.partition("[")[0], adapter(MEAN.format("losses.mean() / 2")))

    assert "float32 value is" in report.partition("\n")[0]
    assert "- `cross_entropy/ignore-index/default-mean[float64-value]`: float64 value is " in report


def test_where_there_is_no_script_the_report_says_why_and_has_the_inputs(adapter: Callable[[str], Path]) -> None:
    case = "cross_entropy/relations/mean-of-none[float32-relation]"

    report = reported(case, adapter(MEAN.format("losses.mean() / 2")))

    assert "There is no script of the framework alone: it takes several calls whose answers must agree" in report
    assert "\n  logits = float32 (" in report


@pytest.mark.parametrize(
    ("case", "body", "code", "message"),
    [
        (CASE, "losses.mean()", 2, f"expected a golden that fails, got {CASE}: accurate"),
        ("cross_entropy/ignore-index/default-*", "losses.mean() / 2", 2, "expected one case that fails, got cross_ent"),
        (
            "cross_entropy/weights/all-classes-weigh-zero-mean",
            "losses.mean()",
            4,
            "my_loss does not support cross_entropy/we",
        ),
        ("log_softmax/axes/first", "losses.mean()", 4, "my_loss does not offer log_softmax"),
    ],
)
def test_what_no_report_can_be_made_of(
    adapter: Callable[[str], Path], case: str, body: str, code: int, message: str
) -> None:
    printed = explain(case, str(adapter(MEAN.format(body))), "--report")

    assert (code, "") == (printed.exit_code, printed.stdout)
    assert message in printed.stderr


def test_a_report_is_on_an_implementation() -> None:
    printed = explain(CASE, "--report")

    assert (2, "") == (printed.exit_code, printed.stdout)
    assert "--report: expected an IMPLEMENTATION" in printed.stderr


@pytest.mark.parametrize(
    ("script", "ended"),
    [
        ("print('a')", Ended("a\n", "", 0, "ended with exit status 0")),
        ("raise SystemExit('b')", Ended("", "b\n", 1, "ended with exit status 1")),
        ("import os; os.kill(os.getpid(), 9)", Ended("", "", -9, "was killed by SIGKILL")),
        ("print('c', flush=True)\nwhile True: pass", Ended("c\n", "", None, "did not end within 3 s")),
    ],
)
def test_how_a_script_ends(script: str, ended: Ended) -> None:
    assert ended == run_script([sys.executable], script, seconds=3)
