"""A document held against a pydantic model; the first error in our own words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from lossproof.spec.models import Form
from lossproof.spec.yaml import Path_, Place, show

ModelT = TypeVar("ModelT", bound=Form)

_WISHES = {
    "string_type": "a string",
    "int_type": "an integer",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "float_type": "a number",
    "literal_error": "{expected}",
    "string_pattern_mismatch": "a string like {pattern}",
    "string_too_short": "some text",
    "too_short": "at least {min_length} items",
    "too_long": "at most {max_length} items",
}


def check(model: type[ModelT], data: object, place: Place) -> ModelT:
    """`data`, found at `place`, as `model`; raises SpecError at the first value that does not fit."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    kind, location, context = first["type"], first["loc"], first.get("ctx", {})
    steps = _steps_that_exist(data, location, kind)
    if kind == "extra_forbidden":
        raise place.at(*steps).error(f"a key of {_keys(model, location)}", show(steps[-1]))
    if kind == "missing":
        raise place.at(*steps[:-1]).error(f"the key {steps[-1]}", "none")
    if location and location[-1] == "[key]":
        raise place.at(*steps).error("a key that is " + _wish(kind, context, first["msg"]), show(steps[-1]))
    raise place.at(*steps).error(_wish(kind, context, first["msg"]), show(first["input"]))


def _steps_that_exist(data: Any, steps: Sequence[Any], kind: str) -> Path_:
    """The steps of a pydantic location that are keys and positions of `data`, without names of union members."""
    path: list[str | int] = []
    for step in steps:
        if (isinstance(data, dict) and step in data) or (isinstance(data, list) and step in range(len(data))):
            data = data[step]
        elif kind != "missing" or step is not steps[-1]:
            continue
        path.append(step)
    return tuple(path)


def _keys(model: type[Form], location: tuple[str | int, ...]) -> str:
    """The keys of the model, at a location within `model`, that refused one."""
    for step in location[:-1]:
        if isinstance(step, str) and step in model.model_fields:
            inner = _model_within(model.model_fields[step].annotation)
            model = inner if inner is not None else model
    return ", ".join(model.model_fields)


def _model_within(annotation: Any) -> type[Form] | None:
    if isinstance(annotation, type) and issubclass(annotation, Form):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if (found := _model_within(argument)) is not None:
            return found
    return None


def _wish(kind: str, context: dict[str, Any], message: str) -> str:
    wish = _WISHES.get(kind, re.sub(r"^Input should be (a valid )?", "", message))
    return wish.format(**{name: str(value).replace("'", "") for name, value in context.items()})
