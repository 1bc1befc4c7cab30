"""Makes a virtual environment and installs into it, by uv or by venv and pip."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

VARIABLE = "LOSSPROOF_INSTALLER"
INSTALLERS = ("uv", "pip")
HOST_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

_LOOK = 0.2  # seconds between looks whether an installation is still wanted
_REASON_LENGTH = 400
_DETAILS_LENGTH = 4000
_NEWEST_SHOWN = 5
_UNRESOLVED = (
    "No matching distribution found",
    "conflicting dependencies",
    "ResolutionImpossible",
    "No solution found",
)
_UNREACHABLE = ("connection broken by", "NewConnectionError", "Failed to fetch", "error sending request")
_ASK_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


class NotMadeError(Exception):
    """Why an environment could not be made; `details` is the end of what the installer printed."""

    def __init__(self, reason: str, details: str = "") -> None:
        super().__init__(reason)
        self.details = details


def install(
    folder: Path, requirements: Sequence[str], python: str, descriptor: int, unwanted: Callable[[], bool]
) -> str:
    """Makes a virtual environment in `folder` and returns the name of the installer; raises NotMadeError.

    `python` is a version ("3.9") or the path of an interpreter. Installers inherit `descriptor`, a held lock, and are
    ended as soon as the environment is `unwanted`.
    """
    installers = _installers()
    for installer in installers:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            for command in _commands(installer, folder, requirements, python):
                _call(command, folder, descriptor, unwanted)
        except NotMadeError:
            # What uv does not find, pip may: its configuration names other indexes and folders of wheels.
            if installer == installers[-1] or unwanted():
                raise
        else:
            return installer
    raise AssertionError("the last installer returns or raises")


def interpreter_in(folder: Path) -> Path:
    """The interpreter of the virtual environment in a folder."""
    return folder / "bin" / "python"


def version_of(python: str) -> str:
    """The version of an interpreter, such as 3.9; "" for what is none."""
    with suppress(OSError, subprocess.TimeoutExpired):
        asked = subprocess.run(
            [python, "-I", "-c", _ASK_VERSION], capture_output=True, text=True, timeout=30, check=False
        )
        return asked.stdout.strip() if asked.returncode == 0 else ""
    return ""


def _installers() -> tuple[str, ...]:
    """Those to try, in this order."""
    stated = os.environ.get(VARIABLE, "")
    if stated and stated not in INSTALLERS:
        raise NotMadeError(f"{VARIABLE}: expected uv or pip, got {stated!r}")
    if stated == "uv" and not _uv():
        raise NotMadeError(f"{VARIABLE}: expected uv on PATH, found none")
    return (stated,) if stated else INSTALLERS if _uv() else ("pip",)


def _uv() -> str | None:
    beside = str(Path(sys.executable).parent)
    return shutil.which("uv", path=os.pathsep.join((os.environ.get("PATH", os.defpath), beside)))


def _commands(installer: str, folder: Path, requirements: Sequence[str], python: str) -> Iterator[list[str]]:
    made = str(interpreter_in(folder))
    if installer == "uv":
        uv = _uv()
        assert uv is not None
        yield [uv, "venv", "--quiet", "--allow-existing", "--no-project", "--python", _known(python), str(folder)]
        yield [uv, "pip", "install", "--color", "never", "--python", made, *requirements]
    else:
        yield [_found(python), "-I", "-m", "venv", str(folder)]
        options = ("--no-input", "--disable-pip-version-check", "--progress-bar", "off")
        yield [made, "-I", "-m", "pip", "install", *options, *requirements]


def _known(python: str) -> str:
    return sys.executable if python == HOST_VERSION else python


def _found(python: str) -> str:
    """A path, or where on PATH an interpreter of this version is."""
    python = _known(python)
    if os.sep in python:
        return python
    for folder in os.get_exec_path():
        candidate = shutil.which(f"python{python}", path=folder)
        # What a version manager puts on PATH need not run.
        if candidate and version_of(candidate) == python:
            return candidate
    raise NotMadeError(f"not installable: expected python{python} on PATH, found none; --python can name one")


def _call(command: Sequence[str], folder: Path, descriptor: int, unwanted: Callable[[], bool]) -> None:
    """Run a command to its end; raises NotMadeError where it fails."""
    log = folder / "install.log"
    with log.open("wb") as output:
        try:
            # In the folder, so that no project's configuration is read.
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(descriptor,),
            )
        except OSError as error:
            raise NotMadeError(f"not installable: cannot run {command[0]}: {error.strerror}") from error
    try:
        status = _wait(process, unwanted)
    finally:
        _end(process)
    if status is None:
        raise NotMadeError("interrupted")
    if status:
        printed = log.read_text(encoding="utf-8", errors="replace")
        raise NotMadeError(_reason(printed, command), printed[-_DETAILS_LENGTH:])


def _wait(process: subprocess.Popen[bytes], unwanted: Callable[[], bool]) -> int | None:
    """The exit status, None where the process is no longer wanted."""
    while not unwanted():
        with suppress(subprocess.TimeoutExpired):
            return process.wait(_LOOK)
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _reason(printed: str, command: Sequence[str]) -> str:
    """In one line why an installer failed, by what it printed."""
    text = re.sub(r"\s+", " ", _complaint(printed)).strip() or f"{Path(command[0]).name} failed and printed nothing"
    text = re.sub(r"\(from versions: ([^)]*)\)", _newest, text)
    if any(word in printed for word in _UNREACHABLE):
        state = "not installable: no package index could be reached"
    elif any(word in printed for word in _UNRESOLVED):
        state = "cannot be resolved"
    else:
        state = "not installable"
    return f"{state}: {text[:_REASON_LENGTH]}"


def _complaint(printed: str) -> str:
    """What pip or uv says is wrong, and the last line of what a build system said to them."""
    built = re.search(r"× (.*)\n(?:.*\n)*?.*lines of output\]\n((?:.*\n)*?)\s*\[end of output\]", printed)
    if built:
        return f"{built[1]} {built[2].strip().splitlines()[-1].strip()}"
    errors = re.findall(r"^ERROR: (?!Ignored )(.*)", printed, re.MULTILINE)
    if errors:
        causes = re.search(r"^The conflict is caused by:\n(?:.*\S.*\n)*", printed, re.MULTILINE)
        return f"{errors[0]} {causes[0] if causes else ''}".strip()
    stated = re.search(r"^\s*(?:error: |× )(?:.*\S.*\n?)*", printed, re.MULTILINE)
    inner = re.search(r"^\s*\[stderr\]\n((?:.*\S.*\n)*)", printed, re.MULTILINE)
    text = stated[0] if stated else "".join(printed.strip().splitlines()[-1:])
    text += inner[1].strip().splitlines()[-1] if inner and inner[1].strip() else ""
    return re.sub(r"error: |cause: |No solution found when resolving dependencies:?|[×╰├─▶│]", "", text).strip()


def _newest(versions: re.Match[str]) -> str:
    """The last of the versions that pip lists, by which a typing error shows."""
    listed = versions[1].split(", ")
    return f"(from versions: {', '.join((['…'] if len(listed) > _NEWEST_SHOWN else []) + listed[-_NEWEST_SHOWN:])})"
