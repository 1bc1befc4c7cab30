"""What a script prints, and how it ends, in a process of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from lossproof.processes.allowance import allowance
from lossproof.processes.channel import Channel, Silence, signal_name


@dataclass(frozen=True)
class Ended:
    """What a script wrote to stdout, the last that it wrote to stderr, and how it ended, in words.

    `status` is its exit status, negative for a signal; None where it was ended after so many seconds.
    """

    out: str
    err: str
    status: int | None
    how: str


def run_script(python: Sequence[str], script: str, device: str = "cpu", seconds: float = 120.0) -> Ended:
    """Runs the script from a folder of its own; its modules are found as a worker finds an adapter's.

    Raises OSError where `python`, the interpreter with its options, cannot be started.
    """
    with tempfile.TemporaryDirectory(prefix="lossproof-") as folder:
        path = Path(folder) / "reproduce.py"
        path.write_text(script, encoding="utf-8")
        found = os.pathsep.join(filter(None, (os.getcwd(), os.environ.get("PYTHONPATH"))))
        channel = Channel([*python, str(path)], {**os.environ, "PYTHONPATH": found}, allowance(device))
        deadline = monotonic() + seconds
        lines: list[bytes] = []
        try:
            while not isinstance(received := channel.receive(max(0.0, deadline - monotonic())), Silence):
                lines += received
            status = channel.leave() if received is Silence.GONE else None
        finally:
            channel.kill()
        out = b"".join(line + b"\n" for line in lines).decode(errors="backslashreplace")
        return Ended(out, channel.stderr, status, _how(status, seconds))


def _how(status: int | None, seconds: float) -> str:
    if status is None:
        return f"did not end within {seconds:g} s"
    if status < 0:
        return f"was killed by {signal_name(-status)}"
    return f"ended with exit status {status}"
