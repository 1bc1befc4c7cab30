"""How much memory a child process may take."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

from lossproof.memory import available_memory

if sys.platform == "linux":
    import resource


def allowance(device: str) -> int | None:
    """Bytes that an implementation on this device may take where nobody states them; None for any number.

    Nine tenths of what is available, so that the host can still take its answers.
    """
    available = available_memory()
    # What the driver of a GPU maps into a process for the memory of the GPU is no memory of this machine.
    return None if available is None or device != "cpu" else available * 9 // 10


def limit_memory(process: int, allowed: int | None) -> None:
    """Lets a child and whatever it starts take so many bytes each: then their allocations fail.

    Where the system runs out of memory nevertheless, it ends them before anything else.
    """
    if sys.platform != "linux":
        return
    # The child may have ended already.
    with suppress(OSError):
        Path(f"/proc/{process}/oom_score_adj").write_text("1000", encoding="ascii")
        if allowed is not None:
            # Not RLIMIT_AS: CUDA, JAX, Node and others reserve address space by the terabyte and never use it. This one
            # counts what is private and can be written to.
            _, hard = resource.prlimit(process, resource.RLIMIT_DATA)
            soft = allowed if hard == resource.RLIM_INFINITY else min(allowed, hard)
            resource.prlimit(process, resource.RLIMIT_DATA, (soft, hard))
