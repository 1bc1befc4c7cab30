"""The command `lossproof` as a shell sees it: exit codes, messages, what is printed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import util
from pathlib import Path

import pytest

from lossproof.cli import COMMANDS
from lossproof.paths import IMPLEMENTATIONS, PACKAGE, SPEC
from lossproof.spec.read import read_spec

LOSSPROOF = str(Path(sys.executable).parent / "lossproof")
FAKES = Path(__file__).parent / "fakes"
CASE = "cross_entropy/ignore-index/default-mean"
QUICK = ("--cases", CASE, "--dtype", "float32")

# What runs in the background of a shell ignores the signal, and so would its children. No preexec_fn: it would fork a
# process that has threads.
MINDS_INTERRUPTS = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


@dataclass(frozen=True)
class Ended:
    """A command that ended: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


def lossproof(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Ended:
    finished = subprocess.run(
        [LOSSPROOF, *arguments],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    return Ended(finished.returncode, finished.stdout, finished.stderr)


def adapter(folder: Path, text: str) -> str:
    (folder / "mine.py").write_text(text, encoding="utf-8")
    return "mine.py"


# Exit codes


def test_no_finding_is_0(tmp_path: Path) -> None:
    assert 0 == lossproof(tmp_path, "run", "numpy_reference", *QUICK).code


def test_findings_are_1_and_the_next_command_explains_the_first(tmp_path: Path) -> None:
    name = adapter(tmp_path, "def cross_entropy(logits, target):\n    return logits.sum() * 0\n")

    ended = lossproof(tmp_path, "run", name, *QUICK)

    assert 1 == ended.code
    assert "\n    what now: lossproof docs wrong\n" in ended.out
    assert f"Next: lossproof explain '{CASE}[float32-value]' mine.py" == ended.out.splitlines()[-1]
    assert 0 == lossproof(tmp_path, "explain", f"{CASE}[float32-value]", "mine.py").code


def test_a_higher_grade_can_be_required(tmp_path: Path) -> None:
    name = adapter(
        tmp_path,
        """
import numpy as np

def cross_entropy(logits, target):
    shifted = logits - logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(target)), target]
    return losses.mean()
""",
    )
    case = ("--cases", "cross_entropy/confident/confident-mean", "--dtype", "float32")

    assert (0, 1) == (
        lossproof(tmp_path, "run", name, *case).code,
        lossproof(tmp_path, "run", name, *case, "--require", "accurate").code,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-command",),
        ("run", "--no-such-option"),
        ("run", "numpy_reference", "--dtype", "float8"),
        ("run", "numpy_reference", "--timeout", "0"),
        ("run", "numpy_reference", "--as", "no_such_operation"),
        ("run", "numpy_reference", "--dialect", "no_such_dialect"),
        ("run", "no_such_file.py"),
        ("run", "package.module:function"),
        ("report",),
        ("report", "no_such_run"),
        ("explain", "no/such/case"),
        ("list", "--cases", "no/such/case"),
        ("completion", "no_such_shell"),
    ],
)
def test_usage_is_2_with_a_word_on_stderr_alone(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ended = lossproof(tmp_path, *arguments)

    assert (2, "") == (ended.code, ended.out)
    assert ended.err
    assert "Traceback" not in ended.err


def test_not_started_is_3_and_the_others_still_run(tmp_path: Path) -> None:
    name = adapter(tmp_path, "import nowhere_to_be_found\n")

    ended = lossproof(tmp_path, "run", name, "numpy_reference", *QUICK)

    assert 3 == ended.code
    assert "mine was not started: No module named 'nowhere_to_be_found'" in ended.out
    assert "numpy_reference       2        2" in ended.out


def test_nothing_judged_is_4(tmp_path: Path) -> None:
    assert 4 == lossproof(tmp_path, "run", str(FAKES / "not_implemented.py"), *QUICK).code


def test_not_started_wins_over_findings(tmp_path: Path) -> None:
    name = adapter(tmp_path, "1 / 0\n")

    assert 3 == lossproof(tmp_path, "run", str(FAKES / "raises.py"), name, *QUICK).code


def test_explain_ends_as_run_does(tmp_path: Path) -> None:
    name = adapter(tmp_path, "1 / 0\n")

    assert (3, 4) == (
        lossproof(tmp_path, "explain", CASE, name).code,
        lossproof(tmp_path, "explain", "log_softmax/axes/first", str(FAKES / "raises.py")).code,
    )


def test_interrupted_is_130_and_what_was_judged_is_kept(tmp_path: Path) -> None:
    name = adapter(
        tmp_path,
        """
import time
import numpy as np

def log_softmax(logits, *, axis=-1):
    time.sleep(0.05)
    shifted = logits - logits.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
""",
    )
    kept = tmp_path / "kept" / "run.jsonl"
    # A session of its own, so that the signal reaches what a terminal's Ctrl-C would reach and not this process.
    running = subprocess.Popen(
        [
            sys.executable,
            "-c",
            MINDS_INTERRUPTS,
            LOSSPROOF,
            "run",
            name,
            "--cases",
            "log_softmax/*",
            "--output",
            "kept",
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        _wait_for_lines(kept, 5)
        os.killpg(running.pid, signal.SIGINT)
        out, err = running.communicate(timeout=30)
    finally:
        running.kill()
        running.wait()

    lines = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
    records = [line for line in lines if line["type"] == "record"]
    assert (130, "") == (running.returncode, err)
    assert len(records) > 0
    assert sum(record["outcome"] != "unsupported" for record in records) < 100
    assert ["mine", str(len(records))] == out.splitlines()[1].split()[:2]
    assert 0 == lossproof(tmp_path, "report", "kept").code


def _wait_for_lines(path: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while not path.is_file() or path.read_text(encoding="utf-8").count("\n") < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


# Messages


def test_a_misspelt_implementation_gets_near_names(tmp_path: Path) -> None:
    assert "did you mean numpy_reference" in lossproof(tmp_path, "run", "nunpy_reference").err


def test_a_misspelt_file_gets_near_names(tmp_path: Path) -> None:
    adapter(tmp_path, "")

    assert "did you mean mine.py?" in lossproof(tmp_path, "run", "mime.py").err


@pytest.mark.parametrize("command", [("run", "numpy_reference", "--cases"), ("list", "--cases"), ("explain",)])
def test_a_misspelt_case_gets_near_names(tmp_path: Path, command: tuple[str, ...]) -> None:
    ended = lossproof(tmp_path, *command, "cross_entropy/ignore-idx/*")

    assert 2 == ended.code
    assert "no golden matches cross_entropy/ignore-idx/*; did you mean cross_entropy/ignore-index/*" in ended.err


@pytest.mark.parametrize(
    ("text", "gist"),
    [
        ("\n1 / 0\n", 'mine.py", line 2'),
        ("def loss(:\n", 'mine.py", line 1'),
        ("\n\nimport nowhere_to_be_found\n", 'mine.py", line 3'),
    ],
)
def test_an_adapter_that_does_not_import_is_shown_where(tmp_path: Path, text: str, gist: str) -> None:
    ended = lossproof(tmp_path, "run", adapter(tmp_path, text), *QUICK)

    assert 3 == ended.code
    assert gist in ended.out


def test_a_missing_package_comes_with_what_installs_it(tmp_path: Path) -> None:
    name = adapter(tmp_path, 'package = "nowhere-to-be-found"\nimport nowhere_to_be_found\n')

    ended = lossproof(tmp_path, "run", name, *QUICK)

    assert 3 == ended.code
    assert "\nTo run mine: pip install nowhere-to-be-found\n" in ended.out


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_a_missing_framework_comes_with_what_installs_it(tmp_path: Path, framework: str) -> None:
    if util.find_spec(framework):
        pytest.skip(f"needs a Python without {framework}")

    ended = lossproof(tmp_path, "run", f"{framework}_eager", *QUICK)

    assert 3 == ended.code
    assert f"\nTo run {framework}_eager: pip install {framework}\n" in ended.out


def test_a_missing_framework_that_was_asked_for_comes_with_what_installs_it(tmp_path: Path) -> None:
    if util.find_spec("cupy"):
        pytest.skip("needs a Python without cupy")

    ended = lossproof(tmp_path, "run", "array_api_losses", *QUICK, "--framework", "cupy", "--device", "cuda")

    assert 3 == ended.code
    assert "\nTo run array_api_losses: pip install 'cupy-cuda12x[ctk]' array-api-compat\n" in ended.out


def test_a_missing_framework_is_installed_by_what_brings_it(tmp_path: Path) -> None:
    if util.find_spec("cupy"):
        pytest.skip("needs a Python without cupy")

    ended = lossproof(tmp_path, "run", adapter(tmp_path, 'framework = "cupy"\n'), *QUICK, "--device", "cuda")

    assert "\nTo run mine: pip install 'cupy-cuda12x[ctk]'\n" in ended.out


def test_a_missing_device_is_told(tmp_path: Path) -> None:
    ended = lossproof(tmp_path, "run", "numpy_reference", *QUICK, "--device", "cuda")

    assert 3 == ended.code
    assert "numpy has no other" in ended.out


@pytest.mark.parametrize("command", ["run", "report"])
def test_output_that_cannot_be_written_is_2_and_named(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").touch()
    lossproof(tmp_path, "run", "numpy_reference", *QUICK, "--output", "kept")
    what = ("numpy_reference", *QUICK) if command == "run" else ("kept",)

    ended = lossproof(tmp_path, command, *what, "--output", "file/below")

    assert (2, "") == (ended.code, ended.out)
    assert "'file" in ended.err


def test_a_golden_over_its_time_limit_is_a_finding(tmp_path: Path) -> None:
    shutil.copy(FAKES / "hangs.py", tmp_path)

    ended = lossproof(tmp_path, "run", "hangs.py", *QUICK, "--timeout", "0.5")

    assert 1 == ended.code
    assert f"{CASE}[float32-value]: timed out\n    no answer within 0.5 s\n" in ended.out


@pytest.fixture
def damaged(tmp_path: Path) -> Iterator[Path]:
    """A folder with a lossproof, complete as in a wheel, one of whose golden files has a digit changed."""
    package = tmp_path / "site" / "lossproof"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("data", "__pycache__"))
    shutil.copytree(SPEC, package / "data" / "spec")
    shutil.copytree(IMPLEMENTATIONS, package / "data" / "implementations")
    golden = package / "data" / "spec" / "golden" / "log_softmax.json"
    golden.write_text(golden.read_text(encoding="utf-8").replace("1", "2", 1000), encoding="utf-8")
    yield tmp_path
    shutil.rmtree(tmp_path / "site")


def test_a_damaged_golden_file_is_2_and_named(damaged: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", "from lossproof.cli import main; main()", "run", "numpy_reference"],
        cwd=damaged,
        env={**os.environ, "PYTHONPATH": str(damaged / "site")},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert (2, "") == (finished.returncode, finished.stdout)
    assert "golden/log_softmax.json:1 $.sha256: expected" in finished.stderr
    assert "the file is damaged" in finished.stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cases:", "cases: [", "first.yaml:"),
        ("cases:", "cases: []\ncases:", "cases"),
        ("- name:", "- &anchor name:", "first.yaml:"),
        ("why:", "whence:", "first.yaml:3 $.cases[0]: expected the key why, got none"),
        ("- name:", "- name: !!python/object/apply:os.getcwd []\n    other:", "first.yaml:"),
    ],
)
def test_broken_yaml_is_2_with_its_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    shutil.copytree(SPEC, tmp_path / "spec")
    (tmp_path / "spec" / "cases" / "log_softmax" / "first.yaml").write_text(
        """since: "0.1"
cases:
  - name: one
    why: A single class.
    inputs: {logits: [[1.5]]}
""".replace(old, new),
        encoding="utf-8",
    )

    ended = lossproof(tmp_path, "spec", "check", "--folder", "spec")

    assert (2, "") == (ended.code, ended.out)
    assert "first.yaml" in ended.err
    assert message in ended.err
    assert "Traceback" not in ended.err


# What is printed


def test_help_lists_every_command(tmp_path: Path) -> None:
    out = lossproof(tmp_path, "--help").out

    assert [] == [name for name in COMMANDS if f"\n  {name} " not in out]


@pytest.mark.parametrize("command", list(COMMANDS))
def test_each_command_has_help(tmp_path: Path, command: str) -> None:
    ended = lossproof(tmp_path, command, "--help")

    assert 0 == ended.code
    assert ended.out.startswith(f"Usage: lossproof {command}")


def test_list_names_everything(tmp_path: Path) -> None:
    out = lossproof(tmp_path, "list").out
    spec = read_spec()

    names = [*(path.stem for path in IMPLEMENTATIONS.glob("*.py")), *spec.operations, *spec.dialects]
    assert [] == [name for name in names if f"\n  {name} " not in out]


@pytest.mark.parametrize("command", [("explain",), ("list", "--cases")])
def test_what_is_huge_is_explained_without_its_profile(tmp_path: Path, command: tuple[str, ...]) -> None:
    case = "cross_entropy/huge/rows-of-32768"

    ended = lossproof(tmp_path, *command, case)

    assert (0, case) == (ended.code, ended.out.splitlines()[0])


def test_what_lies_outside_the_profile_is_2_and_told(tmp_path: Path) -> None:
    ended = lossproof(tmp_path, "run", "numpy_reference", *QUICK, "--profile", "huge")

    assert 2 == ended.code
    assert f"lossproof: no golden matches {CASE} in float32 in the profile huge\n" == ended.err


def test_list_of_cases_says_why_each_exists(tmp_path: Path) -> None:
    ended = lossproof(tmp_path, "list", "--cases", CASE)

    assert f"{CASE}\n    Label −100 is ignored although ignore_index is not stated.\n" == ended.out


@pytest.mark.parametrize(
    "arguments", [("run", "numpy_reference", "--cases", "log_softmax/*"), ("list",), ("explain", CASE), ("--help",)]
)
def test_text_in_a_pipe_is_plain_and_80_columns_wide(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ended = lossproof(tmp_path, *arguments, environment={"COLUMNS": "200"})

    # What cannot be cut is left whole: links, paths, and commands to be pasted.
    prose = [line for line in ended.out.splitlines() if "https://" not in line and len(line.split()) > 1]
    assert [] == [line for line in prose if len(line) > 80]
    assert "\x1b" not in ended.out
    assert "" == ended.err


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}])
def test_colour_is_for_terminals_that_want_it(tmp_path: Path, variables: dict[str, str]) -> None:
    script = shutil.which("script")
    if script is None:
        pytest.skip("needs util-linux's script, which makes a terminal")
    command = f"{LOSSPROOF} run numpy_reference --cases {CASE} --dtype float32"
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}

    finished = subprocess.run(
        [script, "-qefc", command, "/dev/null"],
        cwd=tmp_path,
        env={**environment, "TERM": "xterm-256color", **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert 0 == finished.returncode
    assert ("\x1b[32m" in finished.stdout) is (variables == {})


@pytest.mark.parametrize("arguments", [("run", "numpy_reference", *QUICK), ("list",), ("list", "--cases", CASE)])
def test_json_is_json_lines_alone(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ended = lossproof(tmp_path, *arguments, "--json")

    assert 0 == ended.code
    assert all(isinstance(json.loads(line), dict) for line in ended.out.splitlines())
    assert ended.out


def test_json_lines_are_what_output_keeps(tmp_path: Path) -> None:
    ended = lossproof(tmp_path, "run", "numpy_reference", *QUICK, "--json", "--output", "kept")

    assert ended.out == (tmp_path / "kept" / "run.jsonl").read_text(encoding="utf-8")


def test_a_run_without_names_judges_what_needs_numpy_alone(tmp_path: Path) -> None:
    ended = lossproof(tmp_path, "run", *QUICK, "--json")

    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert ["numpy"] == sorted({line["header"]["framework"] for line in lines if line["type"] == "implementation"})


def test_a_function_is_judged_as_the_loss_that_it_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "losses.py").write_text(
        "from numpy import log, exp\n\ndef norm(x):\n    return x - log(exp(x).sum(-1, keepdims=True))\n"
    )

    ended = lossproof(
        tmp_path,
        "run",
        "pkg.losses:norm",
        "--as",
        "log_softmax",
        "--framework",
        "numpy",
        "--cases",
        "log_softmax/values/*",
    )

    assert "\npkg.losses:norm " in ended.out
    assert ended.code in (0, 1)


def test_a_report_goes_to_a_file(tmp_path: Path) -> None:
    lossproof(tmp_path, "run", "numpy_reference", *QUICK, "--output", "kept")

    assert 0 == lossproof(tmp_path, "report", "kept", "--output", "page/summary.md").code
    assert lossproof(tmp_path, "report", "kept").out == (tmp_path / "page" / "summary.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_command(tmp_path: Path, shell: str) -> None:
    ended = lossproof(tmp_path, "completion", shell)

    assert 0 == ended.code
    assert "_LOSSPROOF_COMPLETE" in ended.out


def test_implementations_are_completed(tmp_path: Path) -> None:
    asked = {"_LOSSPROOF_COMPLETE": "bash_complete", "COMP_WORDS": "lossproof run numpy", "COMP_CWORD": "2"}

    assert "plain,numpy_reference\n" == lossproof(tmp_path, environment=asked).out


# new-adapter


@pytest.mark.parametrize(("framework", "codes"), [("numpy", (0,)), ("torch", (0, 1)), ("jax", (0, 1))])
def test_a_new_adapter_is_judged_as_it_is(tmp_path: Path, framework: str, codes: tuple[int, ...]) -> None:
    pytest.importorskip(framework)
    lossproof(tmp_path, "new-adapter", "my_loss", "--framework", framework)

    ended = lossproof(tmp_path, "run", "my_loss.py", "--cases", "cross_entropy/ignore-index/*", "--json")

    records = [line for line in map(json.loads, ended.out.splitlines()) if line["type"] == "record"]
    outcomes = {record["outcome"] for record in records}
    assert ended.code in codes
    assert "accurate" in outcomes
    assert not outcomes & {"raised", "crashed", "timed out"}


def test_a_new_numpy_adapter_has_no_finding(tmp_path: Path) -> None:
    lossproof(tmp_path, "new-adapter", "my_loss")

    assert 0 == lossproof(tmp_path, "run", "my_loss.py").code


def test_a_new_adapter_overwrites_nothing(tmp_path: Path) -> None:
    name = adapter(tmp_path, "precious = True\n")

    ended = lossproof(tmp_path, "new-adapter", "mine")

    assert 2 == ended.code
    assert "mine.py: there is such a file already" in ended.err
    assert "precious = True\n" == (tmp_path / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name", ["torch", "jax", "numpy", "json", "optax", "pytest", "my-loss", "2nd", "class", "a/b", ""]
)
def test_a_new_adapter_takes_no_name_that_would_shadow_or_cannot_be_imported(tmp_path: Path, name: str) -> None:
    ended = lossproof(tmp_path, "new-adapter", name)

    assert (2, []) == (ended.code, list(tmp_path.iterdir()))
    assert "expected" in ended.err
