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

    `promises` names the properties of answers, repeatable and batch-invariant, that its documentation grants.
    """

    name: str
    summary: str
    documentation: tuple[str, ...]
    promises: tuple[str, ...]
    label_dtypes: tuple[str, ...]
    operations: Mapping[str, Mapping[str, str]]


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
    dialects = {path.stem: _read_dialect(path, operations, rules) for path in paths}
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


def _read_dialect(path: Path, operations: Mapping[str, Operation], rules: Mapping[str, Rule]) -> Dialect:
    document = read_document(path)
    form = check(DialectFile, document.data, Place(document))
    if form.dialect != path.stem:
        raise Place(document, ("dialect",)).error(f"the file's name, {path.stem}", show(form.dialect))
    for name in form.operations:
        if name not in operations:
            raise Place(document, ("operations", name)).error(f"one of {', '.join(operations)}", show(name))
        _check_rules(operations[name], form.operations[name], document, rules)
    return Dialect(
        name=form.dialect,
        summary=form.summary,
        documentation=tuple(form.documentation),
        promises=tuple(form.promises or ()),
        label_dtypes=tuple(form.label_dtypes),
        operations={name: dict(each) for name, each in form.operations.items()},
    )


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
