"""The pytest plugin: what a line in a user's test file gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_runs import FAKES, ROOT, run_pytest

import lossproof
from lossproof import declaration, pytest_tally
from lossproof.judge import kind_of
from lossproof.numerics import DTYPES
from lossproof.outcome import GRADES, Outcome
from lossproof.paths import IMPLEMENTATIONS
from lossproof.selection import Selection, select
from lossproof.spec.read import read_spec

CASE = "cross_entropy/ignore-index/all-ignored-mean"
VALUE = f"{CASE}[float32-value]"
LINE = """
import lossproof

test_mine = lossproof.conformance({0!r}, cases=[{1!r}], dtypes=["float32"])
"""


def declare(folder: Path, implementation: object, case: str = CASE) -> Path:
    path = folder / "test_mine.py"
    path.write_text(LINE.format(str(implementation), case))
    return path


def test_goldens_that_an_implementation_answers_pass(tmp_path: Path) -> None:
    declare(tmp_path, "numpy_reference")

    run = run_pytest(tmp_path)

    assert (0, {VALUE: "passed", f"{CASE}[float32-gradient]": "passed"}) == (run.code, run.results)


def test_ids_name_file_test_and_golden(tmp_path: Path) -> None:
    declare(tmp_path, "numpy_reference")

    run = run_pytest(tmp_path, f"test_mine.py::test_mine::{VALUE}", "-v")

    assert {VALUE: "passed"} == run.results
    assert f"test_mine.py::test_mine::{VALUE} PASSED" in run.output


def test_id_of_a_case_selects_all_its_goldens(tmp_path: Path) -> None:
    declare(tmp_path, "numpy_reference")

    run = run_pytest(tmp_path, f"test_mine.py::test_mine::{CASE}")

    assert {"passed": 2} == run.counts


def test_exception_is_a_failure_that_says_what_to_do_next(tmp_path: Path) -> None:
    declare(tmp_path, FAKES / "raises.py")

    run = run_pytest(tmp_path)

    assert (1, "failure") == (run.code, run.results[VALUE])
    assert "ValueError: this fake raises" in run.texts[VALUE]
    assert f"lossproof explain '{VALUE}' {FAKES / 'raises.py'}" in run.texts[VALUE]
    assert "what now: lossproof docs raised" in run.texts[VALUE]
    assert "Traceback" not in run.output


def test_wrong_answer_is_a_failure_with_the_evidence(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(
        "import numpy as np\n\ndef cross_entropy(*inputs, **parameters):\n    return np.float32(1.0)\n"
    )
    declare(tmp_path, "one.py")

    run = run_pytest(tmp_path)

    assert f"{VALUE}: wrong\n  at 0: expected nan, got 1.0" in run.texts[VALUE]
    assert "why: The mean over no kept target" in run.texts[VALUE]


def test_wrong_shape_is_a_failure(tmp_path: Path) -> None:
    declare(tmp_path, FAKES / "wrong_shape.py", "cross_entropy/reductions/default")

    run = run_pytest(tmp_path)

    assert "answered the shape (1,), expected ()" in run.texts["cross_entropy/reductions/default[float32-value]"]


def test_unsupported_is_a_skip_with_its_reason(tmp_path: Path) -> None:
    path = declare(tmp_path, FAKES / "wrong_shape.py")
    path.write_text(
        path.read_text() + "test_whole = lossproof.conformance('numpy_reference', cases=['log_softmax/axes/*'])\n"
    )

    run = run_pytest(tmp_path)

    assert "skipped" == run.results[VALUE]
    assert "wrong_shape: has no parameter ignore_index" in run.texts[VALUE]


def test_all_skipped_is_a_failure(tmp_path: Path) -> None:
    declare(tmp_path, FAKES / "not_implemented.py")

    run = run_pytest(tmp_path)

    assert (1, {"skipped": 2}) == (run.code, run.counts)
    assert "FAILED test_mine.py::test_mine: no golden was judged" in run.output


def test_all_skipped_is_a_failure_under_xdist(tmp_path: Path) -> None:
    declare(tmp_path, FAKES / "not_implemented.py")

    run = run_pytest(tmp_path, "-n2")

    assert 1 == run.code
    assert "FAILED test_mine.py::test_mine: no golden was judged" in run.output


def test_no_golden_is_an_error(tmp_path: Path) -> None:
    declare(tmp_path, "numpy_reference", "cross_entropy/no-such-topic/*")

    run = run_pytest(tmp_path)

    assert 2 == run.code
    assert "no golden is selected: cross_entropy/no-such-topic/* in float32" in run.output


def test_goldens_of_operations_that_are_not_offered_are_no_items(tmp_path: Path) -> None:
    declare(tmp_path, FAKES / "raises.py", "*/contract/*")

    run = run_pytest(tmp_path)

    assert {"cross_entropy"} == {name.split("/")[0] for name in run.results}
    assert "not offered: binary_cross_entropy, " in run.output


@pytest.mark.parametrize(
    ("implementation", "said"),
    [
        ("no_such_adapter", "'no_such_adapter' is no implementation"),
        ("no_such_package.losses", "no_such_package"),
        ("broken.py", "ZeroDivisionError"),
    ],
)
@pytest.mark.parametrize("processes", ["0", "2"])
def test_what_does_not_start_is_an_error(tmp_path: Path, implementation: str, said: str, processes: str) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    declare(tmp_path, implementation)

    run = run_pytest(tmp_path, "-n", processes)

    assert run.code not in (0, 5)
    assert said in run.output


def adapter_with_known(folder: Path, source: Path, expected: str) -> Path:
    path = folder / "mine.py"
    path.write_text(source.read_text())
    known = f'[[deviation]]\ncase = "{CASE}"\nexpected = "{expected}"\nreason = "It is a fake."\n'
    path.with_suffix(".known.toml").write_text(known)
    return path


def test_known_deviation_is_an_expected_failure(tmp_path: Path) -> None:
    adapter_with_known(tmp_path, FAKES / "raises.py", "raised")
    declare(tmp_path, "mine.py")

    run = run_pytest(tmp_path, "-rx", "-k", "value")

    assert (0, {VALUE: "xfailed"}) == (run.code, run.results)
    assert "It is a fake." in run.output


def test_known_deviation_fails_with_runxfail(tmp_path: Path) -> None:
    adapter_with_known(tmp_path, FAKES / "raises.py", "raised")
    declare(tmp_path, "mine.py")

    run = run_pytest(tmp_path, "--runxfail", "-k", "value")

    assert (1, {VALUE: "failure"}) == (run.code, run.results)


def test_known_deviation_that_did_not_happen_is_a_failure(tmp_path: Path) -> None:
    adapter_with_known(tmp_path, IMPLEMENTATIONS / "numpy_reference.py", "wrong")
    declare(tmp_path, "mine.py")

    run = run_pytest(tmp_path)

    assert (1, {"failure": 2}) == (run.code, run.counts)
    assert f"{VALUE}: accurate\n  mine.known.toml deviation 1 says wrong: remove it" in run.texts[VALUE]


def test_known_deviations_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    adapter_with_known(tmp_path, FAKES / "raises.py", "sometimes")
    declare(tmp_path, "mine.py")

    run = run_pytest(tmp_path)

    assert 2 == run.code
    assert "got 'sometimes'" in run.output


def test_hazard_never_fails(tmp_path: Path) -> None:
    torch = read_spec().dialects["torch"]
    dialects = dict.fromkeys(torch.operations, torch)
    hazards = (golden for golden in select(Selection(), ["cross_entropy"]) if kind_of(golden, dialects) == "hazard")
    hazard = next(hazards)
    (tmp_path / "mine.py").write_text(
        (FAKES / "raises.py").read_text()
        + "\n\ndef cross_entropy_vjp(*inputs: object, **parameters: object) -> None:\n    raise ValueError\n"
    )
    (tmp_path / "test_mine.py").write_text(
        f"import lossproof\n\ntest_mine = lossproof.conformance('mine.py', cases=[{hazard.id!r}])\n"
    )

    run = run_pytest(tmp_path)

    assert {hazard.id: "passed"} == run.results


def test_timeout_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\n\ndef cross_entropy(*inputs, **parameters):\n    time.sleep(60)\n")
    declare(tmp_path, "slow.py")

    run = run_pytest(tmp_path, "--lossproof-timeout", "0.5", "-k", "value")

    assert (1, "failure") == (run.code, run.results[VALUE])
    assert "no answer within 0.5 s" in run.texts[VALUE]


def test_single_function_needs_its_operation(tmp_path: Path) -> None:
    package = tmp_path / "mypkg"
    package.mkdir()
    (package / "losses.py").write_text(
        (IMPLEMENTATIONS / "numpy_reference.py").read_text().replace("def nll_loss(", "def my_nll(")
    )
    (tmp_path / "test_mine.py").write_text(
        "import lossproof\n\n"
        "test_mine = lossproof.conformance('mypkg.losses:my_nll', operation='nll_loss', framework='numpy',\n"
        "    cases=['nll_loss/plain/*'], dtypes=['float64'])\n"
    )

    run = run_pytest(tmp_path)

    assert (0, {"nll_loss"}) == (run.code, {name.split("/")[0] for name in run.results})


def test_declaration_is_collected_under_any_name(tmp_path: Path) -> None:
    path = declare(tmp_path, "numpy_reference")
    path.write_text(path.read_text().replace("test_mine =", "mine ="))

    run = run_pytest(tmp_path)

    assert {"passed": 2} == run.counts


def test_no_process_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import os\nfrom pathlib import Path\nPath('pid').write_text(str(os.getpid()))\n"
        + (FAKES / "raises.py").read_text().replace("from __future__ import annotations", "")
    )
    declare(tmp_path, "mine.py")

    run_pytest(tmp_path)

    assert not Path("/proc", (tmp_path / "pid").read_text()).exists()


def test_junit_has_outcome_and_error_of_each_golden(tmp_path: Path) -> None:
    declare(tmp_path, "numpy_reference")

    run_pytest(tmp_path)

    text = (tmp_path / "junit.xml").read_text()
    assert '<property name="lossproof_outcome" value="accurate" />' in text
    assert '<property name="lossproof_ulps" value="0.0" />' in text


@pytest.mark.parametrize("wrong", [{"require": "perfect"}, {"dtypes": ["float8"]}, {"cases": "cross_entropy/*"}])
def test_declaration_refuses_what_would_select_nothing(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        lossproof.conformance("numpy_reference", **wrong)  # type: ignore[arg-type]  # that is the point


def test_names_that_are_copied_to_stay_light_are_those_of_the_judge() -> None:
    assert (*declaration.GRADES, Outcome.WRONG) == GRADES
    assert declaration.DTYPES == DTYPES
    assert set(pytest_tally.NOT_JUDGED) < set(Outcome)


def test_plugin_imports_nothing_heavy() -> None:
    source = "import json, sys, lossproof.pytest_plugin; print(json.dumps([*sys.modules]))"
    printed = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert not {"numpy", "pydantic", "yaml", "rich", "hypothesis"} & set(json.loads(printed))
