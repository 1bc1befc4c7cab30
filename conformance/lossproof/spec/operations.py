"""The operations of the spec: inputs, parameters and rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lossproof.case import Scalar
from lossproof.paths import SPEC
from lossproof.spec.check import check
from lossproof.spec.errors import SpecError
from lossproof.spec.models import InputForm, OperationFile, ParameterDefinition
from lossproof.spec.yaml import Place, file_name, read_document, show

SHAPES = ("rows", "rows classes", "elements", "rows features", "classes features")
# Of the question about an input other than the first differentiable one.
GRADIENT_OF = "gradient-"
AUTO_SHAPE = "rows, or rows classes when floating"


@dataclass(frozen=True)
class Input:
    """An input: `shape` is one of SHAPES, or AUTO_SHAPE where it depends on whether the input holds indices.

    `minimum` and `maximum` bound its numbers where the operation is defined on a part of them only; `ignored_by` names
    the parameter whose value marks targets that do not count.
    """

    name: str
    role: Literal["prediction", "weights", "target"]
    shape: str
    dtype: Literal["floating", "index", "index-or-floating"]
    domain: str
    minimum: float | None = None
    maximum: float | None = None
    ignored_by: str | None = None


@dataclass(frozen=True)
class Parameter:
    """A parameter; null is among its values where it is its default."""

    name: str
    type: Literal["tensor", "integer", "number", "choice", "boolean"]
    default: Scalar
    meaning: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    shape: Literal["classes", "elements"] | None = None


@dataclass(frozen=True)
class Operation:
    """A loss as the spec defines it.

    `questions` are those that can be asked, each with its `reference_algorithm`. `differentiable` are the inputs that
    have a gradient, the prediction first. `class_axis` is "second", "last", the name of a parameter, or None where
    there are no classes; `result_shape` is the shape before any reduction. `composition` names an operation and the one
    that its first input goes through before, which together are this operation.
    """

    name: str
    home_dialect: str
    summary: str
    formula: str
    questions: tuple[str, ...]
    reference_algorithm: Mapping[str, str]
    inputs: tuple[Input, ...]
    class_axis: str | None
    parameters: Mapping[str, Parameter]
    differentiable: tuple[str, ...]
    result_shape: str
    reductions: str
    rules: tuple[str, ...]
    errors: tuple[str, ...]
    place: str
    composition: tuple[str, str] | None = None

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs, in the order in which they are passed."""
        return tuple(each.name for each in self.inputs)

    def differentiated(self, question: str) -> str:
        """Name of the input that a question's derivative belongs to: gradient-<input> names it."""
        return question.removeprefix(GRADIENT_OF) if question.startswith(GRADIENT_OF) else self.differentiable[0]

    def position(self, question: str) -> int:
        """Position of the input that a question's derivative belongs to."""
        return self.input_names.index(self.differentiated(question))

    @property
    def class_rows(self) -> str | None:
        """The input that has one row for each class, where the classes are no axis of the prediction."""
        return next((each.name for each in self.inputs if each.shape == "classes features"), None)

    @property
    def ignored_by(self) -> str | None:
        """The parameter that names the label which does not count, if there is one."""
        return next((each.ignored_by for each in self.inputs if each.ignored_by), None)


def read_operations(folder: Path = SPEC) -> Mapping[str, Operation]:
    """Operations by name, sorted; raises SpecError where a file breaks a rule or there is none."""
    paths = sorted((folder / "operations").glob("*.yaml"))
    if not paths:
        raise SpecError(f"{file_name(folder / 'operations')}:1 $: expected an operation, got an empty folder")
    return {path.stem: _read_operation(path) for path in paths}


def _read_operation(path: Path) -> Operation:
    document = read_document(path)
    place = Place(document)
    form = check(OperationFile, document.data, place)
    if form.operation != path.stem:
        raise place.at("operation").error(f"the file's name, {path.stem}", show(form.operation))
    inputs = tuple(_input(each, place.at("inputs", index)) for index, each in enumerate(form.inputs))
    parameters = {name: _parameter(name, each, place.at("parameters", name)) for name, each in form.parameters.items()}
    for index, name in enumerate(form.differentiable):
        if name not in [each.name for each in inputs]:
            raise place.at("differentiable", index).error("the name of an input", show(name))
    _check_questions(form, place)
    for index, each in enumerate(inputs):
        if each.ignored_by is not None and each.ignored_by not in parameters:
            here = place.at("inputs", index, "ignored_by")
            raise here.error("the name of a parameter", show(each.ignored_by))
    if form.class_axis not in (None, "second", "last", *parameters):
        raise place.at("class_axis").error("second, last or the name of a parameter", show(form.class_axis))
    return Operation(
        name=form.operation,
        home_dialect=form.home_dialect,
        summary=form.summary,
        formula=form.formula,
        questions=tuple(form.questions),
        reference_algorithm=dict(form.reference_algorithm.items()),
        inputs=inputs,
        class_axis=form.class_axis,
        parameters=parameters,
        differentiable=tuple(form.differentiable),
        result_shape=form.result.shape,
        reductions=form.result.reductions,
        rules=tuple(form.rules),
        errors=tuple(form.errors),
        place=document.name,
        composition=(form.composition.operation, form.composition.after) if form.composition else None,
    )


def _check_questions(form: OperationFile, place: Place) -> None:
    """Questions are about differentiable inputs, and have each a reference algorithm."""
    for index, question in enumerate(form.questions):
        if question.startswith(GRADIENT_OF) and question.removeprefix(GRADIENT_OF) not in form.differentiable[1:]:
            wish = f"{GRADIENT_OF}<input> of a differentiable input but the first"
            raise place.at("questions", index).error(wish, show(question))
    if set(form.questions) != set(form.reference_algorithm):
        wish = f"one for each question ({', '.join(form.questions)})"
        raise place.at("reference_algorithm").error(wish, ", ".join(form.reference_algorithm))


def _input(form: InputForm, place: Place) -> Input:
    if form.shape not in (*SHAPES, AUTO_SHAPE):
        raise place.at("shape").error(f"{', '.join(SHAPES)} or {AUTO_SHAPE!r}", show(form.shape))
    return Input(
        name=form.name,
        role=form.role,
        shape=form.shape,
        dtype=form.dtype,
        domain=form.domain,
        minimum=form.range.minimum if form.range else None,
        maximum=form.range.maximum if form.range else None,
        ignored_by=form.ignored_by,
    )


def _parameter(name: str, form: ParameterDefinition, place: Place) -> Parameter:
    if (form.type == "choice") != (form.choices is not None):
        raise place.error("choices exactly where type is choice", show(form.choices))
    if (form.type == "tensor") != (form.shape is not None):
        raise place.error("a shape exactly where type is tensor", show(form.shape))
    return Parameter(
        name=name,
        type=form.type,
        default=form.default,
        meaning=form.meaning,
        choices=tuple(form.choices or ()),
        minimum=form.minimum,
        maximum=form.maximum,
        shape=form.shape,
    )
