"""The shipped pytest items: `pytest --pyargs lossproof.suite`."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_runs import FAKES, PytestRun, run_pytest

CASE = "cross_entropy/ignore-index/all-ignored-mean"
VALUE = f"{CASE}[float32-value]"

# 1 + tiny loses digits of tiny in the logarithm: stable, not accurate.
PLAIN = """
import numpy as np

def cross_entropy(logits, target):
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -log_probabilities[np.arange(len(target)), target].mean()
"""


def run_suite(folder: Path, implementations: list[str], *arguments: str) -> PytestRun:
    named = [word for name in implementations for word in ("--lossproof-implementation", name)]
    return run_pytest(folder, "--pyargs", "lossproof.suite", *named, *arguments)


def test_each_golden_is_an_item(tmp_path: Path) -> None:
    run = run_suite(tmp_path, ["numpy_reference"], "--lossproof-cases", CASE, "-v")

    assert (0, {"passed": 8}) == (run.code, run.counts)
    assert f"test_goldens.py::test_golden::numpy_reference::{VALUE} PASSED" in run.output


def test_dtypes_are_chosen_by_an_option(tmp_path: Path) -> None:
    run = run_suite(tmp_path, ["numpy_reference"], "--lossproof-cases", CASE, "--lossproof-dtype", "float32")

    assert {VALUE: "passed", f"{CASE}[float32-gradient]": "passed"} == run.results


def test_several_implementations_each_have_their_items(tmp_path: Path) -> None:
    raises = str(FAKES / "raises.py")

    run = run_suite(tmp_path, ["numpy_reference", raises], "--lossproof-cases", VALUE, "-v")

    assert 1 == run.code
    assert f"::numpy_reference::{VALUE} PASSED" in run.output
    assert f"::{raises}::{VALUE} FAILED" in run.output


def test_items_are_distributed_over_processes(tmp_path: Path) -> None:
    run = run_suite(tmp_path, ["numpy_reference"], "--lossproof-cases", CASE, "-n2", "-v")

    assert (0, {"passed": 8}) == (run.code, run.counts)
    assert "[gw0]" in run.output
    assert "[gw1]" in run.output
    assert "8 judged" in run.output


@pytest.mark.parametrize(("required", "result"), [("accurate", "failure"), ("stable", "passed")])
def test_grade_that_is_required_is_an_option(tmp_path: Path, required: str, result: str) -> None:
    golden = "cross_entropy/confident/confident-mean[float32-value]"
    (tmp_path / "mine.py").write_text(PLAIN)

    run = run_suite(tmp_path, ["mine.py"], "--lossproof-cases", golden, "--lossproof-require", required)

    assert {golden: result} == run.results


def test_operation_of_a_single_function_is_an_option(tmp_path: Path) -> None:
    (tmp_path / "losses.py").write_text("def nll(log_probs, target, reduction='mean'):\n    raise ValueError('mine')\n")
    wanted = ["--lossproof-as", "nll_loss", "--lossproof-framework", "numpy", "--lossproof-cases", "nll_loss/plain/*"]

    run = run_suite(tmp_path, ["losses:nll"], *wanted)

    assert run.counts["failure"] > 0
    assert "ValueError: mine" in run.output


def test_without_an_implementation_it_is_an_error(tmp_path: Path) -> None:
    run = run_suite(tmp_path, [])

    assert 2 == run.code
    assert "no implementation is named: pass --lossproof-implementation" in run.output


def test_implementation_that_does_not_start_does_not_hide_behind_another(tmp_path: Path) -> None:
    run = run_suite(tmp_path, ["numpy_reference", "no_such.losses"], "--lossproof-cases", VALUE)

    assert 2 == run.code
    assert "no_such.losses could not be started" in run.output


def test_others_run_where_one_does_not_start_if_pytest_is_told_to_go_on(tmp_path: Path) -> None:
    run = run_suite(
        tmp_path,
        ["no_such.losses", "numpy_reference"],
        "--lossproof-cases",
        VALUE,
        "--continue-on-collection-errors",
    )

    assert (1, "passed") == (run.code, run.results[VALUE])
