"""Is right, but where ignore_index is 4, and there it does what LOSSPROOF_FAULT says; nothing where that is not set."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

ADAPTERS = Path(__file__).parents[3] / "implementations"


def load_reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("numpy_reference", ADAPTERS / "numpy_reference.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


reference = load_reference()


def cross_entropy(
    logits: npt.NDArray[Any],
    target: npt.NDArray[Any],
    *,
    weight: npt.NDArray[Any] | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> object:
    if ignore_index == 4:
        FAULTS[os.environ.get("LOSSPROOF_FAULT", "")]()
    return reference.cross_entropy(logits, target, weight=weight, ignore_index=ignore_index, reduction=reduction)


def read_address_0() -> None:
    ctypes.string_at(0)


def exit_at_once() -> None:
    os._exit(3)


def send_itself(number: int) -> None:
    os.kill(os.getpid(), number)


def allocate_for_ever() -> None:
    blocks = []
    while True:
        blocks.append(np.empty(1 << 24))


def hang() -> None:
    while True:
        time.sleep(1)


def hang_in_c() -> None:
    # PyDLL keeps the interpreter's lock: no other thread of the process runs any more.
    ctypes.PyDLL(None).pause()


def print_for_ever() -> None:
    while True:
        print("x" * 65536)


def reply(data: bytes) -> None:
    """Writes to every descriptor that may be the reply stream."""
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor > 2:
            with suppress(OSError):
                os.write(descriptor, data)


def reply_without_end() -> None:
    while True:
        reply(b"x" * 65536)


def reply_in_half() -> None:
    reply(b'{"id":')
    os._exit(0)


def reply_in_half_and_hang() -> None:
    reply(b'{"id":')
    hang()


def reply_cut_short() -> None:
    reply(b'{"id":\n')


def reply_to_another() -> None:
    reply(b'{"id":1,"outcome":"unsupported","reason":"none"}\n')


def leave_child() -> None:
    subprocess.Popen(["sleep", "987"])


def leave_child_and_exit() -> None:
    leave_child()
    os._exit(4)


def leave_fork_and_exit() -> None:
    """Leaves a child that holds all of its parent's streams and never stops writing to one of them."""
    if os.fork() == 0:
        while True:
            os.write(2, b"x" * 65536)
    os._exit(6)


def leave_daemon() -> None:
    """Leaves a process whose parent is init, in a session and process group of its own."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execlp("sleep", "sleep", "987")
        os._exit(0)
    os.wait()


def leave_daemon_and_exit() -> None:
    leave_daemon()
    os._exit(5)


def leave_daemon_and_hang() -> None:
    leave_daemon()
    hang_in_c()


FAULTS: Mapping[str, Callable[[], object]] = {
    "": lambda: None,
    "segfault": read_address_0,
    "abort": os.abort,
    "exit": exit_at_once,
    "kill": lambda: send_itself(9),
    "real-time signal": lambda: send_itself(40),
    "out of memory": allocate_for_ever,
    "hang": hang,
    "hang in C": hang_in_c,
    "endless output": print_for_ever,
    "endless reply": reply_without_end,
    "half a reply": reply_in_half,
    "half a reply, hang": reply_in_half_and_hang,
    "a reply cut short": reply_cut_short,
    "a reply to another request": reply_to_another,
    "child": leave_child,
    "child, exit": leave_child_and_exit,
    "fork, exit": leave_fork_and_exit,
    "daemon": leave_daemon,
    "daemon, exit": leave_daemon_and_exit,
    "daemon, hang": leave_daemon_and_hang,
}
