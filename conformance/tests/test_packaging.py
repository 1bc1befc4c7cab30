"""What pip installs: a wheel, an sdist and an editable install, each with all data."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from importlib import metadata, util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DATA = ("spec", "implementations", "docs")


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=300, check=False
    )


def built(folder: Path, source: Path, *kinds: str) -> list[Path]:
    """Wheel or sdist of a source folder, in a new folder; the build needs hatchling alone and gets it from here."""
    finished = run(sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", folder, source, folder=source)
    assert 0 == finished.returncode, finished.stdout + finished.stderr
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if util.find_spec("hatchling") is None:
        pytest.skip("needs hatchling")
    (path,) = built(tmp_path_factory.mktemp("sdist"), ROOT, "--sdist")
    return path


@pytest.fixture(scope="module")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source folder in the sdist."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    return source


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    del sdist  # Skips where there is nothing to build with.
    (path,) = built(tmp_path_factory.mktemp("wheel"), ROOT, "--wheel")
    return path


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has the wheel, what it requires, and nothing else of lossproof."""
    folder = tmp_path_factory.mktemp("installed")
    python = bare_python(folder)
    finished = run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", wheel, folder=folder)
    assert 0 == finished.returncode, finished.stdout + finished.stderr
    return python


def bare_python(folder: Path) -> Path:
    """A Python that finds the packages of this one, but for lossproof: they are linked, which takes no time."""
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    for path in sorted({Path(util.find_spec(name).origin).parent.parent for name in ("numpy", "click", "yaml")}):  # type: ignore[union-attr, arg-type]  # installed as requirements
        for entry in path.iterdir():
            if "lossproof" not in entry.name and entry.suffix != ".pth" and not (site / entry.name).exists():
                (site / entry.name).symlink_to(entry)
    return python


def data_files(source: Path) -> set[str]:
    return {
        path.relative_to(source).as_posix()
        for name in DATA
        for path in (source / name).rglob("*")
        if path.is_file() and path.suffix != ".pyc" and "node_modules" not in path.parts
    }


def code_files(source: Path) -> set[str]:
    code = source / "conformance" / "lossproof"
    return {path.relative_to(code).as_posix() for path in code.rglob("*") if path.is_file() and path.suffix != ".pyc"}


def test_wheel_holds_all_code_and_data(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}

    expected = {f"lossproof/{name}" for name in code_files(ROOT)} | {
        f"lossproof/data/{name}" for name in data_files(ROOT)
    }
    assert expected == names
    assert {
        "lossproof/py.typed",
        "lossproof/data/spec/golden/cross_entropy.json",
        "lossproof/data/spec/README.md",
        "lossproof/data/docs/loose-or-wrong.md",
        "lossproof/data/implementations/torch_eager.known.toml",
        "lossproof/protocol/request.schema.json",
        "lossproof/reports/templates/summary.md.j2",
    } <= names


def test_wheel_holds_the_licence_and_the_entry_points(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    texts = {Path(name).name: archive.read(name).decode() for name in archive.namelist() if ".dist-info/" in name}

    assert (ROOT / "LICENSE").read_text(encoding="utf-8") == texts["LICENSE"]
    assert "lossproof = lossproof.cli:main" in texts["entry_points.txt"]
    assert "[pytest11]\nlossproof = lossproof.pytest_plugin" in texts["entry_points.txt"]


def test_core_requires_no_framework_and_no_oracle(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    lines = archive.read(name).decode().splitlines()

    required = [line for line in lines if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert [] == [line for line in required for word in ("torch", "jax", "optax", "flint", "mpmath") if word in line]


def test_sdist_builds_the_same_wheel(wheel: Path, unpacked: Path, tmp_path: Path) -> None:
    (again,) = built(tmp_path, unpacked, "--wheel")

    assert contents(wheel) == contents(again)


def contents(wheel: Path) -> dict[str, bytes]:
    archive = zipfile.ZipFile(wheel)
    return {name: archive.read(name) for name in archive.namelist()}


def test_sdist_holds_what_tox_needs(unpacked: Path) -> None:
    names = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*")}

    assert {"tox.ini", "constraints.txt", "pyproject.toml", "README.md", "conformance/tests/fakes/raises.py"} <= names


def test_wheel_runs_outside_of_the_checkout(python: Path, tmp_path: Path) -> None:
    command = python.with_name("lossproof")

    finished = run(command, "run", "numpy_reference", "--cases", "log_softmax/*", folder=tmp_path)

    assert (0, "") == (finished.returncode, finished.stderr)
    assert "\nnumpy_reference " in finished.stdout


def test_wheel_makes_reports_and_pytest_items(python: Path, tmp_path: Path) -> None:
    command = python.with_name("lossproof")
    case = "log_softmax/axes/first"

    run(command, "run", "numpy_reference", "--cases", case, "--output", "kept", folder=tmp_path)
    report = run(command, "report", "kept", folder=tmp_path)
    suite = run(
        *(python, "-m", "pytest", "--pyargs", "lossproof.suite"),
        *("--lossproof-implementation", "numpy_reference", "--lossproof-cases", case),
        folder=tmp_path,
    )

    assert (0, 0) == (report.returncode, suite.returncode)
    assert "8 passed" in suite.stdout


def test_wheel_finds_its_own_files(python: Path, tmp_path: Path) -> None:
    printed = run(python, "-c", "from lossproof.paths import SPEC; print(SPEC)", folder=tmp_path).stdout.strip()

    assert (tmp_path / printed).is_relative_to(python.parent.parent)
    assert data_files(ROOT) == data_files(Path(printed).parent)


def test_editable_install_finds_the_checkout(unpacked: Path, tmp_path: Path) -> None:
    python = bare_python(tmp_path)

    finished = run(
        *(sys.executable, "-m", "pip", "--python", python, "install"),
        *("--no-deps", "--no-build-isolation", "--editable", unpacked),
        folder=tmp_path,
    )
    assert 0 == finished.returncode, finished.stdout + finished.stderr

    printed = run(python, "-c", "from lossproof.paths import SPEC; print(SPEC)", folder=tmp_path).stdout.strip()
    judged = run(python.with_name("lossproof"), "run", "numpy_reference", "--cases", "log_softmax/*", folder=tmp_path)
    assert unpacked / "spec" == Path(printed)
    assert 0 == judged.returncode


def test_tests_run_on_the_wheel_under_tox() -> None:
    if "TOX_ENV_NAME" not in os.environ:
        pytest.skip("not under tox")

    files = metadata.files("lossproof") or []
    assert any(file.as_posix() == "lossproof/data/spec/README.md" for file in files)
