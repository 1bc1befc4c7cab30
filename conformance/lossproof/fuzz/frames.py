"""Strategies for shapes: few rows of few classes, seldom one long row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import strategies as st

from lossproof.case import Tensor
from lossproof.fuzz.draws import pick
from lossproof.spec.operations import Operation
from lossproof.spec.shapes import Shape, class_axis

_LARGEST = 40
_MOST_AXES = 4
_MOST_CLASSES = 5
_LENGTHS = (1, 2, 3, 1, 2, 3, 1, 2, 3, 0)
# Tails of blocks and their whole, where kernels and reductions take another path.
_WIDE = (33, 65, 127, 129, 257)


@dataclass(frozen=True)
class Frame:
    """Shapes of the prediction (and of one row for each class), and the stated axis of the classes.

    A `wide` one is too large to draw its numbers one by one.
    """

    shapes: Mapping[str, Shape]
    axis: Mapping[str, int]
    wide: bool

    @property
    def axes(self) -> int:
        """Axes of the prediction."""
        return len(next(iter(self.shapes.values())))


def draw_frame(draw: st.DrawFn, operation: Operation) -> Frame:
    """A frame of at most 40 numbers, or a wide one; without rows at times, never without classes."""
    wide = pick(draw, (False,) * 15 + (True,))
    # Rows of features have one axis at most beside them.
    axes = pick(draw, (2, 1) if wide or operation.class_rows else (2, 1, 3, _MOST_AXES))
    stated = _stated_axis(draw, operation, axes)
    classes = pick(draw, _WIDE if wide else range(1, _MOST_CLASSES + 1))
    position = class_axis(operation, axes, stated)
    lengths: list[int] = []
    # Shrinking goes to fewer choices: few axes must not have fewer than two.
    for axis in range(_MOST_AXES):
        room = 2 if wide else max(1, _LARGEST // max(1, math.prod(lengths) * classes))
        length = pick(draw, [length for length in _LENGTHS if length <= room])
        if axis < axes:
            lengths.append(classes if axis == position else length)
    whole = tuple(lengths)
    prediction = operation.differentiable[0]
    if operation.class_rows is None:
        return Frame({prediction: whole}, stated, wide)
    features = pick(draw, range(1, 5))
    rows = whole[:position] + whole[position + 1 :]
    return Frame({prediction: (*rows, features), operation.class_rows: (classes, features)}, stated, wide)


def _stated_axis(draw: st.DrawFn, operation: Operation, axes: int) -> dict[str, int]:
    """The parameter that says where the classes are, or nothing where it is not stated, or there is none."""
    name = operation.class_axis
    if name not in operation.parameters:
        return {}
    assert name is not None
    default = operation.parameters[name].default
    lawful = [axis for axis in (-1, *range(axes), *range(-axes, -1)) if axis != default]
    stated = pick(draw, (None, *lawful))
    return {} if stated is None else {name: stated}


def lies_so(tensor: Tensor, layout: str) -> bool:
    """Whether a tensor can lie in memory as a layout says; what holds nothing lies nowhere."""
    axes = {"transposed": 2, "misaligned": 0}.get(layout, 1)
    if layout == "channels_last":
        return len(tensor.shape) in (4, 5)
    if len(tensor.shape) < axes or 0 in tensor.shape:
        return False
    return layout != "expanded" or _equal_along_first_axis(tensor)


def _equal_along_first_axis(tensor: Tensor) -> bool:
    if not tensor.values:
        return False
    row = len(tensor.values) // tensor.shape[0]
    # As text, in which 0.0 is not -0.0.
    return repr(tensor.values) == repr(tensor.values[:row] * tensor.shape[0])
