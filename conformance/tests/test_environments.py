"""Environments: what requirements choose, how an environment is made once, and what is said where it cannot be made."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Timer

import numpy as np
import pytest
from click.testing import CliRunner, Result

import lossproof.environments.requirements
from lossproof.cli.env import command as env_command
from lossproof.environments.environment import Environment, cache, describe, hold, listed, remove
from lossproof.environments.installers import HOST_VERSION, NotMadeError, version_of
from lossproof.environments.requirements import (
    choose_adapters,
    find_implementations,
    names_requirements,
    read_requirements,
)
from lossproof.implementations import UnknownImplementationError
from lossproof.record import Run, read_run

LOSSPROOF = str(Path(sys.executable).parent / "lossproof")
CASE = ("--cases", "cross_entropy/ignore-index/default-mean", "--dtype", "float32")

# Makes an environment whose interpreter is this one, says what it was asked, and fails or waits as files beside it say.
FAKE_UV = f"""#!/bin/sh
here=$(dirname "$0")
echo "$@" >> "$here/calls"
if [ "$1" = venv ]; then
    for folder; do :; done
    mkdir -p "$folder/bin"
    printf '#!/bin/sh\\nexec {sys.executable} "$@"\\n' > "$folder/bin/python"
    chmod +x "$folder/bin/python"
else
    [ -f "$here/waits" ] && sleep "$(cat "$here/waits")"
    [ -f "$here/fails" ] && cat "$here/fails" && exit 1
fi
exit 0
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a uv that installs nothing."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "uv").write_text(FAKE_UV)
    (folder / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("LOSSPROOF_INSTALLER", "uv")
    return folder


@pytest.fixture
def adapters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Path]:
    """Shipped adapters: framework and package of each."""
    stated = {
        "numpy_reference": ("numpy", "numpy"),
        "jax_eager": ("jax", "jax"),
        "optax_losses": ("jax", "optax"),
        "torch_eager": ("torch", "torch"),
        "keras_numpy": ("numpy", "keras"),
        "keras_torch": ("torch", "keras"),
        "keras_jax": ("jax", "keras"),
        "sklearn_log_loss": ("numpy", "scikit-learn"),
    }
    paths = {name: tmp_path / f"{name}.py" for name in stated}
    for name, (framework, package) in stated.items():
        paths[name].write_text(f'framework = "{framework}"\npackage = "{package}"\n')
    monkeypatch.setattr(lossproof.environments.requirements, "shipped", lambda: paths)
    return paths


def calls(uv: Path, word: str) -> int:
    lines = (uv / "calls").read_text().splitlines() if (uv / "calls").exists() else []
    return sum(line.split()[0] == word for line in lines)


def environment(requirement: str = "tiny==1.0") -> Environment:
    return describe("tiny", [requirement], HOST_VERSION)


def run(folder: Path, *arguments: str) -> tuple[int, str, str]:
    ended = subprocess.run(
        [LOSSPROOF, "run", *CASE, "--output", "out", *arguments],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


def kept_run(folder: Path) -> Run:
    return read_run(folder / "out")


def env(*arguments: str) -> Result:
    return CliRunner().invoke(env_command, arguments)


# --- requirements


@pytest.mark.parametrize(
    "text", ["optax==0.2.5", "jax,optax", "my_loss.py@torch", "keras[torch]", "optax=0.2.5", "a<2"]
)
def test_versions_commas_extras_and_ats_are_requirements(text: str) -> None:
    assert names_requirements(text)


@pytest.mark.parametrize("text", ["optax_losses", "my_loss.py", "mypkg.losses", "mypkg.losses:mine", "a@b/my_loss.py"])
def test_names_files_and_modules_are_none(text: str) -> None:
    assert not names_requirements(text)


@pytest.mark.parametrize(
    ("text", "adapter", "pieces"),
    [
        ("optax==0.2.5", "", ["optax==0.2.5"]),
        ("jax==0.6.2,optax==0.2.4", "", ["jax==0.6.2", "optax==0.2.4"]),
        ("Ml_DTypes >=0.4, <0.6, numpy", "", ["ml-dtypes<0.6,>=0.4", "numpy"]),
        ("keras[torch,jax]==3.9", "", ["keras[jax,torch]==3.9"]),
        ("my_loss.py@torch==2.12", "my_loss.py", ["torch==2.12"]),
        ("a@b/my_loss.py@torch", "a@b/my_loss.py", ["torch"]),
        ("mypkg.losses:mine@torch==2.12", "mypkg.losses:mine", ["torch==2.12"]),
        ("tiny @ file:///a/tiny.whl", "", ["tiny@ file:///a/tiny.whl"]),
        ("tiny@file:///a/tiny.whl", "", ["tiny@ file:///a/tiny.whl"]),
        ("mine@tiny @ file:///a/tiny.whl", "mine", ["tiny@ file:///a/tiny.whl"]),
        ("python==3.9,numpy==1.26", "", ["python==3.9", "numpy==1.26"]),
    ],
)
def test_requirements_are_split_and_normalised(text: str, adapter: str, pieces: list[str]) -> None:
    asked = read_requirements(text)

    assert (adapter, pieces) == (asked.adapter, [piece.replace(" @ ", "@ ") for piece in asked.pieces])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optax=0.2.5", "'optax=0.2.5'.*did you mean optax==0.2.5"),
        ("optax==0.2.5,--index-url=x", "expected requirements such as"),
        ("optx==0.2.5", "expected a package that an adapter is written for .*got optx; did you mean optax"),
        ("python==3.8,numpy", "expected python==3.9 or a later minor version, got python==3.8"),
        ("python>=3.9,numpy", "expected python==3.9 or a later"),
        ("python==3.9,python==3.10", "expected one python==…, got 2"),
        ("optax_loses@optax==0.2.5", "'optax_loses' is no implementation.*did you mean optax_losses"),
        ("nowhere.py@numpy", "nowhere.py: no such file"),
    ],
)
def test_bad_requirements_name_place_value_and_wish(text: str, message: str) -> None:
    with pytest.raises(UnknownImplementationError, match=message):
        find_implementations(text)


@pytest.mark.usefixtures("adapters")
@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("optax==0.2.5", ["optax_losses"]),
        ("jax==0.6.2,optax==0.2.4", ["optax_losses"]),
        ("optax==0.2.4,jax==0.6.2", ["optax_losses"]),
        ("optax==0.2.4,chex==0.1.90", ["optax_losses"]),
        ("numpy<2,optax==0.2.4", ["optax_losses"]),
        ("jax==0.6.2", ["jax_eager"]),
        ("numpy==1.26", ["numpy_reference"]),
        ("Scikit_Learn==1.5,numpy<2", ["sklearn_log_loss"]),
        ("jax==0.6.2,torch==2.9", ["jax_eager", "torch_eager"]),
        ("keras==3.9", ["keras_numpy", "keras_torch", "keras_jax"]),
        ("keras==3.9,torch==2.9", ["keras_torch"]),
        ("numpy<2,keras==3.9", ["keras_numpy", "keras_torch", "keras_jax"]),
    ],
)
def test_requirements_choose_the_adapters_for_their_packages(text: str, chosen: list[str]) -> None:
    assert chosen == choose_adapters(read_requirements(text))


def test_what_adapter_and_bridge_import_is_in_the_environment() -> None:
    (optax,) = find_implementations("optax==0.2.5")
    assert optax.environment

    assert ("jax", "ml-dtypes", "numpy", "optax==0.2.5") == optax.environment.requirements


def test_what_brings_cupy_is_in_the_environment() -> None:
    (losses,) = find_implementations("array_api_losses@cupy-cuda12x==14.2.0", framework="cupy", device="cuda")
    assert losses.environment

    expected = ("array-api-compat", "cupy-cuda12x==14.2.0", "cupy-cuda12x[ctk]", "ml-dtypes", "numpy")
    assert expected == losses.environment.requirements


def test_a_stated_version_of_numpy_is_kept() -> None:
    (reference,) = find_implementations("numpy_reference@numpy==1.26.4")
    assert reference.environment

    assert ("ml-dtypes", "numpy==1.26.4") == reference.environment.requirements


def test_the_package_of_a_users_file_is_left_to_its_user(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text('framework = "torch"\npackage = "in-house"\nrequires = "einops>=0.8, triton"\n')
    (implementation,) = find_implementations(f"{mine}@torch==2.12")
    assert implementation.environment

    assert ("einops>=0.8", "ml-dtypes", "numpy", "torch==2.12", "triton") == implementation.environment.requirements


def test_two_versions_have_two_names_and_two_environments() -> None:
    (old,), (new,) = (find_implementations(f"optax==0.2.{patch}") for patch in (4, 5))

    assert ("optax_losses (optax==0.2.4)", "optax_losses (optax==0.2.5)") == (old.name, new.name)
    assert "optax_losses@optax==0.2.5" == new.typed
    assert old.python != new.python


def test_environments_differ_by_python_and_not_by_order() -> None:
    there, back, other = (
        find_implementations(f"numpy_reference@{text}")[0].environment
        for text in ("numpy<2,six==1.16", "six==1.16,numpy<2", "python==3.99,numpy<2,six==1.16")
    )
    assert there
    assert back
    assert other

    assert there.requirements == back.requirements == other.requirements
    assert there.python != other.python


def test_requirements_of_a_program_are_refused(tmp_path: Path) -> None:
    (tmp_path / "adapter.toml").write_text(
        'summary = "A program."\nframework = "numpy"\ndialect = "torch"\npackage = "p"\ncommand = ["true"]\n'
        'install = "make"\n'
    )

    with pytest.raises(UnknownImplementationError, match="expected an adapter in Python before the @"):
        find_implementations(f"{tmp_path}@numpy<2")


# --- making


def test_an_environment_is_made_once(uv: Path) -> None:
    for _ in range(2):
        hold(environment()).close()

    assert (1, 1) == (calls(uv, "venv"), calls(uv, "pip"))


def test_what_was_interrupted_is_made_anew(uv: Path) -> None:
    hold(environment()).close()
    (environment().folder / "environment.json").unlink()
    left = environment().folder / "half-a-package"
    left.touch()

    hold(environment()).close()

    assert 2 == calls(uv, "pip")
    assert not left.exists()


def test_an_environment_whose_python_is_gone_is_made_anew(uv: Path) -> None:
    hold(environment()).close()
    environment().interpreter.unlink()

    hold(environment()).close()

    assert 2 == calls(uv, "pip")


def test_two_runs_at_a_time_make_one_environment(uv: Path) -> None:
    (uv / "waits").write_text("1")

    with ThreadPoolExecutor(4) as pool:
        for lock in pool.map(hold, [environment()] * 4):
            lock.close()

    assert 1 == calls(uv, "pip")


def test_an_unwanted_installation_is_ended(uv: Path) -> None:
    (uv / "waits").write_text("60")
    unwanted = Event()
    Timer(0.5, unwanted.set).start()
    began = time.monotonic()

    with pytest.raises(NotMadeError, match="interrupted"):
        hold(environment(), unwanted.is_set)

    assert time.monotonic() - began < 30
    assert not environment().folder.exists()


def test_an_installer_that_outlives_its_host_keeps_others_out(uv: Path, tmp_path: Path) -> None:
    (uv / "waits").write_text("2")
    script = tmp_path / "host.py"
    script.write_text(
        "from lossproof.environments.environment import describe, hold\n"
        f"hold(describe('tiny', ['tiny==1.0'], {HOST_VERSION!r}))\n"
    )
    host = subprocess.Popen([sys.executable, script])
    until(lambda: calls(uv, "pip") == 1)
    host.send_signal(signal.SIGKILL)
    host.wait()

    with (cache().with_name("locks") / environment().folder.name).open("ab") as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    hold(environment()).close()

    assert 2 == calls(uv, "pip")


def until(happened: object) -> None:
    assert callable(happened)
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        (
            "WARNING: x\n"
            "ERROR: Ignored the following yanked versions: 0.1\n"
            "ERROR: Could not find a version that satisfies the requirement a==9 "
            "(from versions: 1, 2, 3, 4, 5, 6)\nERROR: No matching distribution found for a==9\n",
            "cannot be resolved: Could not find a version that satisfies the requirement a==9 "
            "(from versions: …, 2, 3, 4, 5, 6)",
        ),
        (
            "ERROR: Cannot install a==1 and b==2 because these package versions have conflicting dependencies.\n\n"
            "The conflict is caused by:\n    The user requested a==1\n    b 2 depends on a>=3\n\nTo fix this …\n",
            "cannot be resolved: Cannot install a==1 and b==2 because these package versions have conflicting "
            "dependencies. The conflict is caused by: The user requested a==1 b 2 depends on a>=3",
        ),
        (
            "Using Python\nerror: No solution found when resolving dependencies\n  cause: Because there is no version\n"
            "         of a==9, …\n\nhint: x\n",
            "cannot be resolved: Because there is no version of a==9, …",
        ),
        (
            "  × No solution found when resolving dependencies:\n  ╰─▶ Because a was not found …\n",
            "cannot be resolved: Because a was not found …",
        ),
        (
            "  error: subprocess-exited-with-error\n\n  × Getting requirements did not run successfully.\n"
            "  │ exit code: 1\n  ╰─> [2 lines of output]\n      Traceback\n      RuntimeError: no Fortran\n"
            "      [end of output]\n",
            "not installable: Getting requirements did not run successfully. RuntimeError: no Fortran",
        ),
        (
            "error: Failed to build a\n  cause: Call failed\n\n   [stderr]\n   Traceback\n"
            "   RuntimeError: no Fortran\n\n",
            "not installable: Failed to build a Call failed RuntimeError: no Fortran",
        ),
        (
            "WARNING: Retrying after connection broken by 'x'\nERROR: No matching distribution found for a\n",
            "not installable: no package index could be reached: No matching distribution found for a",
        ),
        ("", "not installable: uv failed and printed nothing"),
    ],
)
def test_the_reason_is_one_line(uv: Path, printed: str, reason: str) -> None:
    (uv / "fails").write_text(printed)

    with pytest.raises(NotMadeError) as raised:
        hold(environment())

    assert reason == str(raised.value)
    assert printed == raised.value.details
    assert [] == listed()


def test_a_python_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOSSPROOF_INSTALLER", "pip")

    with pytest.raises(NotMadeError, match=r"not installable: expected python3\.99 on PATH, found none"):
        hold(describe("tiny", ["tiny"], "3.99"))


def test_an_unknown_installer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOSSPROOF_INSTALLER", "conda")

    with pytest.raises(NotMadeError, match="LOSSPROOF_INSTALLER: expected uv or pip, got 'conda'"):
        hold(environment())


def test_a_cache_that_cannot_be_written_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")

    with pytest.raises(NotMadeError, match="not installable: "):
        hold(environment())


# --- running


@pytest.mark.usefixtures("uv")
def test_an_adapter_runs_in_its_environment(tmp_path: Path) -> None:
    code, out, _ = run(tmp_path, "numpy_reference@numpy>=1", "numpy_reference")

    assert 0 == code
    assert "numpy_reference (numpy>=1)" in " ".join(out.split())
    assert {"numpy_reference (numpy>=1)": 2, "numpy_reference": 2} == {
        subject.name: len(kept_run(tmp_path).of(subject.name)) for subject in kept_run(tmp_path).subjects
    }


def test_what_cannot_be_resolved_is_a_state_and_the_others_run(uv: Path, tmp_path: Path) -> None:
    (uv / "fails").write_text("error: No solution found when resolving dependencies\n  cause: there is no optax==99\n")

    code, out, err = run(tmp_path, "optax==99", "numpy_reference")

    assert 3 == code
    assert "optax_losses (optax==99) was not started: cannot be resolved: there is no optax==99" in " ".join(
        out.split()
    )
    assert "Traceback" not in out + err
    assert "cannot be resolved: there is no optax==99" == kept_run(tmp_path).subjects[0].failed
    assert kept_run(tmp_path).of("numpy_reference")


@pytest.mark.usefixtures("uv")
@pytest.mark.parametrize(
    ("line", "failed"),
    [
        ("import nothing_of_this_name", "cannot be imported: No module named 'nothing_of_this_name'"),
        ("from math import nothing", "cannot be imported: ImportError: cannot import name 'nothing' from 'math'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_what_cannot_be_imported_is_a_state(tmp_path: Path, line: str, failed: str) -> None:
    (tmp_path / "mine.py").write_text(f"{line}\n")

    code, out, _ = run(tmp_path, "mine.py@tiny==1.0")

    assert 3 == code
    assert kept_run(tmp_path).subjects[0].failed.startswith(failed)
    assert "pip install" not in out


@pytest.mark.usefixtures("uv")
def test_python_path_does_not_reach_into_an_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "only_there.py").touch()
    (tmp_path / "mine.py").write_text("import only_there\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path / "elsewhere"), os.environ.get("PYTHONPATH", ""))))

    run(tmp_path, "mine.py", "mine.py@tiny==1.0")

    here, there = kept_run(tmp_path).subjects
    assert "" == here.failed
    assert "cannot be imported: No module named 'only_there'" == there.failed


def wheel(folder: Path, name: str, version: str, files: Mapping[str, str]) -> None:
    """Writes a wheel."""
    folder.mkdir(exist_ok=True)
    facts = f"{name.replace('-', '_')}-{version}.dist-info"
    every = {
        **files,
        f"{facts}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{facts}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*every, f"{facts}/RECORD"))
    with zipfile.ZipFile(folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in {**every, f"{facts}/RECORD": record}.items():
            archive.writestr(path, text)


def test_pip_installs_what_uv_does_not_find(uv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The wheels lead to this Python's own NumPy, so that none is fetched.
    ours = f"{Path(np.__file__).parent.parent}\n"
    wheel(tmp_path / "wheels", "numpy", "99.0", {"ours.pth": ours})
    wheel(tmp_path / "wheels", "ml-dtypes", "99.0", {})
    wheel(tmp_path / "wheels", "tiny", "1.5", {"tiny_losses.py": "def double(x): return 2 * x\n"})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.delenv("LOSSPROOF_INSTALLER")
    (uv / "fails").write_text("error: No solution found\n")
    (tmp_path / "mine.py").write_text(
        'import tiny_losses\npackage = "tiny"\ndef cross_entropy(logits, target): return tiny_losses.double(1.0)\n'
    )

    code, _, _ = run(tmp_path, "mine.py@tiny==1.5")

    (subject,), (kept,) = kept_run(tmp_path).subjects, listed()
    assert 1 == code
    assert ("tiny", "1.5") == (subject.package, subject.version)
    assert ("pip", ("ml-dtypes", "numpy", "tiny==1.5")) == (kept.installer, kept.requirements)


def pythons() -> list[str]:
    """This Python, and an old one that is on PATH or lies beside this one."""
    old = [shutil.which("python3.9"), *map(str, Path(sys.base_prefix).parent.glob("3.9*/bin/python3.9"))]
    return [sys.executable, next((path for path in old if path and version_of(path) == "3.9"), "")]


@pytest.mark.parametrize("python", pythons(), ids=["this", "3.9"])
def test_numpy_of_the_index_runs(tmp_path: Path, python: str) -> None:
    if not python:
        pytest.skip("no Python 3.9 was found")
    probe = [sys.executable, "-m", "pip", "download", "--retries", "0", "--no-deps", "--dest", str(tmp_path), "six"]
    if subprocess.run(probe, capture_output=True, check=False, timeout=300).returncode:
        pytest.skip("no package index can be reached")

    code, out, err = run(tmp_path, "--python", python, "numpy_reference@numpy>=1.21")

    assert 0 == code, out + err
    header = kept_run(tmp_path).subjects[0].header
    assert header
    assert str(header["python"]).startswith(f"{version_of(python)}.")


# --- lossproof env


@pytest.mark.usefixtures("uv")
def test_list_shows_what_was_made() -> None:
    hold(environment()).close()

    out = env("list").output

    for shown in (str(cache()), environment().folder.name, "tiny==1.0", f"Python {HOST_VERSION}", "uv", "last used"):
        assert shown in out


@pytest.mark.usefixtures("uv")
def test_list_prints_json_lines() -> None:
    hold(environment()).close()

    (line,) = env("list", "--json").output.splitlines()

    assert {"environment", "folder", "requirements", "python", "installer", "size", "used"} == json.loads(line).keys()


def test_an_interrupted_environment_is_listed_as_such() -> None:
    environment().folder.mkdir(parents=True)

    assert "incomplete" in env("list").output


@pytest.mark.usefixtures("uv")
@pytest.mark.parametrize("everything", [True, False])
def test_remove_removes(everything: bool) -> None:
    hold(environment()).close()

    ended = env("remove", "--all" if everything else environment().folder.name)

    assert 0 == ended.exit_code
    assert [] == listed()


@pytest.mark.usefixtures("uv")
def test_what_a_run_holds_is_not_removed() -> None:
    with hold(environment()):
        ended = env("remove", "--all")

        assert 2 == ended.exit_code
        assert "in use" in ended.output
        assert environment().interpreter.exists()
    (kept,) = listed()
    assert remove(kept)


@pytest.mark.usefixtures("uv")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tinny"], "'tinny': expected an environment in "),
        (["tinny"], "did you mean tiny-"),
        ([], "expected NAMEs (see `lossproof env list`) or --all, got none"),
        (["tiny", "--all"], "got both"),
    ],
)
def test_a_name_that_is_none_is_refused(arguments: Iterable[str], message: str) -> None:
    hold(environment()).close()

    ended = env("remove", *arguments)

    assert 2 == ended.exit_code
    assert message in ended.output
    assert 1 == len(listed())
