"""Asks implementations in processes of their own, and survives whatever these do."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

from lossproof.processes.allowance import allowance
from lossproof.processes.channel import Channel, Silence, signal_name
from lossproof.processes.leftovers import remove_with_host
from lossproof.processes.messages import (
    NO_REPLY,
    After,
    Answered,
    Crashed,
    Failed,
    Launch,
    Limits,
    Offer,
    Raised,
    Reply,
    Request,
    Started,
    Timed,
    TimedOut,
    Unsupported,
    parse_reply,
    parse_start,
    request_line,
)
from lossproof.processes.wire import Encoded

__all__ = [
    "After",
    "Answered",
    "Crashed",
    "Failed",
    "Launch",
    "Limits",
    "Offer",
    "Raised",
    "Reply",
    "Request",
    "Started",
    "Timed",
    "TimedOut",
    "Unsupported",
    "Worker",
]

WINDOW_REQUESTS = 32
WINDOW_BYTES = 48 << 10
SHARED_MEMORY = Path("/dev/shm")  # memory, where the system has it


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A request as it is sent, and sent again to a new process where another request ended the first."""

    number: int
    line: bytes
    weight: int
    files: tuple[Path, ...]


class Worker:
    """One implementation in its own process, started anew after a crash; a context manager: nothing is left behind."""

    def __init__(self, launch: Launch, limits: Limits | None = None) -> None:
        self._launch = launch
        self._limits = limits or Limits()
        self._channel: Channel | None = None
        self._fresh = True
        self._raised = False
        self._aborted = False
        self._number = 0
        self._stray: list[bytes] = []
        self._folders: list[Path] = []

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> Started | Failed:
        """Starts the process, anew where one runs."""
        self._kill()
        self._stray.clear()
        memory = self._limits.memory or allowance(self._launch.device)
        try:
            self._channel = Channel(self._launch.command, self._launch.environment, memory)
        except OSError as error:
            kind: Literal["missing", "failed"] = "missing" if isinstance(error, FileNotFoundError) else "failed"
            return Failed(kind, f"cannot run {self._launch.command[0]}: {error.strerror}", "")
        if self._aborted:
            self._kill()
            return Failed("failed", "aborted", "")
        self._channel.send(self._start_line())
        lines = self._channel.receive(self._limits.start)
        if isinstance(lines, Silence):
            crash = self._end(lines, self._limits.start)
            reason = crash.reason if isinstance(crash, Crashed) else f"did not start in {crash.seconds:g} s"
            return Failed("failed", reason, crash.stderr)
        try:
            started = parse_start(lines[0])
        except NO_REPLY:
            crash = self._garbage(lines[0])
            return Failed("failed", crash.reason, crash.stderr)
        if isinstance(started, Failed):
            self._kill()
        self._fresh = True
        self._raised = False
        return started

    def ask(self, requests: Iterable[Request], *, seconds: float | None = None) -> Iterator[Reply]:
        """One outcome a request, in their order. Requests are read ahead of the outcomes, as many as the window takes.

        Each has as many `seconds`, or as the limits say. Whatever the process does is an outcome of the oldest
        unanswered request; the others are asked again, of a new process. So is the oldest where the last reply told of
        an exception. Where no process can be started, each of them crashed.
        """
        pending = iter(requests)
        ahead: deque[_Prepared] = deque()
        flight: deque[_Prepared] = deque()
        try:
            while self._look_ahead(ahead, pending) or flight:
                if self._channel is None and isinstance(failed := self.start(), Failed):
                    yield from self._give_up(failed, ahead, pending)
                    return
                self._fill(flight, ahead, pending)
                yield from self._receive(flight, seconds)
                if self._channel is None:
                    ahead.extendleft(reversed(flight))
                    flight.clear()
        finally:
            if flight:
                self._kill()
            for prepared in (*flight, *ahead):
                _remove(prepared.files)

    def ask_one(self, request: Request) -> Reply:
        """The outcome of one request."""
        (outcome,) = self.ask([request])
        return outcome

    def close(self) -> None:
        """Stops the process and whatever it started, and removes the shared files. May be called again."""
        if self._channel is not None:
            self._channel.send(b'{"id":%d,"command":"stop"}\n' % (self._number + 1))
            self._channel.leave()
            self._channel = None
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        self._folders.clear()

    def restart(self) -> None:
        """Ends the process where one runs: the next asking begins in a fresh one."""
        self._kill()

    def abort(self) -> None:
        """Ends the process for good, also while another thread waits for its reply: there it has crashed."""
        self._aborted = True
        channel = self._channel
        if channel is not None:
            channel.abort()

    def _look_ahead(self, ahead: deque[_Prepared], pending: Iterator[Request]) -> bool:
        """Whether a request waits; it is prepared."""
        if not ahead:
            request = next(pending, None)
            if request is not None:
                ahead.append(self._prepare(request))
        return bool(ahead)

    def _fill(self, flight: deque[_Prepared], ahead: deque[_Prepared], pending: Iterator[Request]) -> None:
        """Sends what the window takes."""
        # In batches of half a window, so that host and worker change places less often.
        if len(flight) > WINDOW_REQUESTS // 2:
            return
        room = WINDOW_BYTES - sum(prepared.weight for prepared in flight)
        batch = []
        while len(flight) < WINDOW_REQUESTS and self._look_ahead(ahead, pending):
            if ahead[0].weight > room and flight:
                break
            room -= ahead[0].weight
            batch.append(ahead[0].line)
            flight.append(ahead.popleft())
        if batch and self._channel:
            self._channel.send(b"".join(batch))

    def _receive(self, flight: deque[_Prepared], seconds: float | None) -> Iterator[Reply]:
        """Outcomes of the oldest requests: at least one, or none where the process ended right after an exception.

        The process is gone afterwards where it was at fault.
        """
        assert self._channel is not None
        limit = seconds or (self._limits.first if self._fresh else self._limits.golden)
        # The clock starts here, when the host has taken everything before: its own work is nobody's fault.
        lines = self._stray or self._channel.receive(limit)
        if isinstance(lines, Silence):
            end = self._end(lines, limit)
            # An exception may have spoilt the process: CUDA refuses everything once a kernel has failed.
            if self._raised and lines is Silence.GONE:
                return
            _remove(flight.popleft().files)
            yield end
            return
        self._fresh = False
        # A line that nobody asked for is taken for the next reply, and found to be none.
        lines, self._stray = lines[: len(flight)], lines[len(flight) :]
        for line in lines:
            prepared = flight.popleft()
            _remove(prepared.files)
            try:
                outcome = parse_reply(line, prepared.number, self._folders[0])
            except NO_REPLY:
                yield self._garbage(line)
                return
            self._raised = isinstance(outcome, Raised)
            yield outcome

    def _give_up(self, failed: Failed, ahead: deque[_Prepared], pending: Iterator[Request]) -> Iterator[Reply]:
        """A crash for every request that is left."""
        crash = Crashed(f"could not be started again: {failed.message}", None, None, failed.details)
        while ahead:
            _remove(ahead.popleft().files)
            yield crash
        for _ in pending:
            yield crash

    def _end(self, silence: Silence, seconds: float) -> Crashed | TimedOut:
        """Ends a process that did not reply; what became of it."""
        channel, self._channel = self._channel, None
        assert channel is not None
        if silence is Silence.GONE:
            status = channel.leave()
            if status is None:
                return Crashed("closed its reply stream", None, None, channel.stderr)
            if status < 0:
                name = signal_name(-status)
                return Crashed(f"killed by {name}{_HINTS.get(name, '')}", name, None, channel.stderr)
            return Crashed(f"exited with {status}", None, status, channel.stderr)
        channel.kill()
        if silence is Silence.LATE:
            return TimedOut(seconds, channel.stderr)
        return Crashed(f"wrote {silence.value} to its reply stream", None, None, channel.stderr)

    def _garbage(self, line: bytes) -> Crashed:
        """Ends a process that wrote what is no reply: what else it wrote belongs to no request."""
        channel, self._channel = self._channel, None
        assert channel is not None
        channel.kill()
        shown = line[:200].decode(errors="backslashreplace")
        return Crashed(f"wrote {shown!r} to its reply stream", None, None, channel.stderr)

    def _kill(self) -> None:
        if self._channel is not None:
            self._channel.kill()
            self._channel = None

    def _start_line(self) -> bytes:
        launch = self._launch
        start = {
            "id": 0,
            "command": "start",
            "adapter": None if launch.adapter is None else dict(launch.adapter),
            "framework": launch.framework,
            "dialect": launch.dialect,
            "device": launch.device,
            "operations": launch.operations,
            "python_path": launch.python_path,
            "shared": str(self._shared()),
        }
        return json.dumps(start).encode() + b"\n"

    def _shared(self) -> Path:
        """The folder that large arrays go through."""
        if not self._folders:
            memory = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
            self._make_folder(memory)
        return self._folders[0]

    def _make_folder(self, place: Path | None) -> None:
        folder = Path(tempfile.mkdtemp(prefix="lossproof-", dir=place))
        remove_with_host(folder)
        self._folders.append(folder)

    def _prepare(self, request: Request) -> _Prepared:
        """The request as a line, its large arrays in files."""
        self._number += 1
        files: list[Path] = []
        size = 0

        def written(array: Encoded) -> str:
            nonlocal size
            if array.buffer is None:
                return f"{{{array.members}}}"
            path = self._write_file(f"{self._number}-{len(files)}", array.buffer)
            files.append(path)
            size += len(array.buffer)
            return f'{{{array.members},"file":{json.dumps(str(path))},"size":{len(array.buffer)}}}'

        line = request_line(self._number, request, written)
        return _Prepared(self._number, line, len(line) + size, tuple(files))

    def _write_file(self, name: str, buffer: bytes) -> Path:
        """A file with the buffer, in memory where it has room."""
        path = self._shared() / name
        try:
            path.write_bytes(buffer)
        except OSError:
            path.unlink(missing_ok=True)
            if len(self._folders) == 1:
                self._make_folder(None)
            path = self._folders[1] / name
            path.write_bytes(buffer)
        return path


# The host has not sent it.
_HINTS = {"SIGKILL": ", which the system sends where memory runs out"}


def _remove(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
