"""A child process in a process group of its own that answers in lines."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import Enum
from time import monotonic

from lossproof.processes.allowance import limit_memory
from lossproof.processes.leftovers import end_marked, marked

ENDLESS_LINE = 256 << 20  # bytes
STDERR_TAIL = 8192  # bytes
TICK = 0.2  # seconds between looks whether the process still lives
LEAVE = 2.0  # seconds that a process gets to end by itself


class Silence(Enum):
    """Why no line came."""

    LATE = "no reply in time"
    GONE = "the process ended"
    ENDLESS = "a line without an end"


class Channel:
    """A running child; `kill` ends it and whatever it started. One thread moves all three streams without blocking."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None, memory: int | None = None
    ) -> None:
        """Starts the command, which may take so many bytes. Raises OSError where it cannot be started."""
        self._mark = os.urandom(16).hex()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=marked(environment, self._mark),
            bufsize=0,
            start_new_session=True,
        )
        limit_memory(self._process.pid, memory)
        assert self._process.stdin
        assert self._process.stdout
        assert self._process.stderr
        self._in = self._process.stdin.fileno()
        self._out = self._process.stdout.fileno()
        self._err = self._process.stderr.fileno()
        self._poll = select.poll()
        for descriptor in (self._in, self._out, self._err):
            os.set_blocking(descriptor, False)
        self._poll.register(self._out, select.POLLIN)
        self._poll.register(self._err, select.POLLIN)
        self._unsent = b""
        self._pieces: list[bytes] = []
        self._held = 0
        self._tail = b""

    def send(self, data: bytes) -> None:
        """Sends what the pipe takes now, the rest during `receive`. A child that is gone is noticed there."""
        blocked = bool(self._unsent)
        self._unsent += data
        if not blocked:
            self._write()
            if self._unsent:
                self._poll.register(self._in, select.POLLOUT)

    def receive(self, seconds: float) -> list[bytes] | Silence:
        """The lines that have come, at least one, without their newlines; or why there is none."""
        deadline = monotonic() + seconds
        while True:
            ready = self._poll.poll(max(0.0, min(deadline - monotonic(), TICK)) * 1000)
            for descriptor, _ in ready:
                if descriptor == self._in:
                    self._write()
                    if not self._unsent:
                        self._poll.unregister(self._in)
                elif descriptor == self._err:
                    self._drain()
            if any(descriptor == self._out for descriptor, _ in ready):
                lines = self._read()
                if lines:
                    return lines
            elif self._process.poll() is not None and not self._has_line():
                # A grandchild may hold the pipe open, so that its end never shows, and write to stderr for ever.
                return Silence.GONE
            if monotonic() >= deadline:
                return Silence.LATE

    def leave(self) -> int | None:
        """Closes stdin, lets the process end, then what it started; the exit status, None where it had to be killed."""
        if self._process.stdin:
            self._process.stdin.close()
        status = None
        with suppress(subprocess.TimeoutExpired):
            status = self._process.wait(LEAVE)
        self.kill()
        return status

    def kill(self) -> None:
        """Ends the process and all that it started now. May be called again."""
        # A group keeps its number while a member lives, and numbers of dead ones come round last.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        end_marked(self._mark)
        if self._process.stderr and not self._process.stderr.closed:
            self._drain()
            for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
                if stream:
                    stream.close()

    def abort(self) -> None:
        """Ends the process and its group from another thread, which sees it gone."""
        if self._process.returncode is not None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    @property
    def stderr(self) -> str:
        """The last that the child wrote to stderr."""
        return self._tail.decode(errors="replace")

    def _has_line(self) -> bool:
        """Whether something came between the last look and the end of the process."""
        return any(descriptor == self._out for descriptor, _ in self._poll.poll(0))

    def _write(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._in, self._unsent) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._unsent = b""

    def _read(self) -> list[bytes] | Silence:
        """Complete lines; an empty list where the last one has not ended yet."""
        chunk = os.read(self._out, 1 << 20)
        if not chunk:
            return Silence.GONE
        self._pieces.append(chunk)
        self._held += len(chunk)
        if b"\n" in chunk:
            *lines, rest = b"".join(self._pieces).split(b"\n")
            self._pieces, self._held = [rest], len(rest)
            return lines
        return Silence.ENDLESS if self._held > ENDLESS_LINE else []

    def _drain(self) -> None:
        """Takes what stands in stderr, so that the child never waits for it."""
        with suppress(BlockingIOError):
            for _ in range(64):
                chunk = os.read(self._err, 65536)
                if not chunk:
                    with suppress(KeyError):
                        self._poll.unregister(self._err)
                    return
                self._tail = (self._tail + chunk)[-STDERR_TAIL:]


def signal_name(number: int) -> str:
    """SIGSEGV and the like; those between the first and the last real-time signal have no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
