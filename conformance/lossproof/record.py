"""Records of a run: what a golden gave, written as JSON lines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from lossproof.outcome import Outcome

_Line = TypeVar("_Line", "Record", "Subject", "Ended")


class RecordError(Exception):
    """A run that cannot be read; the text names file and line."""


@dataclass(frozen=True, slots=True)
class Record:
    """What one golden gave.

    `kind` is "hazard" where the dialect or the dtype leaves the answer open, "property" where the dialect does not
    promise what the golden asks, and else that of the case.
    """

    golden: str
    implementation: str
    outcome: Outcome
    kind: str
    ulps: float = math.nan
    bounds: float = math.nan
    where: str = ""
    expected: str = ""
    got: str = ""
    reason: str = ""
    fingerprint: str = ""
    seconds: float = math.nan

    @property
    def case(self) -> str:
        """Id of the case."""
        return self.golden.partition("[")[0]

    @property
    def dtype(self) -> str:
        """The dtype of the golden."""
        return self.golden.partition("[")[2].split("-")[0]

    @property
    def question(self) -> str:
        """What the golden asks: value, gradient, gradient-target, relation, …"""
        return self.golden.partition("[")[2].rstrip("]").partition("-")[2]

    @property
    def operation(self) -> str:
        """The operation of the case."""
        return self.case.split("/")[0]

    @property
    def topic(self) -> str:
        """The topic of the case."""
        return self.case.split("/")[1]


@dataclass(frozen=True, slots=True)
class Subject:
    """An implementation in a run: what it said of itself when it started, or why it did not start.

    `typed` is what a command line takes for it. `asked` counts its goldens, by which a run that broke off is known.
    `known` is its file of known deviations: a name beside the shipped adapters, or a path.
    """

    name: str
    typed: str = ""
    asked: int = 0
    offered: tuple[str, ...] = ()
    not_offered: tuple[str, ...] = ()
    package: str = ""
    version: str = ""
    dialect: str = ""
    device: str = "cpu"
    known: str = ""
    header: Mapping[str, Any] | None = None
    failed: str = ""
    missing: bool = False
    details: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of an implementation's part of a run: the seconds since its start, other parts being beside it or not."""

    implementation: str
    seconds: float


@dataclass(frozen=True)
class Run:
    """A run as it was read: its header, the implementations in it, and their records in the order of asking.

    What broke off has no end.
    """

    header: Mapping[str, Any]
    subjects: tuple[Subject, ...]
    records: tuple[Record, ...]
    ended: tuple[Ended, ...] = ()

    def of(self, subject: str) -> tuple[Record, ...]:
        """The records of one implementation."""
        return tuple(record for record in self.records if record.implementation == subject)


def to_line(item: Record | Subject | Ended | Mapping[str, Any]) -> str:
    """One line of a run; NaN and infinities are strings, empty fields are left out."""
    if isinstance(item, Record):
        data = {"type": "record", **asdict(item)}
    elif isinstance(item, Subject):
        data = {"type": "implementation", **asdict(item)}
    elif isinstance(item, Ended):
        data = {"type": "end", **asdict(item)}
    else:
        data = {"type": "run", **item}
    kept = {
        name: _plain(value)
        for name, value in data.items()
        if value not in ("", None) and value != () and not _is_nan(value)
    }
    return json.dumps(kept, ensure_ascii=False, allow_nan=False)


def read_run(path: Path) -> Run:
    """The run in a file of JSON lines, or in run.jsonl of a folder; raises RecordError."""
    file = path / "run.jsonl" if path.is_dir() else path
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as why:
        raise RecordError(f"{file}: cannot be read ({why})") from why
    header: Mapping[str, Any] = {}
    subjects: list[Subject] = []
    records: list[Record] = []
    ended: list[Ended] = []
    for number, data in _parsed(file, lines):
        match data.pop("type", None):
            case "run":
                header = data
            case "implementation":
                subjects.append(_build(Subject, data, file, number))
            case "record":
                records.append(_build(Record, data, file, number))
            case "end":
                ended.append(_build(Ended, data, file, number))
            case other:
                raise RecordError(f"{file}:{number} $.type: expected run, implementation, record or end, got {other!r}")
    if not header:
        raise RecordError(f"{file}: expected a run (a header and its records), got {len(lines)} lines without a header")
    return Run(header, tuple(subjects), tuple(records), tuple(ended))


def _parsed(file: Path, lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, start=1):
        try:
            data = json.loads(line)
        except ValueError as why:
            raise RecordError(f"{file}:{number}: expected a line of JSON, got {line[:60]!r} ({why})") from why
        if not isinstance(data, dict):
            raise RecordError(f"{file}:{number}: expected an object, got {line[:60]!r}")
        yield number, data


def _build(kind: type[_Line], data: dict[str, Any], file: Path, number: int) -> _Line:
    try:
        if kind is Record:
            data["outcome"] = Outcome(data["outcome"])
            for name in ("ulps", "bounds", "seconds"):
                data[name] = float(data.get(name, math.nan))
        elif kind is Subject:
            data |= {name: tuple(data.get(name, ())) for name in ("offered", "not_offered")}
        return kind(**data)
    except (KeyError, TypeError, ValueError) as why:
        raise RecordError(f"{file}:{number}: expected a {kind.__name__.lower()}, got {why}") from why


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _plain(value: Any) -> Any:
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value
