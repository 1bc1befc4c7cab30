"""Mutants: right losses with one change each, read from a folder."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field

from lossproof.paths import IMPLEMENTATIONS
from lossproof.spec.check import check
from lossproof.spec.errors import SpecError
from lossproof.spec.models import Form, Identifier, Link, Name, Sentence
from lossproof.spec.yaml import Place, read_document, show
from lossproof.strength.changes import changes

GENERATED = "generated"
EQUIVALENT = "equivalent"


class MutantForm(Form):
    """A mutant as a topic file has it: a piece of the source, and what stands there instead.

    The piece occurs exactly once in the function, or in the source where none is named. Lines after its first are
    indented as the source has them, less the indentation of the line in which it begins; so are those of `by`.
    """

    name: Name
    bug: Sentence
    link: Link | None = None
    source: Identifier = "numpy_reference"
    function: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$")] | None = None
    replace: Sentence
    by: str


class GeneratedForm(Form):
    """generated.yaml: which sources are mutated by operators, and how many of the changes are taken."""

    sources: list[Identifier]
    one_in: Annotated[int, Field(ge=1)]


class EquivalentForm(Form):
    """An entry of equivalent.yaml: why no golden can tell a mutant from its source."""

    mutant: Sentence
    proof: Sentence


@dataclass(frozen=True)
class Source:
    """A right implementation that mutants are made from."""

    name: str
    path: Path
    text: str


@dataclass(frozen=True)
class Mutant:
    """A source with one change, in some lines. A `proof` says why nothing can tell it from its source."""

    id: str
    bug: str
    source: Source
    text: str
    line: int
    end_line: int
    link: str = ""
    proof: str = ""


def read_mutants(folder: Path) -> list[Mutant]:
    """Mutants of the folder's topic files, then the generated ones, in an order of their own.

    Raises SpecError for what cannot be read or applied, and where there are none.
    """
    sources: dict[str, Source] = {}
    topics = [path for path in sorted(folder.glob("*.yaml")) if path.stem not in (GENERATED, EQUIVALENT)]
    written = [mutant for path in topics for mutant in _written(path, sources)]
    mutants = {mutant.id: mutant for mutant in (*written, *_generated(folder, sources))}
    if not mutants:
        raise SpecError(f"{folder}: expected mutants, found none")
    return list(_with_proofs(mutants, folder / f"{EQUIVALENT}.yaml").values())


def _written(path: Path, sources: dict[str, Source]) -> Iterator[Mutant]:
    document = read_document(path)
    names: set[str] = set()
    for number, item in enumerate(_items(Place(document))):
        place = Place(document, (number,))
        form = check(MutantForm, item, place)
        if form.name in names:
            raise place.at("name").error("a name of its own", show(form.name))
        names.add(form.name)
        source = _source(form.source, path.parent, sources, place.at("source"))
        text, line = _changed(source.text, form, place)
        end_line = line + form.replace.count("\n")
        yield Mutant(f"{path.stem}/{form.name}", form.bug, source, text, line, end_line, form.link or "")


def _generated(folder: Path, sources: dict[str, Source]) -> Iterator[Mutant]:
    path = folder / f"{GENERATED}.yaml"
    if not path.is_file():
        return
    place = Place(read_document(path))
    form = check(GeneratedForm, place.document.data, place)
    for number, name in enumerate(form.sources):
        source = _source(name, folder, sources, place.at("sources", number))
        for change in changes(source.text, name, form.one_in):
            yield Mutant(f"{GENERATED}/{change.id}", change.bug, source, change.text, change.line, change.end_line)


def _with_proofs(mutants: Mapping[str, Mutant], path: Path) -> Mapping[str, Mutant]:
    proved = dict(mutants)
    if path.is_file():
        document = read_document(path)
        for number, item in enumerate(_items(Place(document))):
            place = Place(document, (number,))
            form = check(EquivalentForm, item, place)
            if form.mutant not in proved or proved[form.mutant].proof:
                raise place.at("mutant").error("a mutant, once", show(form.mutant))
            proved[form.mutant] = replace(proved[form.mutant], proof=form.proof)
    return proved


def _items(place: Place) -> list[object]:
    data = place.document.data
    if not isinstance(data, list):
        raise place.error("a list", show(data))
    return list(data)


def _source(name: str, folder: Path, sources: dict[str, Source], place: Place) -> Source:
    """The source of that name beside the mutants, else the shipped adapter."""
    if name not in sources:
        path = next((path for path in (folder / f"{name}.py", IMPLEMENTATIONS / f"{name}.py") if path.is_file()), None)
        if path is None:
            raise place.error("a source beside the mutants or a shipped adapter", show(name))
        sources[name] = Source(name, path, path.read_text(encoding="utf-8"))
    return sources[name]


def _changed(text: str, form: MutantForm, place: Place) -> tuple[str, int]:
    """The source with the change, and the line in which it begins."""
    start, stop = _span(text, form.function, place) if form.function else (0, len(text))
    found = list(_occurrences(text, form.replace, start, stop))
    if len(found) != 1:
        where = form.function or form.source
        raise place.at("replace").error(f"text that {where} holds exactly once", f"it {len(found)} times")
    ((begin, indent),) = found
    end = begin + len(_indented(form.replace, indent))
    by = _indented(form.by, indent)
    try:
        ast.parse(text[start:begin] + by + text[end:stop])
    except SyntaxError as why:
        raise place.at("by").error("Python", f"{why.msg} on line {why.lineno} of the mutant") from why
    return text[:begin] + by + text[end:], text.count("\n", 0, begin) + 1


def _span(text: str, function: str, place: Place) -> tuple[int, int]:
    """Where a function of the source begins and ends."""
    spans = _spans(text)
    if function not in spans:
        raise place.at("function").error("a function of the source", show(function))
    return spans[function]


@cache
def _spans(text: str) -> Mapping[str, tuple[int, int]]:
    starts = [0, *itertools.accumulate(map(len, text.splitlines(keepends=True)))]
    return {
        node.name: (starts[node.lineno - 1], starts[node.end_lineno or 0])
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef)
    }


def _occurrences(text: str, piece: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Where the piece occurs, with the indentation of the line."""
    first = piece.partition("\n")[0]
    begin = text.find(first, start, stop)
    while begin != -1:
        line = text[text.rfind("\n", 0, begin) + 1 : begin + 1]
        indent = len(line) - len(line.lstrip(" "))
        if text.startswith(_indented(piece, indent), begin):
            yield begin, indent
        begin = text.find(first, begin + 1, stop)


def _indented(piece: str, indent: int) -> str:
    return piece.replace("\n", "\n" + " " * indent)
