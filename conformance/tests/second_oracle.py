"""The operations in mpmath, written from spec/operations/*.yaml and spec/rules.yaml alone: the second oracle."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mpmath  # type: ignore[import-untyped]  # it has no types of its own
import numpy as np
import numpy.typing as npt

from lossproof.numerics import round_to

Real = Any  # mpmath.mpf
Row = list[Real]
Reals = npt.NDArray[Any]  # of mpf, or of integers for labels
Rules = Mapping[str, str]
Parameters = Mapping[str, Any]

NAN, INFINITY = mpmath.mpf("nan"), mpmath.mpf("inf")
MACHINE_EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "bfloat16": 2.0**-7, "float16": 2.0**-10}


class Refused(Exception):  # noqa: N818 - an answer, not an error
    """The rules demand an exception."""


class Open(Exception):  # noqa: N818 - an answer, not an error
    """The rules leave the answer open."""


def reals(numbers: npt.NDArray[Any]) -> Reals:
    """Floats as exact mpf, integers as they are; any shape."""
    if np.issubdtype(numbers.dtype, np.integer):
        return numbers
    exact = np.empty(numbers.shape, dtype=object)
    exact.ravel()[:] = [mpmath.mpf(number) for number in numbers.astype(np.float64).ravel().tolist()]
    return exact


def value(operation: str, dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules) -> Row:
    """The loss in C order at mpmath's current precision; raises Refused or Open."""
    losses: Row = _VALUES[operation](dtype, inputs, parameters, rules)
    return losses


def gradient(
    operation: str, dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, cotangent: Reals
) -> Row:
    """The gradient for the prediction in C order; raises Refused or Open."""
    slopes: Row = _GRADIENTS[operation](dtype, inputs, parameters, rules, cotangent)
    return slopes


def answer(
    question: str,
    operation: str,
    dtype: str,
    inputs: Mapping[str, Reals],
    parameters: Parameters,
    rules: Rules,
    cotangent: Reals | None = None,
    direction: Reals | None = None,
) -> Row:
    """The answer to any question in C order; raises Refused or Open."""
    stated = [each for each in (cotangent, direction) if each is not None]
    if question == "value":
        return value(operation, dtype, inputs, parameters, rules)
    if question == "gradient":
        return gradient(operation, dtype, inputs, parameters, rules, *stated)
    numbers: Row = _DERIVATIVES[operation, question](dtype, inputs, parameters, rules, *stated)
    return numbers


# Softmax, reductions and labels


def _softmax(row: Sequence[Real]) -> tuple[Row, Row]:
    """Log-probabilities and probabilities of a row."""
    if any(mpmath.isnan(x) or x == INFINITY for x in row) or all(x == -INFINITY for x in row):
        return [NAN] * len(row), [NAN] * len(row)
    m = max(row)
    exps = [mpmath.exp(x - m) for x in row]
    s = mpmath.fsum(exps)
    return [x - m - mpmath.log(s) for x in row], [e / s for e in exps]


def _reduced(losses: Row, denominator: Real, parameters: Parameters, rules: Rules) -> Row:
    reduction = parameters.get("reduction", "mean")
    if reduction == "none":
        return losses
    summed = sum(losses, mpmath.mpf(0))
    if reduction == "sum":
        return [summed]
    if denominator == 0:
        return [mpmath.mpf(0)] if rules["empty_mean"] == "zero" else [_over_zero(summed)]
    return [summed / denominator]


def _factors(count: int, denominator: Real, parameters: Parameters, rules: Rules, cotangent: Reals) -> Row:
    """c of each row or element."""
    reduction = parameters.get("reduction", "mean")
    if reduction == "none":
        return list(cotangent.ravel())
    c = cotangent.item()
    if reduction == "sum":
        return [c] * count
    if denominator == 0:
        return [mpmath.mpf(0) if rules["empty_mean"] == "zero" else _over_zero(c)] * count
    return [c / denominator] * count


def _quotient(numerator: Real, denominator: Real) -> Real:
    return _over_zero(numerator) if denominator == 0 else numerator / denominator


def _over_zero(numerator: Real) -> Real:
    return NAN if numerator == 0 or mpmath.isnan(numerator) else mpmath.sign(numerator) * INFINITY


def _bad(rules: Rules) -> None:
    if rules["bad_values"] == "raise":
        raise Refused
    if rules["bad_values"] == "undefined":
        raise Open


def _labels(target: Reals, classes: int, ignored: int | None, rules: Rules) -> list[int | None]:
    """The class of each row; None where it is ignored, -1 where the answer is NaN."""
    labels: list[int | None] = []
    for label in target.ravel().tolist():
        if label == ignored:
            labels.append(None)
        elif 0 <= label < classes:
            labels.append(label)
        else:
            _bad(rules)
            labels.append(-1)
    return labels


def _torch_labels(target: Reals, classes: int, parameters: Parameters, rules: Rules) -> list[int | None]:
    ignored = parameters.get("ignore_index")
    if ignored is None and -100 in target and rules["default_ignore_index"] == "-100":
        ignored = -100
    return _labels(target, classes, ignored, rules)


def _rows(tensor: Reals, axis: int) -> list[Row]:
    moved = np.moveaxis(tensor, axis, -1)
    return [list(row) for row in moved.reshape(math.prod(moved.shape[:-1]), moved.shape[-1])]


def _unrows(rows: Sequence[Row], shape: tuple[int, ...], axis: int) -> Row:
    filled = np.empty((len(rows), shape[axis]), dtype=object)
    for filled_row, row in zip(filled, rows, strict=True):
        filled_row[:] = row
    moved = filled.reshape(shape[:axis] + shape[axis + 1 :] + (shape[axis],))
    return list(np.moveaxis(moved, -1, axis).ravel())


def _second_axis(tensor: Reals) -> int:
    return min(1, tensor.ndim - 1)


def _stated_axis(tensor: Reals, parameters: Parameters) -> int:
    return int(parameters.get("axis", -1)) % tensor.ndim


# cross_entropy, nll_loss, log_softmax


def _effective_targets(
    logits: Reals, target: Reals, parameters: Parameters, rules: Rules
) -> tuple[list[Row | None], Real]:
    """w_j y'_j of each row (None: ignored; NaN: a bad label) and the denominator of the mean."""
    rows = _rows(logits, _second_axis(logits))
    classes = logits.shape[_second_axis(logits)]
    smoothing, weight = mpmath.mpf(parameters.get("label_smoothing", 0.0)), parameters.get("weight")
    w = [mpmath.mpf(1)] * classes if weight is None else list(weight)
    # A class without mass is not spread over: its exact 0 is what the rule zero_times_infinity asks about.
    others = smoothing != 0 and rules["smoothing_share"] == "others"

    def smoothed(y: Row) -> Row:
        if smoothing == 0:
            return y
        if others:
            return [(1 - smoothing) * y_j + (1 - y_j) * smoothing / (classes - 1) for y_j in y]
        return [(1 - smoothing) * y_j + smoothing / classes for y_j in y]

    if not np.issubdtype(target.dtype, np.integer):
        ys = [smoothed(y) for y in _rows(target, _second_axis(target))]
        if others:
            ys = [
                [(1 - smoothing) * y_j + smoothing / (classes - 1) for y_j in y]
                for y in _rows(target, _second_axis(target))
            ]
        return [[w_j * y_j for w_j, y_j in zip(w, y, strict=True)] for y in ys], mpmath.mpf(len(rows))
    targets: list[Row | None] = []
    denominator = mpmath.mpf(0)
    for label in _torch_labels(target, classes, parameters, rules):
        if label is None:
            targets.append(None)
        elif label < 0:
            targets.append([NAN] * classes)
            denominator += w[0]
        else:
            y = smoothed([mpmath.mpf(j == label) for j in range(classes)])
            whole = weight is not None and smoothing != 0 and rules["smoothing_weight"] == "target"
            targets.append([(w[label] if whole else w_j) * y_j for w_j, y_j in zip(w, y, strict=True)])
            denominator += w[label]
    return targets, denominator


def _cross_entropy(dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules) -> Row:
    logits, target = inputs["logits"], inputs["target"]
    targets, denominator = _effective_targets(logits, target, parameters, rules)
    by_index = np.issubdtype(target.dtype, np.integer)

    def loss(row: Row, wy: Row | None) -> Real:
        if wy is None:
            return mpmath.mpf(0)
        terms = []
        for a, l in zip(wy, _softmax(row)[0], strict=True):
            if a == 0 and l == -INFINITY:
                if not by_index and rules["zero_times_infinity"] == "nan":
                    terms.append(NAN)
            elif not (by_index and a == 0 and not mpmath.isnan(l)):
                terms.append(a * l)
        return -sum(terms, mpmath.mpf(0))

    losses = [loss(row, wy) for row, wy in zip(_rows(logits, _second_axis(logits)), targets, strict=True)]
    return _reduced(losses, denominator, parameters, rules)


def _cross_entropy_gradient(
    dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, cotangent: Reals
) -> Row:
    logits = inputs["logits"]
    targets, denominator = _effective_targets(logits, inputs["target"], parameters, rules)
    factors = _factors(len(targets), denominator, parameters, rules, cotangent)
    slopes = []
    for row, wy, c in zip(_rows(logits, _second_axis(logits)), targets, factors, strict=True):
        if wy is None:
            slopes.append([mpmath.mpf(0)] * len(row))
            continue
        mass = sum(wy, mpmath.mpf(0))
        slopes.append([c * (mass * p - a) for p, a in zip(_softmax(row)[1], wy, strict=True)])
    return _unrows(slopes, logits.shape, _second_axis(logits))


def _cross_entropy_target_gradient(
    dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, cotangent: Reals
) -> Row:
    logits, target = inputs["logits"], inputs["target"]
    targets, denominator = _effective_targets(logits, target, parameters, rules)
    factors = _factors(len(targets), denominator, parameters, rules, cotangent)
    keep = 1 - mpmath.mpf(parameters.get("label_smoothing", 0.0))
    w = _class_weights(logits, parameters)
    slopes = []
    for row, wy, c in zip(_rows(logits, _second_axis(logits)), targets, factors, strict=True):
        logs = _softmax(row)[0]
        if rules["zero_times_infinity"] == "zero" and any(
            a == 0 and l == -INFINITY for a, l in zip(wy or [], logs, strict=True)
        ):
            raise Open
        slopes.append([-keep * (c * (w_j * l)) for w_j, l in zip(w, logs, strict=True)])
    return _unrows(slopes, target.shape, _second_axis(target))


def _cross_entropy_hessian(
    dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, cotangent: Reals, direction: Reals
) -> Row:
    logits = inputs["logits"]
    axis = _second_axis(logits)
    targets, denominator = _effective_targets(logits, inputs["target"], parameters, rules)
    factors = _factors(len(targets), denominator, parameters, rules, cotangent)
    products = []
    for row, wy, c, v in zip(_rows(logits, axis), targets, factors, _rows(direction, axis), strict=True):
        if wy is None:
            products.append([mpmath.mpf(0)] * len(row))
            continue
        mass, p = sum(wy, mpmath.mpf(0)), _softmax(row)[1]
        drift = mpmath.fdot(p, v)
        products.append([c * mass * p_j * (v_j - drift) for p_j, v_j in zip(p, v, strict=True)])
    return _unrows(products, logits.shape, axis)


def _cross_entropy_tangent(
    dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, direction: Reals
) -> Row:
    logits = inputs["logits"]
    axis = _second_axis(logits)
    targets, denominator = _effective_targets(logits, inputs["target"], parameters, rules)
    losses = [
        mpmath.mpf(0) if wy is None else sum(wy, mpmath.mpf(0)) * mpmath.fdot(_softmax(row)[1], v) - mpmath.fdot(wy, v)
        for row, wy, v in zip(_rows(logits, axis), targets, _rows(direction, axis), strict=True)
    ]
    return _reduced(losses, denominator, parameters, rules)


def _nll_loss(dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules) -> Row:
    log_probs, target = inputs["log_probs"], inputs["target"]
    axis = _second_axis(log_probs)
    labels = _torch_labels(target, log_probs.shape[axis], parameters, rules)
    w = _class_weights(log_probs, parameters)
    losses = []
    for row, label in zip(_rows(log_probs, axis), labels, strict=True):
        if label is None:
            losses.append(mpmath.mpf(0))
        else:
            losses.append(NAN if label < 0 else -w[label] * row[label])
    return _reduced(losses, _kept(labels, w), parameters, rules)


def _nll_loss_gradient(
    dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, cotangent: Reals
) -> Row:
    log_probs = inputs["log_probs"]
    axis = _second_axis(log_probs)
    labels = _torch_labels(inputs["target"], log_probs.shape[axis], parameters, rules)
    w = _class_weights(log_probs, parameters)
    factors = _factors(len(labels), _kept(labels, w), parameters, rules, cotangent)
    slopes = [
        [-c * w[j] if j == label else mpmath.mpf(0) for j in range(log_probs.shape[axis])]
        for label, c in zip(labels, factors, strict=True)
    ]
    return _unrows(slopes, log_probs.shape, axis)


def _class_weights(prediction: Reals, parameters: Parameters) -> Row:
    weight = parameters.get("weight")
    return [mpmath.mpf(1)] * prediction.shape[_second_axis(prediction)] if weight is None else list(weight)


def _kept(labels: Sequence[int | None], w: Row) -> Real:
    return sum((w[max(label, 0)] for label in labels if label is not None), mpmath.mpf(0))


def _log_softmax(dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules) -> Row:
    logits = inputs["logits"]
    axis = _stated_axis(logits, parameters)
    return _unrows([_softmax(row)[0] for row in _rows(logits, axis)], logits.shape, axis)


def _log_softmax_gradient(
    dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, cotangent: Reals
) -> Row:
    logits = inputs["logits"]
    axis = _stated_axis(logits, parameters)
    slopes = []
    for row, g in zip(_rows(logits, axis), _rows(cotangent, axis), strict=True):
        summed = sum(g, mpmath.mpf(0))
        slopes.append([g_j - p_j * summed for g_j, p_j in zip(g, _softmax(row)[1], strict=True)])
    return _unrows(slopes, logits.shape, axis)


def _log_softmax_tangent(
    dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, direction: Reals
) -> Row:
    logits = inputs["logits"]
    axis = _stated_axis(logits, parameters)
    slopes = []
    for row, v in zip(_rows(logits, axis), _rows(direction, axis), strict=True):
        drift = mpmath.fdot(_softmax(row)[1], v)
        slopes.append([v_j - drift for v_j in v])
    return _unrows(slopes, logits.shape, axis)


# linear_cross_entropy


def _linear_logits(inputs: Mapping[str, Reals], parameters: Parameters) -> Mapping[str, Reals]:
    """What cross_entropy is asked, with the logits in place of the factors of the product."""
    x, matrix, bias = inputs["input"], inputs["linear_weight"], parameters.get("linear_bias")
    rows = _rows(x, -1)
    logits = np.empty((len(rows), len(matrix)), dtype=object)
    for i, row in enumerate(rows):
        for j, a in enumerate(matrix):
            terms = [x_f * a_f for x_f, a_f in zip(row, a, strict=True)]
            logits[i, j] = sum(terms, mpmath.mpf(0) if bias is None else bias[j])
    return {"logits": logits.reshape(*x.shape[:-1], len(matrix)), "target": inputs["target"]}


def _linear(dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules) -> Row:
    return _cross_entropy(dtype, _linear_logits(inputs, parameters), parameters, rules)


def _linear_slopes(
    dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, cotangent: Reals
) -> list[Row]:
    of_logits = _linear_logits(inputs, parameters)
    slopes = _cross_entropy_gradient(dtype, of_logits, parameters, rules, cotangent)
    classes = len(inputs["linear_weight"])
    return [slopes[start : start + classes] for start in range(0, len(slopes), classes or 1)]


def _linear_gradient(
    dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, cotangent: Reals
) -> Row:
    matrix = inputs["linear_weight"]
    slopes = _linear_slopes(dtype, inputs, parameters, rules, cotangent)
    return [
        sum((dz * a for dz, a in zip(row, matrix[:, f], strict=True)), mpmath.mpf(0))
        for row in slopes
        for f in range(matrix.shape[1])
    ]


def _linear_weight_gradient(
    dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, cotangent: Reals
) -> Row:
    rows, matrix = _rows(inputs["input"], -1), inputs["linear_weight"]
    slopes = _linear_slopes(dtype, inputs, parameters, rules, cotangent)
    return [
        sum((dz[j] * x[f] for dz, x in zip(slopes, rows, strict=True)), mpmath.mpf(0))
        for j in range(matrix.shape[0])
        for f in range(matrix.shape[1])
    ]


# The binary losses of torch


def _elements(inputs: Mapping[str, Reals], parameters: Parameters, name: str) -> tuple[Row, Row, Row, Row]:
    prediction = inputs[name]
    one = np.array(mpmath.mpf(1), dtype=object)
    w, pos_weight = (
        list(np.broadcast_to(one if parameters.get(key) is None else parameters[key], prediction.shape).ravel())
        for key in ("weight", "pos_weight")
    )
    return list(prediction.ravel()), list(inputs["target"].ravel()), w, pos_weight


def _unit_interval(p: Row, y: Row, rules: Rules) -> tuple[Row, Row]:
    """Both, with NaN for what is outside [0, 1] where the rules do not refuse it."""

    def checked(numbers: Row) -> Row:
        if all(0 <= number <= 1 for number in numbers):
            return numbers
        _bad(rules)
        return [number if 0 <= number <= 1 else NAN for number in numbers]

    return checked(p), checked(y) if rules["target_range"] == "checked" else y


def _guarded(dtype: str, p: Real, rules: Rules) -> tuple[Real, Real, bool]:
    """What the logarithms are taken of, and whether p has a part in them."""
    if rules["log_epsilon"] == "1e-7":
        epsilon = mpmath.mpf(float(round_to(dtype, 1e-7)))
        return p + epsilon, (1 - p) + epsilon, True
    q, passed = _clip(dtype, p, rules)
    return q, 1 - q, passed


def _clamped_log(a: Real) -> Real:
    return max(_log(a), mpmath.mpf(-100)) if a >= 0 else NAN


def _binary_cross_entropy(dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules) -> Row:
    p, y, w, _ = _elements(inputs, parameters, "probs")
    p, y = _unit_interval(p, y, rules)

    def times_log(share: Real, a: Real) -> Real:
        if share == 0 and a == 0:
            return mpmath.mpf(0)
        return share * (_log(a) if rules["log_clamp"] == "none" else _clamped_log(a))

    losses = []
    for p_i, y_i, w_i in zip(p, y, w, strict=True):
        a, b, _ = _guarded(dtype, p_i, rules)
        losses.append(-w_i * (times_log(y_i, a) + times_log(1 - y_i, b)))
    return _reduced(losses, mpmath.mpf(len(losses)), parameters, rules)


def _binary_cross_entropy_gradient(
    dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, cotangent: Reals
) -> Row:
    p, y, w, _ = _elements(inputs, parameters, "probs")
    p, y = _unit_interval(p, y, rules)
    factors = _factors(len(p), mpmath.mpf(len(p)), parameters, rules, cotangent)
    return [
        c * w_i * _probability_slope(dtype, p_i, y_i, rules) for p_i, y_i, w_i, c in zip(p, y, w, factors, strict=True)
    ]


def _probability_slope(dtype: str, p: Real, y: Real, rules: Rules) -> Real:
    a, b, passed = _guarded(dtype, p, rules)
    if not passed:
        return mpmath.mpf(0)
    if rules["log_clamp"] == "torch" and rules["log_epsilon"] == "none":
        least = mpmath.mpf(float(round_to(dtype, float(round_to("float32", 1e-12)))))
        divisor = p * (1 - p)
        return _quotient(p - y, max(divisor, least))

    def of(share: Real, x: Real) -> Real:
        if rules["log_clamp"] == "derivative" and _log(x) < -100:
            return mpmath.mpf(0)
        return _quotient(share, x)

    return of(1 - y, b) - of(y, a)


def _binary_cross_entropy_target_gradient(
    dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, cotangent: Reals
) -> Row:
    p, y, w, _ = _elements(inputs, parameters, "probs")
    p, y = _unit_interval(p, y, rules)
    clamped = rules["log_clamp"] == "derivative" or (rules["log_clamp"], rules["target_log_clamp"]) == ("torch", "yes")
    log = _clamped_log if clamped else _log
    factors = _factors(len(p), mpmath.mpf(len(p)), parameters, rules, cotangent)
    slopes = []
    for p_i, w_i, c in zip(p, w, factors, strict=True):
        a, b, _ = _guarded(dtype, p_i, rules)
        slopes.append(c * w_i * (log(b) - log(a)))
    return slopes


def _softplus(z: Real) -> Real:
    return max(z, mpmath.mpf(0)) + mpmath.log(1 + mpmath.exp(-abs(z)))


def _binary_with_logits(dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules) -> Row:
    x, y, w, pos_weight = _elements(inputs, parameters, "logits")
    losses = [w_i * _logit_loss(x_i, y_i, v) for x_i, y_i, w_i, v in zip(x, y, w, pos_weight, strict=True)]
    return _reduced(losses, mpmath.mpf(len(losses)), parameters, rules)


def _logit_loss(x: Real, y: Real, pos_weight: Real) -> Real:
    """pos_weight y s(-x) + (1 - y) s(x), where a share of 0 adds nothing."""
    if mpmath.isnan(x) or mpmath.isnan(y):
        return NAN
    positive, negative = pos_weight * y, 1 - y
    return (positive * _softplus(-x) if positive else 0) + (negative * _softplus(x) if negative else 0)


def _binary_with_logits_gradient(
    dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, cotangent: Reals
) -> Row:
    x, y, w, pos_weight = _elements(inputs, parameters, "logits")
    factors = _factors(len(x), mpmath.mpf(len(x)), parameters, rules, cotangent)
    return [
        c * w_i * ((1 + (v - 1) * y_i) * _sigmoid(x_i) - v * y_i)
        for x_i, y_i, w_i, v, c in zip(x, y, w, pos_weight, factors, strict=True)
    ]


def _target_slope(x: Real, pos_weight: Real) -> Real:
    if mpmath.isnan(x):
        return NAN
    return (pos_weight * _softplus(-x) if pos_weight else 0) - _softplus(x)


def _binary_with_logits_target_gradient(
    dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, cotangent: Reals
) -> Row:
    x, _, w, pos_weight = _elements(inputs, parameters, "logits")
    factors = _factors(len(x), mpmath.mpf(len(x)), parameters, rules, cotangent)
    return [c * w_i * _target_slope(x_i, v) for x_i, w_i, v, c in zip(x, w, pos_weight, factors, strict=True)]


def _binary_with_logits_hessian(
    dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, cotangent: Reals, direction: Reals
) -> Row:
    x, y, w, pos_weight = _elements(inputs, parameters, "logits")
    factors = _factors(len(x), mpmath.mpf(len(x)), parameters, rules, cotangent)
    return [
        c * w_i * (1 + (v - 1) * y_i) * _sigmoid(x_i) * _sigmoid(-x_i) * d
        for x_i, y_i, w_i, v, c, d in zip(x, y, w, pos_weight, factors, direction.ravel(), strict=True)
    ]


def _binary_with_logits_tangent(
    dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, direction: Reals
) -> Row:
    x, y, w, pos_weight = _elements(inputs, parameters, "logits")
    slopes = [
        w_i * ((1 + (v - 1) * y_i) * _sigmoid(x_i) - v * y_i) * d
        for x_i, y_i, w_i, v, d in zip(x, y, w, pos_weight, direction.ravel(), strict=True)
    ]
    return _reduced(slopes, mpmath.mpf(len(slopes)), parameters, rules)


def _sigmoid(x: Real) -> Real:
    return 1 / (1 + mpmath.exp(-x)) if x >= 0 else mpmath.exp(x) / (1 + mpmath.exp(x)) if x < 0 else NAN


# The losses of Keras


def _clip_bounds(dtype: str, rules: Rules) -> tuple[Real, Real]:
    epsilon = 1e-7 if rules["clip"] == "keras" else MACHINE_EPSILON[dtype]
    return mpmath.mpf(float(round_to(dtype, epsilon))), mpmath.mpf(float(round_to(dtype, 1 - epsilon)))


def _clip(dtype: str, q: Real, rules: Rules) -> tuple[Real, bool]:
    """q within the bounds, and whether the clip let it through."""
    if rules["clip"] == "none" or mpmath.isnan(q):
        return q, True
    low, high = _clip_bounds(dtype, rules)
    return (low, False) if q < low else (high, False) if q > high else (q, True)


def _log(a: Real) -> Real:
    if mpmath.isnan(a) or a < 0:
        return NAN
    return mpmath.log(a) if a > 0 else -INFINITY


def _keras_log_q(dtype: str, row: Row, parameters: Parameters, rules: Rules) -> Row:
    if parameters.get("from_logits"):
        return _softmax(row)[0]
    q = [_quotient(p, sum(row)) for p in row] if rules["renormalise"] == "yes" else row
    return [_log(_clip(dtype, q_j, rules)[0]) for q_j in q]


def _keras_targets(inputs: Mapping[str, Reals], parameters: Parameters, share: Callable[[int], Real]) -> list[Row]:
    target = inputs["target"]
    smoothing = mpmath.mpf(parameters.get("label_smoothing", 0.0))
    rows = _rows(target, _stated_axis(target, parameters))
    return (
        rows if smoothing == 0 else [[(1 - smoothing) * y + smoothing * share(len(row)) for y in row] for row in rows]
    )


def _categorical(dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules) -> Row:
    probs = inputs["probs"]
    losses = []
    targets = _keras_targets(inputs, parameters, lambda n: mpmath.mpf(1) / n)
    for row, y in zip(_rows(probs, _stated_axis(probs, parameters)), targets, strict=True):
        terms = [
            (NAN if rules["zero_times_infinity"] == "nan" else mpmath.mpf(0))
            if y_j == 0 and l == -INFINITY
            else y_j * l
            for y_j, l in zip(y, _keras_log_q(dtype, row, parameters, rules), strict=True)
        ]
        losses.append(-sum(terms, mpmath.mpf(0)))
    return losses


def _row_slopes(dtype: str, row: Row, y: Row, c: Real, parameters: Parameters, rules: Rules) -> Row:
    if parameters.get("from_logits"):
        mass = sum(y, mpmath.mpf(0))
        return [c * (mass * p - y_j) for p, y_j in zip(_softmax(row)[1], y, strict=True)]
    mass = sum(row) if rules["renormalise"] == "yes" else mpmath.mpf(1)
    q = [_quotient(p, mass) for p in row]
    u = []
    for q_j, y_j in zip(q, y, strict=True):
        after, passed = _clip(dtype, q_j, rules)
        u.append(_quotient(-y_j, after) if passed else mpmath.mpf(0))
    if rules["renormalise"] == "no":
        return [c * u_j for u_j in u]
    mean_slope = sum((u_k * q_k for u_k, q_k in zip(u, q, strict=True)), mpmath.mpf(0))
    return [_quotient(c * (u_j - mean_slope), mass) for u_j in u]


def _categorical_gradient(
    dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, cotangent: Reals
) -> Row:
    probs = inputs["probs"]
    axis = _stated_axis(probs, parameters)
    targets = _keras_targets(inputs, parameters, lambda n: mpmath.mpf(1) / n)
    slopes = [
        _row_slopes(dtype, row, y, c, parameters, rules)
        for row, y, c in zip(_rows(probs, axis), targets, cotangent.ravel(), strict=True)
    ]
    return _unrows(slopes, probs.shape, axis)


def _categorical_target_gradient(
    dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, cotangent: Reals
) -> Row:
    probs, target = inputs["probs"], inputs["target"]
    axis = _stated_axis(probs, parameters)
    keep = 1 - mpmath.mpf(parameters.get("label_smoothing", 0.0))
    targets = _keras_targets(inputs, parameters, lambda n: mpmath.mpf(1) / n)
    slopes = []
    for row, y, c in zip(_rows(probs, axis), targets, cotangent.ravel(), strict=True):
        logs = _keras_log_q(dtype, row, parameters, rules)
        if rules["zero_times_infinity"] == "zero" and (mpmath.mpf(0), -INFINITY) in zip(y, logs, strict=True):
            raise Open
        slopes.append([-keep * (c * l) for l in logs])
    return _unrows(slopes, target.shape, axis)


def _sparse_labels(inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules) -> list[int | None]:
    probs = inputs["probs"]
    classes = probs.shape[_stated_axis(probs, parameters)]
    return _labels(inputs["target"], classes, parameters.get("ignore_class"), rules)


def _sparse(dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules) -> Row:
    probs = inputs["probs"]
    losses = []
    labels = _sparse_labels(inputs, parameters, rules)
    for row, label in zip(_rows(probs, _stated_axis(probs, parameters)), labels, strict=True):
        if label is None:
            losses.append(mpmath.mpf(0))
        else:
            losses.append(NAN if label < 0 else -_keras_log_q(dtype, row, parameters, rules)[label])
    return losses


def _sparse_gradient(
    dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, cotangent: Reals
) -> Row:
    probs = inputs["probs"]
    axis = _stated_axis(probs, parameters)
    slopes = []
    labels = _sparse_labels(inputs, parameters, rules)
    for row, label, c in zip(_rows(probs, axis), labels, cotangent.ravel(), strict=True):
        y = [mpmath.mpf(j == label) for j in range(len(row))]
        ignored = [mpmath.mpf(0)] * len(row)
        slopes.append(ignored if label is None else _row_slopes(dtype, row, y, c, parameters, rules))
    return _unrows(slopes, probs.shape, axis)


def _keras_binary(dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules) -> Row:
    probs = inputs["probs"]
    losses = []
    targets = _keras_targets(inputs, parameters, lambda n: mpmath.mpf(1) / 2)
    for row, targets_of_row in zip(_rows(probs, _stated_axis(probs, parameters)), targets, strict=True):
        terms = []
        for x, y in zip(row, targets_of_row, strict=True):
            if parameters.get("from_logits"):
                terms.append(_logit_loss(x, y, mpmath.mpf(1)))
            else:
                q, _ = _clip(dtype, x, rules)
                first, second = (
                    mpmath.mpf(0) if share == 0 and a == 0 else share * _log(a) for share, a in ((y, q), (1 - y, 1 - q))
                )
                terms.append(-(first + second))
        summed = sum(terms, mpmath.mpf(0))
        if terms:
            losses.append(summed / len(terms))
        else:
            losses.append(mpmath.mpf(0) if rules["empty_mean"] == "zero" else NAN)
    return losses


def _keras_binary_gradient(
    dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, cotangent: Reals
) -> Row:
    probs = inputs["probs"]
    axis = _stated_axis(probs, parameters)
    targets = _keras_targets(inputs, parameters, lambda n: mpmath.mpf(1) / 2)
    slopes = []
    for row, y, c in zip(_rows(probs, axis), targets, cotangent.ravel(), strict=True):
        slopes.append(
            [
                c / len(row) * _keras_binary_slope(dtype, x, y_j, parameters, rules)
                for x, y_j in zip(row, y, strict=True)
            ]
        )
    return _unrows(slopes, probs.shape, axis)


def _keras_binary_slope(dtype: str, x: Real, y: Real, parameters: Parameters, rules: Rules) -> Real:
    if parameters.get("from_logits"):
        return _sigmoid(x) - y
    q, passed = _clip(dtype, x, rules)
    if not passed:
        return mpmath.mpf(0)
    return _quotient(q - y, q * (1 - q))


def _keras_binary_target_gradient(
    dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, cotangent: Reals
) -> Row:
    probs = inputs["probs"]
    axis = _stated_axis(probs, parameters)
    keep = 1 - mpmath.mpf(parameters.get("label_smoothing", 0.0))

    def slope(x: Real) -> Real:
        if parameters.get("from_logits"):
            return _target_slope(x, mpmath.mpf(1))
        q, _ = _clip(dtype, x, rules)
        return _log(1 - q) - _log(q)

    slopes = [
        [keep * (c / len(row) * slope(x)) for x in row]
        for row, c in zip(_rows(probs, axis), cotangent.ravel(), strict=True)
    ]
    return _unrows(slopes, probs.shape, axis)


# distribution_cross_entropy


def _distribution_rows(dtype: str, inputs: Mapping[str, Reals], rules: Rules) -> list[list[tuple[Real, Real, bool]]]:
    """p, the clipped q, and whether the clip let that through, by row and class."""
    rows = zip(_rows(inputs["p"], -1), _rows(inputs["q"], -1), strict=True)
    return [[(p_j, *_clip(dtype, q_j, rules)) for p_j, q_j in zip(p, q, strict=True)] for p, q in rows]


def _distribution(dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules) -> Row:
    rows = _distribution_rows(dtype, inputs, rules)
    losses = [-sum((p * _log(q) for p, q, _ in row if p != 0), mpmath.mpf(0)) for row in rows]
    return _reduced(losses, mpmath.mpf(len(rows)), parameters, rules)


def _distribution_gradient(
    dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, cotangent: Reals
) -> Row:
    rows = _distribution_rows(dtype, inputs, rules)
    factors = _factors(len(rows), mpmath.mpf(len(rows)), parameters, rules, cotangent)
    slopes = [
        [_quotient(-c * p, q) if p != 0 and passed else mpmath.mpf(0) for p, q, passed in row]
        for row, c in zip(rows, factors, strict=True)
    ]
    return _unrows(slopes, inputs["q"].shape, inputs["q"].ndim - 1)


def _distribution_target_gradient(
    dtype: str, inputs: Mapping[str, Reals], parameters: Parameters, rules: Rules, cotangent: Reals
) -> Row:
    rows = _distribution_rows(dtype, inputs, rules)
    if any(p == 0 and q == 0 for row in rows for p, q, _ in row):
        raise Open
    factors = _factors(len(rows), mpmath.mpf(len(rows)), parameters, rules, cotangent)
    slopes = [[-(c * _log(q)) for _, q, _ in row] for row, c in zip(rows, factors, strict=True)]
    return _unrows(slopes, inputs["p"].shape, inputs["p"].ndim - 1)


_VALUES: Mapping[str, Callable[..., Row]] = {
    "cross_entropy": _cross_entropy,
    "nll_loss": _nll_loss,
    "log_softmax": _log_softmax,
    "binary_cross_entropy": _binary_cross_entropy,
    "binary_cross_entropy_with_logits": _binary_with_logits,
    "categorical_crossentropy": _categorical,
    "sparse_categorical_crossentropy": _sparse,
    "binary_crossentropy": _keras_binary,
    "distribution_cross_entropy": _distribution,
    "linear_cross_entropy": _linear,
}
_GRADIENTS: Mapping[str, Callable[..., Row]] = {
    "cross_entropy": _cross_entropy_gradient,
    "nll_loss": _nll_loss_gradient,
    "log_softmax": _log_softmax_gradient,
    "binary_cross_entropy": _binary_cross_entropy_gradient,
    "binary_cross_entropy_with_logits": _binary_with_logits_gradient,
    "categorical_crossentropy": _categorical_gradient,
    "sparse_categorical_crossentropy": _sparse_gradient,
    "binary_crossentropy": _keras_binary_gradient,
    "distribution_cross_entropy": _distribution_gradient,
    "linear_cross_entropy": _linear_gradient,
}
_DERIVATIVES: Mapping[tuple[str, str], Callable[..., Row]] = {
    ("cross_entropy", "gradient-target"): _cross_entropy_target_gradient,
    ("cross_entropy", "hessian"): _cross_entropy_hessian,
    ("cross_entropy", "tangent"): _cross_entropy_tangent,
    ("log_softmax", "tangent"): _log_softmax_tangent,
    ("binary_cross_entropy", "gradient-target"): _binary_cross_entropy_target_gradient,
    ("binary_cross_entropy_with_logits", "gradient-target"): _binary_with_logits_target_gradient,
    ("binary_cross_entropy_with_logits", "hessian"): _binary_with_logits_hessian,
    ("binary_cross_entropy_with_logits", "tangent"): _binary_with_logits_tangent,
    ("categorical_crossentropy", "gradient-target"): _categorical_target_gradient,
    ("binary_crossentropy", "gradient-target"): _keras_binary_target_gradient,
    ("distribution_cross_entropy", "gradient-p"): _distribution_target_gradient,
    ("linear_cross_entropy", "gradient-linear_weight"): _linear_weight_gradient,
}
