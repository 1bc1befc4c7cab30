"""Ends what workers leave behind, also after the end of their host: processes, by a mark in their environment."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock
from time import monotonic, sleep

# Also run by path, as the process that outlives the host: the standard library only.

# A process group does not hold what calls setsid, and the parent of a daemon is init. What is in the environment of a
# process at its start is in that of all its descendants, unless they clear it.
MARKS = "LOSSPROOF_MARKS"
PROCESSES = Path("/proc")  # where the system has it; elsewhere a process group is all that is ended
PATIENCE = 2.0  # seconds

_HOST = os.urandom(16).hex()
_lock = Lock()


def marked(environment: Mapping[str, str] | None, mark: str) -> dict[str, str]:
    """The environment, this process's own where there is none, for processes that `end_marked(mark)` is to end.

    The end of this process ends them too, however it comes.
    """
    _write("")
    # A host may itself be what a worker started.
    marks = filter(None, (os.environ.get(MARKS), _HOST, mark))
    return {**(os.environ if environment is None else environment), MARKS: " ".join(marks)}


def remove_with_host(folder: Path) -> None:
    """Sees to it that the folder is gone after the end of this process, however it comes."""
    _write(f"{folder}\n")


def end_marked(mark: str) -> None:
    """Kills the processes that were started with the mark, and waits until they are gone, two seconds at most."""
    deadline = monotonic() + PATIENCE
    while found := list(_find(mark.encode())):
        for process in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        if monotonic() > deadline:
            return
        sleep(0.001)


def _find(mark: bytes) -> Iterator[int]:
    """Processes with the mark, but for this one."""
    own = os.getpid()
    for process in PROCESSES.glob("[0-9]*"):
        # It may end while it is looked at, or be somebody else's.
        with suppress(OSError):
            if int(process.name) != own and mark in (process / "environ").read_bytes():
                yield int(process.name)


def _write(line: str) -> None:
    """Tells the process that waits for the end of this one."""
    with _lock, suppress(BrokenPipeError):
        stream = _waiting().stdin
        assert stream
        stream.write(line.encode())
        stream.flush()


@cache
def _waiting() -> subprocess.Popen[bytes]:
    """The process that waits for the end of this one, started once."""
    # Without the environment it carries no mark, of an outer host neither, and nothing there can change what it does.
    kept = {name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"}
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(Path(__file__).resolve()), _HOST],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=kept,
        start_new_session=True,
    )
    atexit.register(_leave, process)
    return process


def _leave(process: subprocess.Popen[bytes]) -> None:
    """Lets it do its work before this process ends in good order."""
    with suppress(BrokenPipeError, subprocess.TimeoutExpired):
        process.communicate(timeout=2 * PATIENCE)


def main() -> None:
    """Waits for the end of the host, whose mark and folders it is given, and clears up."""
    folders = sys.stdin.read().splitlines()
    end_marked(sys.argv[1])
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
