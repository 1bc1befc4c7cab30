"""Python environments that adapters run in: made once, kept in the user's cache folder, used again."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import sleep
from typing import BinaryIO

from platformdirs import user_cache_path

from lossproof.environments.installers import NotMadeError, install, interpreter_in

_LOOK = 0.2  # seconds between looks whether a lock is free


@dataclass(frozen=True)
class Environment:
    """What an environment holds, whether or not it is made: requirements, and the Python that it is made of.

    `python` is a version such as 3.9; `base` the path of the interpreter where one was named. `folder` is where it is
    kept.
    """

    requirements: tuple[str, ...]
    python: str
    base: str
    folder: Path

    @property
    def interpreter(self) -> Path:
        """Its own interpreter, once it is made."""
        return interpreter_in(self.folder)


@dataclass(frozen=True)
class Kept:
    """A folder of an environment: `installer` is "" while it is being made, or where that was interrupted.

    `size` is in bytes.
    """

    folder: Path
    requirements: tuple[str, ...]
    python: str
    installer: str
    size: int
    used: datetime

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name


def describe(label: str, requirements: Sequence[str], python: str, base: str = "") -> Environment:
    """The environment of these normalised requirements; `label` begins its name."""
    kept = tuple(sorted(set(requirements)))
    key = hashlib.sha256("\n".join((sysconfig.get_platform(), python, base, *kept)).encode()).hexdigest()[:10]
    return Environment(kept, python, base, cache() / f"{label}-{key}")


def cache() -> Path:
    """The folder that environments are kept in."""
    return user_cache_path("lossproof") / "environments"


def hold(environment: Environment, unwanted: Callable[[], bool] = lambda: False) -> BinaryIO:
    """Makes the environment where it is not there, and keeps it from being removed until the result is closed.

    Raises NotMadeError, also as soon as it is `unwanted`.
    """
    try:
        lock = _open_lock(environment.folder)
    except OSError as error:
        raise NotMadeError(f"not installable: {error}") from error
    try:
        while True:
            _acquire(lock, fcntl.LOCK_SH, unwanted)
            if _is_made(environment):
                os.utime(_marker(environment.folder))
                return lock
            _acquire(lock, fcntl.LOCK_EX, unwanted)
            if not _is_made(environment):
                _make(environment, lock, unwanted)
    except BaseException:
        lock.close()
        raise


def listed() -> list[Kept]:
    """The environments that are kept, by name."""
    folders = sorted(cache().iterdir()) if cache().is_dir() else []
    return [_read(folder) for folder in folders if folder.is_dir()]


def remove(kept: Kept) -> bool:
    """Removes an environment; False where a run holds it."""
    with _open_lock(kept.folder) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        # First the marker: what is left of an interrupted removal is not taken for an environment.
        _marker(kept.folder).unlink(missing_ok=True)
        shutil.rmtree(kept.folder)
    return True


def _make(environment: Environment, lock: BinaryIO, unwanted: Callable[[], bool]) -> None:
    folder = environment.folder
    try:
        installer = install(
            folder, environment.requirements, environment.base or environment.python, lock.fileno(), unwanted
        )
        facts = {
            "requirements": environment.requirements,
            "python": environment.python,
            "base": environment.base,
            "installer": installer,
        }
        unfinished = folder / "environment.json.unfinished"
        unfinished.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        unfinished.rename(_marker(folder))
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise NotMadeError(f"not installable: {error}") from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _is_made(environment: Environment) -> bool:
    # The interpreter is a link, which leads nowhere once that Python is uninstalled.
    return _marker(environment.folder).is_file() and environment.interpreter.exists()


def _marker(folder: Path) -> Path:
    """The file that is written last, and touched at each use."""
    return folder / "environment.json"


def _open_lock(folder: Path) -> BinaryIO:
    """The lock of an environment, a file that is never removed: who waits for it would wait for another one."""
    path = folder.parent.with_name("locks") / folder.name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("ab")


def _acquire(lock: BinaryIO, kind: int, unwanted: Callable[[], bool]) -> None:
    while True:
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if unwanted():
                raise NotMadeError("interrupted") from None
            sleep(_LOOK)
        else:
            return


def _read(folder: Path) -> Kept:
    marker = _marker(folder)
    facts = json.loads(marker.read_text(encoding="utf-8")) if marker.is_file() else {}
    used = (marker if facts else folder).stat().st_mtime
    return Kept(
        folder,
        tuple(facts.get("requirements", ())),
        facts.get("python", ""),
        facts.get("installer", ""),
        sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()),
        datetime.fromtimestamp(used, UTC),
    )
