"""Strategies for cases: inputs, parameters and questions drawn from what an operation's file says of them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from hypothesis import strategies as st

from lossproof.case import LAYOUTS, Case, Recipe, Scalar, Tensor
from lossproof.fuzz.draws import pick, picks
from lossproof.fuzz.frames import Frame, draw_frame, lies_so
from lossproof.fuzz.numbers import Palette, cotangents, numbers, probabilities, real_numbers, targets, weights
from lossproof.numerics import HALF_DTYPES
from lossproof.spec.golden import SPEC_VERSION
from lossproof.spec.operations import Input, Operation, Parameter
from lossproof.spec.shapes import Shape, answer_shape, class_count, shape_of

Parameters = Mapping[str, Scalar | Tensor]
Rules = Mapping[str, str]

_LABEL_DTYPES = ("int64",) * 5 + ("int32", "int16", "uint8")
_LAYOUTS = (None,) * 9 + LAYOUTS
_HASHES = 50
_MOST_WRITTEN = 64
BY_WORDS = "rows, or"  # How the shape of an input begins that depends on what it holds.


@st.composite
def cases(draw: st.DrawFn, operation: Operation, rules: Rules, dtypes: Sequence[str], questions: Sequence[str]) -> Case:
    """A case of kind value for one dtype and one question: nothing in it is a bad value of the operation."""
    dtype = pick(draw, dtypes)
    question = pick(draw, questions)
    frame = draw_frame(draw, operation)
    differentiated = operation.differentiated(question)
    floating = {each.name: each.name == differentiated or _is_floating(draw, each) for each in operation.inputs}
    parameters = {**frame.axis, **_parameters(draw, operation, frame, floating, dtype)}
    inputs = {
        each.name: _laid_out(draw, _input(draw, each, operation, frame, parameters, rules, dtype, floating[each.name]))
        for each in operation.inputs
    }
    shapes = {name: tensor.shape for name, tensor in inputs.items()}
    value_shape = answer_shape(operation, "value", shapes, parameters)
    cotangent = direction = None
    if question not in ("value", "tangent"):
        cotangent = _tensor(draw, cotangents(dtype), value_shape, dtype, wide=frame.wide)
    if question in ("hessian", "tangent"):
        shape = shapes[operation.differentiable[0]]
        direction = _tensor(draw, cotangents(dtype), shape, dtype, wide=frame.wide)
    return Case(
        id=f"{operation.name}/fuzz/drawn",
        operation=operation.name,
        kind="value",
        why="Drawn at random.",
        since=SPEC_VERSION,
        inputs=inputs,
        parameters=parameters,
        dtypes=(dtype,),
        questions=(question,),
        place="fuzz",
        cotangent=cotangent,
        direction=direction,
    )


def dtype_order(dtypes: Sequence[str]) -> tuple[str, ...]:
    """The dtypes with those first in which a case reads best, as shrinking goes there."""
    order = ("float32", "float64", *HALF_DTYPES)
    return tuple(dtype for dtype in order if dtype in dtypes)


def _is_floating(draw: st.DrawFn, each: Input) -> bool:
    """Whether an input holds numbers; labels and probabilities are both drawn where it may hold either."""
    if each.dtype != "index-or-floating":
        return each.dtype == "floating"
    return pick(draw, (False, False, True))


def _parameters(
    draw: st.DrawFn, operation: Operation, frame: Frame, floating: Mapping[str, bool], dtype: str
) -> dict[str, Scalar | Tensor]:
    """Some of the parameters; what is left out tests the default."""
    drawn = {
        name: _parameter(draw, parameter, operation, frame, dtype)
        for name, parameter in operation.parameters.items()
        if name != operation.class_axis
    }
    # An ignored label means nothing to a target without labels; drawn all the same, lest shrinking prefer such targets.
    meaningless = {each.ignored_by for each in operation.inputs if floating[each.name]}
    return {name: value for name, value in drawn.items() if value is not None and name not in meaningless}


def _parameter(
    draw: st.DrawFn, parameter: Parameter, operation: Operation, frame: Frame, dtype: str
) -> Scalar | Tensor | None:
    """A value, or None where it is not stated."""
    match parameter.type:
        case "choice":
            # What is reduced least reads best.
            return pick(draw, (*parameter.choices, None))
        case "boolean":
            return pick(draw, (None, not parameter.default, parameter.default))
        case "number":
            return pick(draw, (None, None, None, None, *_numbers_between(parameter)))
        case "integer":
            classes = class_count(operation, frame.shapes, frame.axis)
            lowest = -math.inf if parameter.minimum is None else parameter.minimum
            highest = math.inf if parameter.maximum is None else parameter.maximum
            lawful = [n for n in (0, -100, classes - 1, -1, 100) if lowest <= n <= highest]
            return pick(draw, (None, None, *lawful))
        case "tensor":
            if not pick(draw, (False, False, True)):
                return None
            whole = shape_of(parameter.shape or "elements", operation, frame.shapes, frame.axis)
            shape = whole if parameter.shape != "elements" else _broadcastable(draw, whole)
            palette = weights(dtype) if parameter.default is None else real_numbers(dtype, masked=False)
            return _tensor(draw, palette, shape, dtype, wide=frame.wide)


def _numbers_between(parameter: Parameter) -> list[float]:
    low = 0.0 if parameter.minimum is None else parameter.minimum
    high = 1.0 if parameter.maximum is None else parameter.maximum
    return [low + (high - low) * share for share in (0.5, 0.1, 1.0, 0.0, 0.9, 1e-6, 1 / 3)]


def _broadcastable(draw: st.DrawFn, whole: Shape) -> Shape:
    """The shape itself, or one that broadcasts to it."""
    start = pick(draw, (0, *range(len(whole) + 1)))
    return tuple(pick(draw, (length, length, 1)) for length in whole[start:])


def _input(
    draw: st.DrawFn,
    each: Input,
    operation: Operation,
    frame: Frame,
    parameters: Parameters,
    rules: Rules,
    dtype: str,
    floating: bool,
) -> Tensor:
    word = ("rows classes" if floating else "rows") if each.shape.startswith(BY_WORDS) else each.shape
    shape = shape_of(word, operation, frame.shapes, parameters)
    if not floating:
        classes = class_count(operation, frame.shapes, parameters)
        return _labels(draw, shape, classes, ignored_label(each, operation, parameters, rules), wide=frame.wide)
    return _tensor(draw, _palette(each, parameters, dtype), shape, dtype, wide=frame.wide)


def ignored_label(each: Input, operation: Operation, parameters: Parameters, rules: Rules) -> int | None:
    """The label that does not count, by what is stated or by the dialect's default."""
    name = each.ignored_by
    if name is None:
        return None
    default = operation.parameters[name].default
    stated = parameters.get(name, None if rules.get(f"default_{name}") == "none" else default)
    return stated if isinstance(stated, int) else None


def _palette(each: Input, parameters: Parameters, dtype: str) -> Palette:
    """The numbers of an input, by its range or by the words of its domain."""
    freed_by = re.search(r"any number with (\w+)", each.domain)
    freed = freed_by is not None and parameters.get(freed_by[1]) is True
    if each.minimum is not None or (each.domain.startswith("probabilities") and not freed):
        return probabilities(dtype)
    if each.role == "target":
        return targets(dtype)
    return real_numbers(dtype, masked="−inf" in each.domain)


def _labels(draw: st.DrawFn, shape: Shape, classes: int, ignored: int | None, *, wide: bool) -> Tensor:
    dtype = pick(draw, _LABEL_DTYPES)
    lowest, highest = (0, 255) if dtype == "uint8" else (-(2**15), 2**15 - 1)
    if ignored is None or not lowest <= ignored <= highest:
        choices: tuple[int, ...] = tuple(range(min(classes, highest + 1)))
    else:
        # As many ignored labels as there are others, at most.
        choices = tuple(range(min(classes, highest + 1))) + (ignored,) * 2
    if wide:
        choices = (*choices[:1], *choices[-3:])
    values = tuple(picks(draw, choices, math.prod(shape)))
    return Tensor(shape, "integer", values=values, dtype=dtype)


def _tensor(draw: st.DrawFn, palette: Palette, shape: Shape, dtype: str, *, wide: bool) -> Tensor:
    size = math.prod(shape)
    values = numbers(draw, palette, dtype, min(size, _MOST_WRITTEN))
    if not wide or size <= _MOST_WRITTEN:
        return Tensor(shape, "floating", values=values)
    # Drawn beside the values, lest shrinking prefer a wide tensor, which takes fewer choices.
    signed, seed = palette.lowest < 0, pick(draw, range(_HASHES))
    recipe = Recipe("hash" if signed else "hash_positive", seed, 8.0 if signed else 1.0)
    return Tensor(shape, "floating", recipe=recipe)


def _laid_out(draw: st.DrawFn, tensor: Tensor) -> Tensor:
    layout = pick(draw, _LAYOUTS)
    if layout is None or not lies_so(tensor, layout):
        return tensor
    return Tensor(tensor.shape, tensor.kind, tensor.values, tensor.recipe, tensor.dtype, layout)
