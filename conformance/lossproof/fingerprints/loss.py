"""A golden's question with all that a formula can get wrong: each field is the right step until a fault replaces it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lossproof.fingerprints.numbers import EXTENDED, Arithmetic, Array, Numbers
from lossproof.numerics import round_to
from lossproof.spec.golden import Golden, array

DEFAULT_IGNORED = -100

Pull = Callable[[Numbers], Numbers]
Step = Callable[["Loss", Numbers], tuple[Numbers, Pull]]


@dataclass(frozen=True)
class Logarithm:
    """log(q + added), never below `least`, of q kept within [clip, 1 - clip]: the identity's values do nothing."""

    clip: float = 0.0
    added: float = 0.0
    least: float = -math.inf


@dataclass(frozen=True, eq=False)
class Loss:
    """Inputs as binary64 or integer arrays, parameters, rules, and the steps of the formula.

    A step gives its result and what turns a gradient of the result into one of its argument.
    `scores` says what the prediction holds: logits, log-probabilities or probabilities.
    """

    operation: str
    question: str
    dtype: str
    shape: tuple[int, ...]
    rules: Mapping[str, str]
    prediction: Array
    target: Array | None
    cotangent: Array | None
    scores: str
    axis: int | None
    reduction: str
    smoothing: float
    ignored: int | None
    weight: Array | None
    pos_weight: Array | None
    linear_weight: Array | None
    linear_bias: Array | None
    arithmetic: Arithmetic = EXTENDED
    before: Step | None = None
    log_softmax: Step | None = None
    logarithm: Logarithm | None = None
    after: Step | None = None
    smoothed: Callable[[Loss, Numbers], Numbers] | None = None
    read_labels: Callable[[Array, int], Array] | None = None
    is_kept: Callable[[Loss, Array], Array] | None = None
    denominator: Callable[[Loss, Array, Numbers], Numbers] | None = None
    sides: Callable[[Loss, Numbers, Numbers], tuple[Numbers, Numbers]] | None = None
    softplus: Callable[[Loss, Numbers], Numbers] | None = None
    sigmoid: Callable[[Loss, Numbers], Numbers] | None = None
    slope: Callable[[Loss, Numbers, Numbers], Numbers] | None = None
    finish: Callable[[Loss, Numbers], Numbers] | None = None
    drops_ignored: bool = True

    @property
    def is_gradient(self) -> bool:
        """Whether the gradient is asked."""
        return self.question == "gradient"

    @property
    def has_labels(self) -> bool:
        """Whether the targets are class indices."""
        return self.target is not None and self.target.dtype.kind in "iu"

    def rule(self, name: str) -> str:
        """The dialect's answer to a question on which dialects differ; "" where it does not arise."""
        return self.rules.get(name, "")

    def held(self, number: float) -> float:
        """A number as a tensor of the dtype holds it."""
        return float(round_to(self.dtype, number))

    def exact(self, values: Array) -> Numbers:
        """Inputs: numbers without error."""
        return self.arithmetic.exact(values)

    def constant(self, number: float) -> Numbers:
        """A scalar constant."""
        return self.arithmetic.constant(number)

    def total(self, terms: Numbers) -> Numbers:
        """The sum along the last axis."""
        return self.arithmetic.total(terms)


@dataclass(frozen=True)
class _Form:
    """Where an operation keeps what a loss needs."""

    prediction: str
    target: str | None
    scores: str
    axis: int | str | None
    ignored: str | None = None
    reduction: str = "mean"


_FORMS: Mapping[str, _Form] = {
    "cross_entropy": _Form("logits", "target", "logits", 1, "ignore_index"),
    "linear_cross_entropy": _Form("input", "target", "logits", 1, "ignore_index"),
    "nll_loss": _Form("log_probs", "target", "log-probabilities", 1, "ignore_index"),
    "log_softmax": _Form("logits", None, "logits", "axis", reduction="none"),
    "distribution_cross_entropy": _Form("q", "p", "probabilities", -1),
    "categorical_crossentropy": _Form("probs", "target", "probabilities", "axis", reduction="none"),
    "sparse_categorical_crossentropy": _Form("probs", "target", "probabilities", "axis", "ignore_class", "none"),
    "binary_crossentropy": _Form("probs", "target", "probabilities", "axis", reduction="none"),
    "binary_cross_entropy": _Form("probs", "target", "probabilities", None),
    "binary_cross_entropy_with_logits": _Form("logits", "target", "logits", None),
}
OPERATIONS = tuple(_FORMS)


def read(golden: Golden, rules: Mapping[str, str]) -> Loss:
    """The right loss that a golden asks for, under a dialect's rules."""
    form = _FORMS[golden.operation]
    inputs = {name: _numbers(stored) for name, stored in golden.inputs.items()}
    parameters = {
        name: _numbers(value) if isinstance(value, dict) else value for name, value in golden.parameters.items()
    }
    prediction = inputs[form.prediction]
    return Loss(
        operation=golden.operation,
        question=golden.question,
        dtype=golden.dtype,
        shape=golden.shape,
        rules=rules,
        prediction=prediction,
        target=None if form.target is None else inputs[form.target],
        cotangent=None if golden.cotangent is None else _numbers(golden.cotangent),
        scores="logits" if parameters.get("from_logits") else form.scores,
        axis=_axis(form.axis, parameters, prediction),
        reduction=str(parameters.get("reduction") or form.reduction),
        smoothing=float(parameters.get("label_smoothing") or 0.0),
        ignored=_ignored(form.ignored, parameters, rules),
        weight=parameters.get("weight"),
        pos_weight=parameters.get("pos_weight"),
        linear_weight=inputs.get("linear_weight"),
        linear_bias=parameters.get("linear_bias"),
    )


def _numbers(stored: Mapping[str, Any]) -> Array:
    values = array(stored)
    return values if values.dtype.kind in "iu" else values.astype(np.float64)


def _axis(axis: int | str | None, parameters: Mapping[str, Any], prediction: Array) -> int | None:
    if axis is None:
        return None
    if isinstance(axis, str):
        stated = parameters.get(axis)
        axis = -1 if stated is None else int(stated)
    return min(axis, prediction.ndim - 1) % max(prediction.ndim, 1)


def _ignored(name: str | None, parameters: Mapping[str, Any], rules: Mapping[str, str]) -> int | None:
    if name is None:
        return None
    stated = parameters.get(name)
    if stated is not None:
        return int(stated)
    return DEFAULT_IGNORED if rules.get("default_ignore_index") == str(DEFAULT_IGNORED) else None


def rows(values: Array, axis: int) -> Array:
    """Rows along an axis, in C order of the other axes: two axes."""
    moved = np.moveaxis(values, axis, -1)
    return moved.reshape(math.prod(moved.shape[:-1]), moved.shape[-1])


def joined(numbers: Numbers, shape: tuple[int, ...], axis: int) -> Numbers:
    """Elements in C order of a tensor of `shape` from its rows along an axis; the inverse of `rows`."""
    moved_shape = (*shape[:axis], *shape[axis + 1 :], shape[axis])
    return numbers.moved(lambda values: np.moveaxis(values.reshape(moved_shape), -1, axis).ravel())
