"""The dialects of the spec: what frameworks lawfully do differently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lossproof.paths import SPEC
from lossproof.spec.check import check
from lossproof.spec.errors import SpecError
from lossproof.spec.models import DialectFile, RulesFile
from lossproof.spec.operations import Operation
from lossproof.spec.yaml import Document, Place, file_name, read_document, show


@dataclass(frozen=True)
class Dialect:
    """A named set of rules: for each operation the value of every rule that it has.

    `promises` names the properties of answers, repeatable and batch-invariant, that its documentation grants;
    `overwrites` the inputs that may hold something else afterwards. `wider_results` says that results may have a dtype
    that holds more than that of the inputs.
    """

    name: str
    summary: str
    documentation: tuple[str, ...]
    promises: tuple[str, ...]
    label_dtypes: tuple[str, ...]
    operations: Mapping[str, Mapping[str, str]]
    overwrites: tuple[str, ...] = ()
    wider_results: bool = False


@dataclass(frozen=True)
class Rule:
    """A question, and what each of its values means."""

    name: str
    question: str
    values: Mapping[str, str]


def read_dialects(operations: Mapping[str, Operation], folder: Path = SPEC) -> Mapping[str, Dialect]:
    """Dialects by name, sorted; raises SpecError where one gives a rule no value, or a value that the rule lacks."""
    rules = read_rules(folder)
    paths = sorted((folder / "dialects").glob("*.yaml"))
    if not paths:
        raise SpecError(f"{file_name(folder / 'dialects')}:1 $: expected a dialect, got an empty folder")
    files = {path.stem: _read_file(path) for path in paths}
    # What is wrong in a file that others extend is said of that one.
    plain_first = sorted(files.values(), key=lambda file: file.form.extends is not None)
    read = {file.form.dialect: _read_dialect(file, files, operations, rules) for file in plain_first}
    dialects = {name: read[name] for name in files}
    for operation in operations.values():
        covering = [name for name, dialect in dialects.items() if operation.name in dialect.operations]
        if operation.home_dialect not in covering:
            raise SpecError(
                f"{operation.place}:1 $.home_dialect: expected a dialect that covers {operation.name} "
                f"({', '.join(covering)}), got {show(operation.home_dialect)}"
            )
    return dialects


def read_rules(folder: Path = SPEC) -> Mapping[str, Rule]:
    """Rules by name, as spec/rules.yaml lists them."""
    document = read_document(folder / "rules.yaml")
    form = check(RulesFile, document.data, Place(document))
    return {name: Rule(name, each.question, dict(each.values)) for name, each in form.rules.items()}


@dataclass(frozen=True)
class _File:
    document: Document
    form: DialectFile


def _read_file(path: Path) -> _File:
    document = read_document(path)
    form = check(DialectFile, document.data, Place(document))
    if form.dialect != path.stem:
        raise Place(document, ("dialect",)).error(f"the file's name, {path.stem}", show(form.dialect))
    return _File(document, form)


def _read_dialect(
    file: _File, files: Mapping[str, _File], operations: Mapping[str, Operation], rules: Mapping[str, Rule]
) -> Dialect:
    form, document = _extended(file, files), file.document
    for key in ("label_dtypes", "operations"):
        if getattr(form, key) is None:
            raise Place(document).error(f"the key {key}", "none")
    stated = form.operations or {}
    for name in stated:
        if name not in operations:
            raise Place(document, ("operations", name)).error(f"one of {', '.join(operations)}", show(name))
        _check_rules(operations[name], stated[name], document, rules)
    for number, name in enumerate(form.overwrites or ()):
        inputs = sorted({name for operation in stated for name in operations[operation].input_names})
        if name not in inputs:
            raise Place(document, ("overwrites", number)).error(f"one of {', '.join(inputs)}", show(name))
    return Dialect(
        name=form.dialect,
        summary=form.summary,
        documentation=tuple(form.documentation),
        promises=tuple(form.promises or ()),
        label_dtypes=tuple(form.label_dtypes or ()),
        operations={name: dict(each) for name, each in stated.items()},
        overwrites=tuple(form.overwrites or ()),
        wider_results=form.results == "wider",
    )


def _extended(file: _File, files: Mapping[str, _File]) -> DialectFile:
    """The file with what it leaves out taken from the one that it extends."""
    form = file.form
    if form.extends is None:
        return form
    plain = [name for name, each in files.items() if each.form.extends is None]
    if form.extends not in plain:
        raise Place(file.document, ("extends",)).error(f"one of {', '.join(plain)}", show(form.extends))
    other = files[form.extends].form
    theirs, ours = other.operations or {}, form.operations or {}
    merged = {name: {**theirs.get(name, {}), **ours.get(name, {})} for name in {**theirs, **ours}}
    stated = form.model_dump(exclude_none=True)
    return DialectFile.model_validate({**other.model_dump(exclude_none=True), **stated, "operations": merged})


def _check_rules(
    operation: Operation, values: Mapping[str, str], document: Document, rules: Mapping[str, Rule]
) -> None:
    place = Place(document, ("operations", operation.name))
    for rule in operation.rules:
        if rule not in rules:
            raise SpecError(f"{operation.place}:1 $.rules: expected one of {', '.join(rules)}, got {show(rule)}")
        if rule not in values:
            raise place.error(f"the key {rule}", "none")
    for rule, value in values.items():
        if rule not in operation.rules:
            raise place.at(rule).error(f"a rule of {operation.name}", show(rule))
        if value not in rules[rule].values:
            raise place.at(rule).error(f"one of {', '.join(rules[rule].values)}", show(value))
