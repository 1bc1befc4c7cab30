"""How much memory this machine, or the container that this is, has left."""

from __future__ import annotations

from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CONTAINER = Path("/sys/fs/cgroup")


def available_memory(meminfo: Path = _MEMINFO, container: Path = _CONTAINER) -> int | None:
    """Bytes that a process may take without swapping; None where the system does not say."""
    said = (_left_in_machine(meminfo), _left_in_container(container))
    return min((left for left in said if left is not None), default=None)


def _left_in_machine(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    facts = dict(line.split(":", 1) for line in lines)
    return int(facts["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in facts else None


def _left_in_container(folder: Path) -> int | None:
    """What version 2 of cgroups leaves; a machine that is no container has no such files."""
    try:
        most = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    facts = dict(line.split() for line in lines)
    # Files that nobody has read for a while are given up where memory is wanted.
    return None if most == "max" else max(0, int(most) - used + int(facts["inactive_file"]))
