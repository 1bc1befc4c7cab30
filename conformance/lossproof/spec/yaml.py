"""YAML cut down to what JSON can say, with the line of every value."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from lossproof.paths import SPEC
from lossproof.spec.errors import SpecError

Json = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
Path_ = tuple[str | int, ...]

DEEPEST = 32
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {"null": None, "true": True, "false": False}
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Document:
    """The data of one file, and the line on which each path begins."""

    name: str
    data: Json
    lines: dict[Path_, int]


@dataclass(frozen=True)
class Place:
    """A path within a document."""

    document: Document
    path: Path_ = ()

    def at(self, *steps: str | int) -> Place:
        """The place some steps further in."""
        return Place(self.document, (*self.path, *steps))

    @property
    def line(self) -> str:
        """`file:line` of the place, or of the nearest thing around it that the file holds."""
        path = self.path
        while path and path not in self.document.lines:
            path = path[:-1]
        return f"{self.document.name}:{self.document.lines.get(path, 1)}"

    def error(self, expected: str, got: str) -> SpecError:
        """The error to raise where the place holds something else than it should."""
        return SpecError(f"{self.line} {json_path(self.path)}: expected {expected}, got {got}")


def read_document(path: Path) -> Document:
    """Read a YAML file that keeps to JSON's scalars; raises SpecError where it cannot be read or does not."""
    name = file_name(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{name}:1 $: expected a readable UTF-8 file, got {error}") from error
    return parse_document(text, name)


def file_name(path: Path) -> str:
    """The name that messages give a file: from the folder `spec` on where it lies there."""
    return path.relative_to(SPEC.parent).as_posix() if path.is_relative_to(SPEC) else path.name


def parse_document(text: str, name: str) -> Document:
    """Parse one YAML document that keeps to JSON's scalars; raises SpecError where it does not."""
    document = Document(name, None, {})
    try:
        events = yaml.parse(text, Loader=yaml.CSafeLoader)
        data = _read_stream(events, document)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SpecError(f"{name}:{line} $: expected YAML, got {error.problem}") from error
    except yaml.YAMLError as error:
        raise SpecError(f"{name}:1 $: expected YAML, got {error}") from error
    return Document(name, data, document.lines)


def show(value: object) -> str:
    """A value as messages show it: JSON, cut short."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def json_path(path: Path_) -> str:
    """`$.cases[2].inputs` for ("cases", 2, "inputs")."""
    steps = (
        f"[{step}]" if isinstance(step, int) else f".{step}" if _PLAIN_KEY.fullmatch(step) else f"[{json.dumps(step)}]"
        for step in path
    )
    return "$" + "".join(steps)


def _read_stream(events: Iterator[yaml.Event], document: Document) -> Json:
    data: Json = None
    documents = 0
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                document.lines[()] = _line(event)
                raise Place(document).error("one document in a file", "a second one")
        elif isinstance(event, yaml.NodeEvent):
            data = _read_node(event, events, document, ())
    if documents == 0:
        raise Place(document).error("a document", "an empty file")
    return data


def _read_node(event: yaml.Event, events: Iterator[yaml.Event], document: Document, path: Path_) -> Json:
    document.lines[path] = _line(event)
    if isinstance(event, yaml.AliasEvent):
        raise Place(document, path).error("a value written out", f"the alias *{event.anchor}")
    assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
    if event.anchor is not None:
        raise Place(document, path).error("a value without an anchor", f"&{event.anchor}")
    if event.tag is not None:
        raise Place(document, path).error("a value without a tag", event.tag)
    if len(path) > DEEPEST:
        raise Place(document, path).error(f"at most {DEEPEST} levels", "a deeper one")
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event, document, path)
    if isinstance(event, yaml.SequenceStartEvent):
        return _sequence(events, document, path)
    return _mapping(events, document, path)


def _sequence(events: Iterator[yaml.Event], document: Document, path: Path_) -> list[Json]:
    items: list[Json] = []
    while not isinstance(event := next(events), yaml.SequenceEndEvent):
        items.append(_read_node(event, events, document, (*path, len(items))))
    return items


def _mapping(events: Iterator[yaml.Event], document: Document, path: Path_) -> dict[str, Json]:
    mapping: dict[str, Json] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        key = _key(event, document, path)
        if key in mapping:
            first = document.lines[(*path, key)]
            document.lines[(*path, key)] = _line(event)
            raise Place(document, (*path, key)).error("a key only once", f"it again (first on line {first})")
        mapping[key] = None
        mapping[key] = _read_node(next(events), events, document, (*path, key))
        document.lines[(*path, key)] = _line(event)
    return mapping


def _key(event: yaml.Event, document: Document, path: Path_) -> str:
    if not isinstance(event, yaml.ScalarEvent) or event.anchor is not None or event.tag is not None:
        document.lines[path] = _line(event)
        raise Place(document, path).error("keys that are plain strings", "something else")
    if event.value == "<<" and event.implicit[0]:
        document.lines[path] = _line(event)
        raise Place(document, path).error("keys that are plain strings", "the merge key <<")
    return event.value


def _scalar(event: yaml.ScalarEvent, document: Document, path: Path_) -> Json:
    text = event.value
    quoted_or_block = not event.implicit[0]
    if quoted_or_block:
        return text
    if text == "":
        raise Place(document, path).error("a value", "nothing")
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return _integer(text, document, path)
    if _FLOAT.fullmatch(text):
        return _float(text, document, path)
    return text


def _integer(text: str, document: Document, path: Path_) -> int:
    # More than 19 digits never fit, and Python refuses to convert thousands of them.
    value = int(text) if len(text) <= 20 else 2**63
    if not -(2**63) <= value < 2**63:
        raise Place(document, path).error("an integer of 64 bits", show(text))
    return value


def _float(text: str, document: Document, path: Path_) -> float:
    value = float(text)
    if math.isinf(value):
        raise Place(document, path).error('a number that binary64 holds, or "inf"', text[:60])
    return value


def _line(event: yaml.Event) -> int:
    assert event.start_mark is not None
    return event.start_mark.line + 1
