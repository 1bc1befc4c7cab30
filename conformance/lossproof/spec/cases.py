"""The cases of the spec, from spec/cases/<operation>/<topic>.yaml."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from lossproof.case import QUESTIONS, Call, Case, Flag, Published, Relation, Scalar, Source, Tensor
from lossproof.numerics import DTYPES
from lossproof.paths import SPEC
from lossproof.spec.check import check
from lossproof.spec.domain import check_case
from lossproof.spec.errors import SpecError
from lossproof.spec.models import DIGITS, CallForm, CaseForm, CasesFile, TensorForm
from lossproof.spec.operations import Operation, read_operations
from lossproof.spec.tensors import read_tensor
from lossproof.spec.yaml import Place, file_name, read_document, show

_TOPIC = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def read_cases(folder: Path = SPEC) -> tuple[Case, ...]:
    """All cases, sorted by id; raises SpecError where one breaks a rule, an id is there twice, or there is no case."""
    operations = read_operations(folder)
    paths = sorted((folder / "cases").glob("**/*.yaml"))
    cases = sorted((case for path in paths for case in _read_topic(path, folder, operations)), key=lambda case: case.id)
    if not cases:
        raise SpecError(f"{file_name(folder / 'cases')}:1 $: expected a case, got an empty folder")
    for first, second in itertools.pairwise(cases):
        if first.id == second.id:
            raise SpecError(f"{second.place} $: expected an id only once, got {second.id} (also {first.place})")
    return tuple(cases)


def _read_topic(path: Path, folder: Path, operations: Mapping[str, Operation]) -> Iterator[Case]:
    document = read_document(path)
    parts = path.relative_to(folder / "cases").with_suffix("").parts
    if len(parts) != 2 or parts[0] not in operations or not _TOPIC.fullmatch(parts[1]):
        raise Place(document).error("the path cases/<operation>/<topic>.yaml", "/".join(parts))
    form = check(CasesFile, document.data, Place(document))
    for index, each in enumerate(form.cases):
        place = Place(document, ("cases", index))
        for case in _expand(_with_defaults(each, form), place, f"{'/'.join(parts)}/{each.name}", operations):
            check_case(case, operations, place)
            yield case


def _with_defaults(form: CaseForm, file: CasesFile) -> CaseForm:
    """The case with what the file states for all of its cases."""
    kind = form.kind or file.kind
    # What must raise has no gradient; a relation asks one question.
    asked_once = kind == "raises" or form.relation is not None
    stated = {
        "kind": kind,
        "since": form.since or file.since,
        "dtypes": form.dtypes or file.dtypes or DTYPES,
        "questions": form.questions or (("value",) if asked_once else file.questions or QUESTIONS),
    }
    return form.model_copy(update=stated)


def _expand(form: CaseForm, place: Place, name: str, operations: Mapping[str, Operation]) -> Iterator[Case]:
    """One case, or one per combination of the values in `each`."""
    varied = form.each or {}
    if form.published is not None and varied:
        raise place.at("published").error("no published digits beside each", "both")
    for parameter in varied:
        if parameter in form.parameters:
            raise place.at("each", parameter).error("a parameter that parameters does not state", show(parameter))
    for values in itertools.product(*varied.values()):
        suffix = "".join(f"-{_slug(value)}" for value in values)
        yield _case(form, place, name + suffix, operations, dict(zip(varied, values, strict=True)))


def _slug(value: Scalar) -> str:
    """A value as part of a name: -100 is minus-100, 0.1 is 0-1."""
    text = str(value).lower().replace("-", "minus-")
    return re.sub(r"[^a-z0-9-]", "-", text)


def _case(
    form: CaseForm, place: Place, name: str, operations: Mapping[str, Operation], varied: Mapping[str, Scalar]
) -> Case:
    # _with_defaults has filled these in.
    assert form.kind is not None
    assert form.since is not None
    assert form.dtypes is not None
    assert form.questions is not None
    operation = operations[name.split("/", maxsplit=1)[0]]
    stated = {**form.parameters, **varied}
    inputs = _inputs(form.inputs, place.at("inputs"))
    parameters = read_parameters(stated, operation, place.at("parameters"))
    cotangent = _floats(form.cotangent, place.at("cotangent"))
    return Case(
        id=name,
        operation=operation.name,
        kind=form.kind,
        why=form.why,
        since=form.since,
        inputs=inputs,
        parameters=parameters,
        dtypes=tuple(dtype for dtype in DTYPES if dtype in form.dtypes),
        questions=tuple(form.questions),
        place=place.line,
        flags=tuple(Flag(flag.bug, flag.link) for flag in form.flags or ()),
        source=Source(form.source.title, form.source.link) if form.source else None,
        cotangent=cotangent,
        direction=_floats(form.direction, place.at("direction")),
        published=_published(form, place.at("published", "value")),
        relation=_relation(form, place, Call(operation.name, inputs, parameters, cotangent), operations),
        transform=form.transform,
        profile=form.profile or "default",
        copies=form.copies or 1,
    )


def _inputs(forms: Mapping[str, TensorForm], place: Place) -> dict[str, Tensor]:
    return {name: read_tensor(form, place.at(name)) for name, form in forms.items()}


def _relation(form: CaseForm, place: Place, own: Call, operations: Mapping[str, Operation]) -> Relation | None:
    if (form.relation is None) != (form.calls is None):
        raise place.error("relation and calls together", "one of them")
    for key in ("coefficients", "order", "axis", "property"):
        if key in form.model_fields_set and form.relation is None:
            raise place.at(key).error("a relation beside it", "none")
    if form.relation is None or form.calls is None:
        return None
    calls = [_call(call, place.at("calls", index), own, operations) for index, call in enumerate(form.calls)]
    return Relation(
        form.relation,
        tuple(calls),
        tuple(form.coefficients or ()),
        tuple(form.order or ()),
        form.axis or 0,
        form.property,
    )


def _call(form: CallForm, place: Place, own: Call, operations: Mapping[str, Operation]) -> Call:
    name = form.operation or own.operation
    for key, operation in (("operation", name), ("after", form.after or name)):
        if operation not in operations:
            raise place.at(key).error(f"an operation ({', '.join(operations)})", show(operation))
    compositions = [operation.composition for operation in operations.values()]
    if form.after is not None and (name, form.after) not in compositions:
        known = ", ".join(f"{each[0]} after {each[1]}" for each in compositions if each)
        raise place.at("after").error(f"what is an operation too ({known})", f"{name} after {form.after}")
    inputs = _inputs(form.inputs, place.at("inputs"))
    parameters = read_parameters(form.parameters, operations[name], place.at("parameters"))
    cotangent = _floats(form.cotangent, place.at("cotangent")) or own.cotangent
    if name == own.operation and form.after is None:
        inputs, parameters = {**own.inputs, **inputs}, {**own.parameters, **parameters}
    return Call(name, inputs, parameters, cotangent, form.after)


def read_parameters(stated: Mapping[str, object], operation: Operation, place: Place) -> dict[str, Scalar | Tensor]:
    """Parameters as they will be passed: a number for a tensor is a tensor without axes."""
    parameters: dict[str, Scalar | Tensor] = {}
    for name, value in stated.items():
        definition = operation.parameters.get(name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if isinstance(value, list | dict) or (is_number and definition is not None and definition.type == "tensor"):
            parameters[name] = read_tensor(value, place.at(name))
        else:
            assert value is None or isinstance(value, bool | int | float | str)
            parameters[name] = value
    return parameters


def _floats(form: TensorForm | None, place: Place) -> Tensor | None:
    if form is None:
        return None
    tensor = read_tensor(form, place)
    if tensor.kind != "floating":
        raise place.error("numbers with a point (floats)", "integers")
    return tensor


def _published(form: CaseForm, place: Place) -> Published | None:
    if form.published is None:
        return None
    shape: list[int] = []
    level: object = form.published.value
    while isinstance(level, list) and level:
        shape.append(len(level))
        level = level[0]
    digits = tuple(_digits(form.published.value, tuple(shape), place))
    return Published(form.published.dtype, tuple(shape), digits)


def _digits(data: object, shape: tuple[int, ...], place: Place) -> Iterator[str]:
    if shape:
        if not isinstance(data, list) or len(data) != shape[0]:
            raise place.error(f"a list of {shape[0]}", show(data))
        for index, item in enumerate(data):
            yield from _digits(item, shape[1:], place.at(index))
    elif isinstance(data, str) and re.fullmatch(DIGITS, data):
        yield data
    else:
        raise place.error('digits in quotes, as the source printed them ("0.7437")', show(data))
