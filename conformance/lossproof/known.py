"""Known deviations: what an implementation is known to get wrong, in a file beside its adapter."""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from lossproof.outcome import Outcome
from lossproof.paths import IMPLEMENTATIONS
from lossproof.record import Subject

_ENDS_A_PROCESS = (Outcome.CRASHED, Outcome.TIMED_OUT)


class Asked(Protocol):
    """What a deviation may speak of: a golden, or the record of one."""

    @property
    def case(self) -> str:
        """Id of the case."""

    @property
    def dtype(self) -> str:
        """The dtype of the golden."""

    @property
    def question(self) -> str:
        """What the golden asks."""


class KnownDeviationError(Exception):
    """A file of known deviations that cannot be used; the text names file, entry and wish."""


@dataclass(frozen=True)
class Deviation:
    """Goldens (by globs over case ids) that are known to give one of the outcomes `expected`, and why.

    `varies` says on what it depends beside version, dtype and device; where it is stated, a better grade is no finding.
    """

    place: str
    cases: tuple[str, ...]
    expected: tuple[Outcome, ...]
    reason: str
    versions: SpecifierSet
    dtypes: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    device: str = ""
    link: str = ""
    varies: str = ""

    def covers(self, asked: Asked, subject: Subject) -> bool:
        """Whether it speaks of a golden, of this version on this device."""
        return (
            any(fnmatch.fnmatchcase(asked.case, glob) for glob in self.cases)
            and (not self.dtypes or asked.dtype in self.dtypes)
            and (not self.questions or asked.question in self.questions)
            and (not self.device or subject.device.startswith(self.device))
            and _contains(self.versions, subject.version)
        )


_TEXTS = ("reason", "versions", "device", "link", "varies")
_LISTS = ("case", "dtype", "question", "expected")  # A single one may be written as text.
_NEEDED = ("case", "expected", "reason")


def read_known(path: Path) -> tuple[Deviation, ...]:
    """The deviations in a .known.toml file, none where there is no file; raises KnownDeviationError.

    Each [[deviation]] has `case` (a glob over case ids, or a list of them), the `expected` outcome (or a list of those
    that it may be) and a `reason`; it may be narrowed to `versions` (PEP 440), `dtype`, `question` and `device`, point
    to more by `link`, and say by `varies` what else it depends on.
    """
    if not path.is_file():
        return ()
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as why:
        raise KnownDeviationError(f"{path}: expected TOML, got {why}") from why
    entries = data.pop("deviation", [])
    if data or not isinstance(entries, list):
        raise KnownDeviationError(
            f"{path}: expected [[deviation]] tables alone, got {', '.join(data) or 'something else'}"
        )
    return tuple(_read(entry, f"{path.name} deviation {number}") for number, entry in enumerate(entries, start=1))


def _read(entry: object, place: str) -> Deviation:
    if not isinstance(entry, dict):
        raise KnownDeviationError(f"{place}: expected a [[deviation]] table, got {entry!r}")
    for key, value in entry.items():
        _check(key, value, place)
    for key in _NEEDED:
        if not entry.get(key):
            raise KnownDeviationError(f"{place}: expected the key {key}, got none")
    try:
        versions = SpecifierSet(entry.get("versions", ""))
        expected = tuple(map(Outcome, _listed(entry["expected"])))
    except InvalidSpecifier as why:
        raise KnownDeviationError(f"{place} versions: expected versions as in PEP 440, got {why}") from why
    except ValueError as why:
        raise KnownDeviationError(
            f"{place} expected: expected one of {', '.join(Outcome)}, got {entry['expected']!r}"
        ) from why
    return Deviation(
        place,
        _listed(entry["case"]),
        expected,
        entry["reason"],
        versions,
        _listed(entry.get("dtype", ())),
        _listed(entry.get("question", ())),
        entry.get("device", ""),
        entry.get("link", ""),
        entry.get("varies", ""),
    )


def _check(key: str, value: object, place: str) -> None:
    if key in _LISTS:
        if not all(isinstance(each, str) for each in (value if isinstance(value, list) else [value])):
            raise KnownDeviationError(f"{place} {key}: expected text or a list of texts, got {value!r}")
    elif key not in _TEXTS:
        raise KnownDeviationError(f"{place}: expected one of {', '.join((*_LISTS, *_TEXTS))}, got {key}")
    elif not isinstance(value, str):
        raise KnownDeviationError(f"{place} {key}: expected text, got {value!r}")


def _listed(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def deviations_of(subject: Subject) -> tuple[Deviation, ...]:
    """The known deviations that stand beside its adapter; raises KnownDeviationError."""
    # A path of its own replaces the folder of the shipped adapters.
    return read_known(IMPLEMENTATIONS / subject.known) if subject.known else ()


def covering(asked: Asked, subject: Subject, deviations: Sequence[Deviation]) -> Deviation | None:
    """The first deviation that speaks of a golden."""
    return next((deviation for deviation in deviations if deviation.covers(asked, subject)), None)


def fatal(deviations: Sequence[Deviation]) -> tuple[Deviation, ...]:
    """Those that end the process that is asked, or leave it in no state to be asked another golden."""
    return tuple(each for each in deviations if any(outcome in _ENDS_A_PROCESS for outcome in each.expected))


def _contains(versions: SpecifierSet, version: str) -> bool:
    try:
        return not str(versions) or versions.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False
