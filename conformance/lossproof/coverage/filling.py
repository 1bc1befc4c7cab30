"""The tensors and parameters of one row of a covering array, as YAML will hold them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lossproof.case import Scalar
from lossproof.coverage.classify import count
from lossproof.coverage.factors import Levels, has_elements, is_index, layout_of
from lossproof.coverage.seats import Shape
from lossproof.spec.operations import Input, Operation, Parameter

_MOST_WRITTEN = 64
_LOGITS = (0.5, -1.25, 2.0, 0.75, 1.5, 0.25, -0.5, -2.0, -0.75, 3.0, 1.0, 0.125)
_PROBABILITIES = (0.125, 0.5, 0.75, 0.25, 0.0625, 0.375, 0.875)
_HARD = (1.0, 0.0, 0.0, 1.0, 0.0)
# No zero at either end of few classes, where the labels are: weights that are all 0 make another question.
_WITH_ZERO = (1.5, 0.0, 0.75)
# Half of what makes a row sum to about 1, and exact in float16; longer rows sum to more, far from float16's range.
_LEAST_SHARE = 2.0**-10
# Of more probabilities that are renormalised the smallest would lie beside a clip, where nothing can be judged.
_MOST_HASHED = 257
_INSIDE = 0.1
_OUTSIDE = -1
_OUTSIDE_UINT8 = 255
_LARGEST_LABEL = {"uint8": 255, "int16": 32767}


@dataclass(frozen=True)
class Filling:
    """A row with the shapes that its group gives it, and a seed that makes its numbers its own."""

    operation: Operation
    levels: Levels
    sizes: tuple[Shape, ...]
    axis: int | None
    seed: int

    @property
    def shapes(self) -> dict[str, Shape]:
        """Shapes of the inputs."""
        return dict(zip(self.operation.input_names, self.sizes, strict=True))

    @property
    def prediction(self) -> Shape:
        """The shape of the prediction."""
        return self.shapes[self.operation.differentiable[0]]

    @property
    def classes(self) -> int:
        """The number of classes, or of elements."""
        axis = self.operation.class_axis
        stated: dict[str, Scalar] = {axis: self.axis} if axis is not None and self.axis is not None else {}
        return count(self.operation, self.shapes, stated)


def inputs(row: Filling) -> Iterator[tuple[str, Any]]:
    """The inputs by name."""
    for number, each in enumerate(row.operation.inputs):
        if each.role == "target" and is_index(row.operation, row.levels.get("target")):
            yield each.name, _labels(row, each)
        else:
            yield each.name, _floats(row, each, row.seed + number)


def parameters(row: Filling) -> Iterator[tuple[str, Any]]:
    """The parameters that the row states."""
    for number, (name, parameter) in enumerate(row.operation.parameters.items()):
        level = row.levels[name]
        if level in ("default", "absent"):
            continue
        if parameter.type == "tensor":
            yield name, _tensor(row, parameter, level, row.seed + 100 * (number + 1))
        else:
            yield name, _scalar(row, parameter, level)


def _scalar(row: Filling, parameter: Parameter, level: str) -> Scalar:
    if parameter.name == row.operation.ignored_by:
        return _ignored_label(row)
    if parameter.name == row.operation.class_axis:
        return row.axis
    match parameter.type:
        case "choice":
            return level
        case "boolean":
            return level == "true"
        case "number":
            return _INSIDE if level == "inside" else float(level)
        case _:
            return 1


def _tensor(row: Filling, parameter: Parameter, level: str, seed: int) -> Any:
    shape = (row.classes,) if parameter.shape == "classes" else row.prediction
    if level == "broadcast":
        if len(shape) < 2:
            return 1.5
        return {"shape": [shape[-1]], "recipe": "hash_positive", "scale": 2, "seed": seed}
    if level == "with-zero":
        terms = [0.0] if math.prod(shape) == 1 else list(_WITH_ZERO)
        return {"shape": list(shape), "recipe": "periodic", "terms": terms}
    return {"shape": list(shape), "recipe": "hash_positive", "scale": 2, "seed": seed}


def _floats(row: Filling, each: Input, seed: int) -> Any:
    shape, layout = row.shapes[each.name], row.levels[layout_of(each.name)]
    if layout == "contiguous":
        return _numbers(row, each, shape, seed)
    numbers = _expanded(shape, _terms(row, each)) if layout == "expanded" else _numbers(row, each, shape, seed)
    return {**numbers, "layout": layout}


def _numbers(row: Filling, each: Input, shape: Shape, seed: int) -> dict[str, Any]:
    if not math.prod(shape):
        return {"shape": list(shape), "recipe": "fill", "value": 0.0 if _is_hard(row, each) else 0.25}
    renormalised = each.role == "prediction" and row.classes > _MOST_HASHED
    if _is_hard(row, each) or (_is_probability(row, each) and renormalised):
        return {"shape": list(shape), "recipe": "periodic", "terms": list(_terms(row, each))}
    if _is_probability(row, each):
        return {"shape": list(shape), "recipe": "hash_positive", "scale": _share(row, each), "seed": seed}
    scale = 8 if each.role == "prediction" else 2
    return {"shape": list(shape), "recipe": "hash", "scale": scale, "seed": seed}


def _terms(row: Filling, each: Input) -> Sequence[float]:
    if _is_hard(row, each):
        return _HARD
    return _PROBABILITIES if _is_probability(row, each) else _LOGITS


def _is_hard(row: Filling, each: Input) -> bool:
    return each.role == "target" and row.levels.get("target") == "hard"


def _is_probability(row: Filling, each: Input) -> bool:
    """Whether the input holds probabilities; those that a flag turns into any number are named in its domain."""
    flags = [name for name, parameter in row.operation.parameters.items() if parameter.type == "boolean"]
    freed = any(name in each.domain and row.levels[name] == "true" for name in flags)
    return each.role == "target" or (each.domain.startswith("probabilities") and not freed)


def _share(row: Filling, each: Input) -> float:
    """The scale of probabilities: 1/2 of an element's, about a class's share of a target's."""
    if has_elements(row.operation) or each.role == "prediction":
        return 0.5
    return max(_LEAST_SHARE, 2.0 ** -math.ceil(math.log2(max(row.classes, 2))))


def _expanded(shape: Shape, numbers: Sequence[float]) -> dict[str, Any]:
    """Equal slices along the first axis, written out where they are short."""
    if len(shape) == 1 or math.prod(shape[1:]) == 1 or math.prod(shape) > _MOST_WRITTEN:
        return {"shape": list(shape), "recipe": "fill", "value": numbers[1]}
    slices = np.resize(np.array(numbers), shape[1:])
    return {"values": np.broadcast_to(slices, shape).tolist()}


def _labels(row: Filling, each: Input) -> Any:
    shape, layout = row.shapes[each.name], row.levels[layout_of(each.name)]
    said: dict[str, Any] = {}
    if row.levels["target"] != "int64":
        said["dtype"] = row.levels["target"]
    if layout != "contiguous":
        said["layout"] = layout
    if not math.prod(shape):
        return {"shape": list(shape), "recipe": "fill", "value": 0} | said
    labels = _chosen_labels(row, shape, layout).tolist()
    return {"values": labels} | said if said else labels


def _chosen_labels(row: Filling, shape: Shape, layout: str) -> npt.NDArray[Any]:
    """Labels at both ends and within; every other one ignored where some are."""
    last = min(row.classes - 1, _LARGEST_LABEL.get(row.levels["target"], row.classes))
    ignored = _ignored_label(row)
    kept = [label for label in (last, 0, last // 2, min(1, last)) if label != ignored] or [0]
    pattern = {
        "none": kept,
        "all": [ignored],
        "some": [kept[0], ignored, *(label for one in kept[1:] for label in (one, ignored))],
    }[row.levels.get("ignored", "none")]
    if layout != "expanded":
        return np.resize(np.array(pattern), shape)
    return np.broadcast_to(np.resize(np.array(pattern), shape[1:]), shape)


def _ignored_label(row: Filling) -> int | None:
    """The label that does not count."""
    name = row.operation.ignored_by
    if name is None:
        return None
    last = min(row.classes - 1, _LARGEST_LABEL.get(row.levels["target"], row.classes))
    match row.levels[name]:
        case "inside":
            return last // 2
        case "outside":
            held = row.levels["target"] == "uint8" and row.classes <= _OUTSIDE_UINT8
            return _OUTSIDE_UINT8 if held else _OUTSIDE
        case _:
            default = row.operation.parameters[name].default
            assert default is None or isinstance(default, int)
            return default
