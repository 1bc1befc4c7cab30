"""What workers of a test have left: processes, found by a mark in their environment, and shared folders."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

MARK = "LOSSPROOF_TEST"


@contextmanager
def leaving_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Marks the processes of a test and gives it a folder of shared files of its own, since others run beside it."""
    shared = folder / "shared"
    shared.mkdir()
    monkeypatch.setattr("lossproof.processes.connect.SHARED_MEMORY", shared)
    monkeypatch.setenv(MARK, str(folder))
    yield shared
    assert (set(), set()) == (children(), shared_folders(shared))


def children() -> set[str]:
    """Command lines of processes that this test started and that still run, whoever their parent is."""
    mark = f"{MARK}={os.environ[MARK]}".encode()
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        # A process may end while it is looked at.
        with suppress(OSError):
            if int(process.name) != os.getpid() and mark in (process / "environ").read_bytes().split(b"\0"):
                found.add((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return {line for line in found if line}


def shared_folders(shared: Path) -> set[Path]:
    """Folders of a host that were not removed."""
    return set(shared.glob("lossproof-*"))


def wait_for_none(shared: Path) -> None:
    """Waits until processes and folders are gone; ten seconds at most, since nothing says when the host's heir ends."""
    deadline = time.monotonic() + 10
    while (children() or shared_folders(shared)) and time.monotonic() < deadline:
        time.sleep(0.01)
