"""What may vary in a call of an operation: factors, their levels, and which levels exclude each other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from lossproof.case import LAYOUTS
from lossproof.numerics import DTYPES
from lossproof.spec.operations import AUTO_SHAPE, Input, Operation, Parameter

Levels = Mapping[str, str]

RANKS = ("2", "1", "3", "4", "5")
# The number of classes, or of elements where there are none: empty, one, two, the edges of blocks, vocabularies.
SIZES = (0, 1, 2, 31, 32, 33, 127, 128, 129, 255, 256, 257, 1000, 4097, 32000, 50257, 65537, 128256)
# A golden of so many numbers takes seconds to certify.
GIANTS = ("32000", "50257", "65537", "128256")
FEW = "few"
MOST_FEW = 30
LABEL_DTYPES = ("int64", "int32", "int16", "uint8")
PROBABILITIES = "probabilities"
# Parameters whose effects meet in one denominator; each works alone in many a loss that fails with three of them.
DANGEROUS = ("weight", "pos_weight", "label_smoothing", "ignore_index", "ignore_class", "reduction")

# What has no element has no first one to repeat, to begin at the other end or to misalign.
NEED_AN_ELEMENT = ("expanded", "reversed", "misaligned")
# Axes that a tensor needs to lie in memory so.
_AXES = {"contiguous": 0, "misaligned": 0, "transposed": 2, "channels_last": 4}
_PLANES = ("transposed", "channels_last")
_PARAMETER_LEVELS = {"boolean": ("default", "false", "true"), "integer": ("default", "stated")}


@dataclass(frozen=True)
class Rule:
    """Levels of these factors occur together only where `allows` says so; `early` ones can tell of some of them."""

    factors: tuple[str, ...]
    allows: Callable[[Levels], bool]
    early: bool = False


@dataclass(frozen=True)
class Model:
    """All factors of an operation with their levels, and the rules that make some combinations impossible."""

    factors: Mapping[str, tuple[str, ...]]
    rules: tuple[Rule, ...]

    @property
    def ruled(self) -> tuple[str, ...]:
        """The factors that rules speak about, those of the most rules first."""
        rules = Counter(name for rule in self.rules for name in rule.factors)
        return tuple(name for name, _ in rules.most_common())

    def allows(self, levels: Levels) -> bool:
        """Whether no rule forbids these levels, of all factors or of some."""
        known = (rule for rule in self.rules if rule.early or all(name in levels for name in rule.factors))
        return all(rule.allows(levels) for rule in known)


def model(operation: Operation) -> Model:
    """The factors of an operation, read from its file."""
    factors = {
        "size": (FEW, *map(str, SIZES)),
        # Rows of features are a matrix or one row; the classes would find no axis between others.
        "rank": RANKS if operation.class_rows is None else RANKS[:2],
        "dtype": ("float32", *(dtype for dtype in DTYPES if dtype != "float32")),
        **_target_levels(operation),
        **{layout_of(each.name): _layout_levels(operation, each) for each in operation.inputs},
        **{name: _levels(parameter, operation) for name, parameter in operation.parameters.items()},
    }
    if operation.ignored_by is not None:
        # What is listed first fills rows that are free to choose; a row with nothing ignored shows least.
        factors["ignored"] = ("some", "none", "all")
    return Model(factors, (*_layout_rules(operation), *_shape_rules(operation), *_label_rules(operation)))


def layout_of(name: str) -> str:
    """The factor that says how an input lies in memory."""
    return f"{name} layout"


def target_of(operation: Operation) -> Input:
    """The input that holds what should come out; the prediction itself where an operation has no target."""
    return next((each for each in operation.inputs if each.role == "target"), operation.inputs[0])


def has_elements(operation: Operation) -> bool:
    """Whether the operation works element by element, without classes."""
    return operation.class_axis is None


def is_index(operation: Operation, target: str | None) -> bool:
    """Whether targets of this level are class indices; `target` is None where the factor does not exist."""
    return target in LABEL_DTYPES if target is not None else target_of(operation).dtype == "index"


def _target_levels(operation: Operation) -> Mapping[str, tuple[str, ...]]:
    target = target_of(operation)
    if target.role != "target":
        return {}
    if target.dtype == "floating":
        return {"target": ("soft", "hard")} if has_elements(operation) else {}
    return {"target": (*LABEL_DTYPES, PROBABILITIES) if target.shape == AUTO_SHAPE else LABEL_DTYPES}


def _layout_levels(operation: Operation, each: Input) -> tuple[str, ...]:
    images = each.dtype == "floating" and operation.class_rows is None
    return ("contiguous", *(layout for layout in LAYOUTS if images or layout != "channels_last"))


def _levels(parameter: Parameter, operation: Operation) -> tuple[str, ...]:
    if parameter.name == operation.ignored_by:
        return ("default", "outside", "inside")
    if parameter.name == operation.class_axis:
        return ("default", "first", "middle", "last", "negative")
    match parameter.type:
        case "choice":
            return ("default", *parameter.choices)
        case "number":
            return ("default", f"{parameter.minimum:g}", "inside", f"{parameter.maximum:g}")
        case "tensor":
            return ("absent", "plain", "with-zero", *(("broadcast",) if parameter.shape == "elements" else ()))
        case kind:
            return _PARAMETER_LEVELS[kind]


def _layout_rules(operation: Operation) -> list[Rule]:
    rules = []
    for each in operation.inputs:
        factor = layout_of(each.name)
        if each.shape.startswith("classes"):
            continue
        names = (factor, "rank", "target") if each.shape == AUTO_SHAPE else (factor, "rank")
        rules.append(Rule(names, partial(_fits, operation, each)))
        rules += [_never((factor, layout), ("size", "0")) for layout in NEED_AN_ELEMENT]
        if has_elements(operation):
            # Such a number of elements lies along one axis, whatever the rank.
            lines = [str(size) for size in SIZES if size and _is_prime(size)]
            rules += [_never((factor, layout), ("size", size)) for layout in _PLANES for size in ("1", *lines)]
            rules += [_never((factor, layout), ("size", "1")) for layout in ("reversed", "expanded")]
    return rules


def _fits(operation: Operation, each: Input, levels: Levels) -> bool:
    """Whether an input of so many axes can lie in memory so."""
    layout = levels[layout_of(each.name)]
    rows_only = each.shape == "rows" or (each.shape == AUTO_SHAPE and is_index(operation, levels["target"]))
    return int(levels["rank"]) - rows_only >= _AXES.get(layout, 1)


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, math.isqrt(number) + 1))


def _shape_rules(operation: Operation) -> list[Rule]:
    rules = []
    axis = operation.class_axis
    if axis is not None and axis in operation.parameters:
        rules += [_never((axis, "middle"), ("rank", rank)) for rank in ("1", "2")]
        rules.append(_never((axis, "last"), ("rank", "1")))
        # Where there are no rows, the first axis is the empty one: it is not that of the classes.
        rules.append(_never((axis, "first"), ("size", "0")))
    if not has_elements(operation):
        # A softmax over no classes has no value, and no rows need an axis besides the classes.
        return [*rules, _never(("size", "0"), ("rank", "1"))]
    # Nothing in an empty tensor is zero, or between 0 and 1.
    unmet = [(name, "with-zero") for name, parameter in operation.parameters.items() if parameter.type == "tensor"]
    unmet += [("target", "soft") for _ in _target_levels(operation)]
    return [*rules, *(_never(level, ("size", "0")) for level in unmet)]


def _never(first: tuple[str, str], second: tuple[str, str]) -> Rule:
    """Two levels that exclude each other."""
    names = (first[0], second[0])
    return Rule(names, lambda levels: (levels[names[0]], levels[names[1]]) != (first[1], second[1]))


def _label_rules(operation: Operation) -> list[Rule]:
    """What can be ignored: labels, if the label's dtype holds them, and some only among several."""
    name = operation.ignored_by
    if name is None:
        return []
    target = target_of(operation)
    default = operation.parameters[name].default
    layout = layout_of(target.name)

    def of_probabilities(levels: Levels) -> bool:
        return levels["target"] != PROBABILITIES or (levels[name], levels["ignored"]) == ("default", "none")

    def by_default(levels: Levels) -> bool:
        unmet = default is None or levels["target"] == "uint8"
        return levels[name] != "default" or not unmet or levels["ignored"] == "none"

    def outside(levels: Levels) -> bool:
        wide = levels["size"] != FEW and int(levels["size"]) > 255
        unheld = levels[name] == "outside" and levels["target"] == "uint8" and wide
        return not unheld or levels["ignored"] == "none"

    def only_class(levels: Levels) -> bool:
        return (levels[name], levels["size"]) != ("inside", "1") or levels["ignored"] == "all"

    def among_several(levels: Levels) -> bool:
        if levels["size"] == "0":
            return levels["ignored"] == "none"
        return levels["rank"] != "1" or levels["ignored"] != "some"

    def in_one_row(levels: Levels) -> bool:
        one_label = levels[layout] == "expanded" and levels["rank"] == "2" and levels["target"] in LABEL_DTYPES
        return not one_label or levels["ignored"] != "some"

    return [
        Rule(("target", name, "ignored"), of_probabilities),
        Rule(("target", name, "ignored"), by_default),
        Rule(("target", name, "ignored", "size"), outside),
        Rule((name, "ignored", "size"), only_class),
        Rule(("rank", "ignored", "size"), among_several),
        Rule((layout, "rank", "target", "ignored"), in_one_row),
    ]
