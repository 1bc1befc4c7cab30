"""Faults of labels, of what is ignored, of smoothing and of the axes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lossproof.fingerprints.fault import CLASSES, LABELS, Change, Fault
from lossproof.fingerprints.loss import Loss, Pull, rows
from lossproof.fingerprints.numbers import Array, Numbers
from lossproof.fingerprints.steps import log_softmax

SMOOTHED = ("cross_entropy", "linear_cross_entropy", "categorical_crossentropy")
PROBABILITIES = (
    "categorical_crossentropy",
    "distribution_cross_entropy",
    "binary_cross_entropy",
    "binary_crossentropy",
)


def _labels(read: Callable[[Array, int], Array]) -> Change:
    return lambda loss: replace(loss, read_labels=read) if loss.has_labels else None


def _kept(is_kept: Callable[[Loss, Array], Array]) -> Change:
    return lambda loss: replace(loss, is_kept=is_kept) if loss.has_labels else None


def _ignored(loss: Loss) -> Array | None:
    if loss.target is None or not loss.has_labels or loss.ignored is None:
        return None
    return np.asarray(loss.target == loss.ignored)


def _if_ignored(change: Change) -> Change:
    """Only where a row is ignored."""

    def changed(loss: Loss) -> Loss | None:
        ignored = _ignored(loss)
        return change(loss) if ignored is not None and ignored.any() else None

    return changed


def _smoothed(smoothed: Callable[[Loss, Numbers, float, int], Numbers]) -> Change:
    def change(loss: Loss) -> Loss | None:
        if not loss.smoothing:
            return None
        return replace(
            loss,
            smoothed=lambda loss, y: smoothed(loss, y, loss.smoothing, y.value.shape[-1]),
        )

    return change


def _affine(loss: Loss, y: Numbers, factor: float, added: float) -> Numbers:
    return loss.constant(factor) * y + loss.constant(added)


def _share_of_others(loss: Loss, y: Numbers, epsilon: float, classes: int) -> Numbers:
    share = loss.constant(epsilon / max(classes - 1, 1))
    return loss.constant(1 - epsilon) * y + (loss.constant(1) - y) * share


def _without_smoothed_labels(loss: Loss) -> Loss | None:
    """Ignored rows have no class, but their share of the smoothed mass is summed and they are counted."""
    if not loss.smoothing:
        return None
    return replace(
        loss,
        is_kept=lambda _, labels: np.ones(labels.shape, bool),
        read_labels=lambda labels, _: np.where(labels == loss.ignored, -1, labels),
    )


def _gradient_of_class_0(loss: Loss) -> Loss | None:
    if not loss.is_gradient:
        return None
    return replace(loss, drops_ignored=False, read_labels=lambda labels, _: np.where(labels == loss.ignored, 0, labels))


def _softmax_of_ignored(loss: Loss) -> Loss | None:
    """Ignored rows have no target that is subtracted, but the softmax is left."""
    changed, ignored = _gradient_of_class_0(loss), _ignored(loss)
    if changed is None or ignored is None:
        return None
    mask = ignored.reshape(-1, 1)
    return replace(changed, slope=lambda _, g, slopes: (slopes - g).where(mask, slopes))


def _exchanged(loss: Loss) -> Loss | None:
    if loss.is_gradient or loss.target is None or loss.scores != "probabilities":
        return None
    return replace(loss, prediction=loss.target, target=loss.prediction)


# --- axes ---


def _tensor(values: Array, shape: tuple[int, ...], axis: int) -> Array:
    """The inverse of `rows`."""
    return np.moveaxis(values.reshape(*shape[:axis], *shape[axis + 1 :], shape[axis]), -1, axis)


def _softmax_along(axis: int) -> Change:
    """Labels are still looked up along the right axis."""

    def change(loss: Loss) -> Loss | None:
        shape, own = loss.prediction.shape, loss.axis
        other = axis % max(len(shape), 1)
        if own is None or len(shape) < 2 or other == own or loss.scores != "logits" or loss.linear_weight is not None:
            return None

        def step(loss: Loss, x: Numbers) -> tuple[Numbers, Pull]:
            turned = x.moved(lambda values: rows(_tensor(values, shape, own), other))
            l, pull = log_softmax(loss, turned)

            def back(numbers: Numbers) -> Numbers:
                return numbers.moved(lambda values: rows(_tensor(values, shape, other), own))

            return back(l), lambda g: back(pull(g.moved(lambda values: rows(_tensor(values, shape, own), other))))

        return replace(loss, log_softmax=step)

    return change


def _rows_in_memory_order(loss: Loss) -> Loss | None:
    """The prediction is reshaped to rows of classes where its class axis had to be moved last."""
    shape, axis = loss.prediction.shape, loss.axis
    if axis is None or axis == len(shape) - 1 or loss.target is None or not loss.prediction.size:
        return None

    def reshaped(tensor: Array) -> Array:
        return _tensor(tensor.reshape(-1, shape[axis]), shape, axis)

    target = loss.target if loss.has_labels else reshaped(loss.target)
    changed = replace(loss, prediction=reshaped(loss.prediction), target=target)
    if not loss.is_gradient:
        return changed
    return replace(
        changed,
        finish=lambda _, answer: answer.moved(lambda values: rows(values.reshape(shape), axis).ravel()),
    )


TARGET_FAULTS = (
    Fault("labels counted from 1", _labels(lambda labels, _: labels - 1), LABELS),
    Fault(
        "negative labels counted from the last class",
        _labels(lambda labels, classes: np.where(labels < 0, labels + classes, labels)),
        LABELS,
    ),
    Fault("labels clamped into the classes", _labels(lambda labels, classes: np.clip(labels, 0, classes - 1)), LABELS),
    Fault("ignored rows not ignored", _if_ignored(_kept(lambda _, labels: np.ones(labels.shape, bool))), LABELS),
    Fault(
        "ignored rows taken for class 0",
        _if_ignored(
            lambda loss: replace(
                loss,
                is_kept=lambda _, labels: np.ones(labels.shape, bool),
                read_labels=lambda labels, _: np.where(labels == loss.ignored, 0, labels),
            )
        ),
        LABELS,
    ),
    Fault("every negative label ignored", _kept(lambda loss, labels: (labels >= 0) & (labels != loss.ignored)), LABELS),
    Fault("class 0 ignored as well", _kept(lambda loss, labels: (labels != 0) & (labels != loss.ignored)), LABELS),
    Fault(
        "ignored rows get a gradient",
        _if_ignored(lambda loss: replace(loss, drops_ignored=False) if loss.is_gradient else None),
        LABELS,
    ),
    Fault("ignored rows get the gradient of class 0", _if_ignored(_gradient_of_class_0), LABELS),
    Fault("ignored rows get the softmax as their gradient", _if_ignored(_softmax_of_ignored), LABELS),
    Fault("ignored rows smoothed and counted", _if_ignored(_without_smoothed_labels), SMOOTHED),
    Fault(
        "label smoothing ignored",
        lambda loss: replace(loss, smoothing=0.0) if loss.smoothing else None,
        (*SMOOTHED, "binary_crossentropy"),
    ),
    Fault("smoothed mass shared among the K - 1 other classes", _smoothed(_share_of_others), SMOOTHED),
    Fault(
        "eps / (K - 1) given to every class, the target as well",
        _smoothed(lambda loss, y, epsilon, classes: _affine(loss, y, 1 - epsilon, epsilon / max(classes - 1, 1))),
        SMOOTHED,
    ),
    Fault(
        "smoothed mass not taken from the target: y + eps / K",
        _smoothed(lambda loss, y, epsilon, classes: _affine(loss, y, 1.0, epsilon / classes)),
        SMOOTHED,
    ),
    Fault(
        "target smoothed to 1: (1 - eps / K) y + eps / K",
        _smoothed(lambda loss, y, epsilon, classes: _affine(loss, y, 1 - epsilon / classes, epsilon / classes)),
        SMOOTHED,
    ),
    Fault(
        "smoothing subtracts K / (K - 1) eps: (1 - eps K / (K - 1)) y + eps / K",
        _smoothed(
            lambda loss, y, epsilon, classes: _affine(
                loss, y, 1 - epsilon * classes / max(classes - 1, 1), epsilon / classes
            )
        ),
        SMOOTHED,
    ),
    Fault(
        "smoothed mass lost: (1 - eps) y",
        _smoothed(lambda loss, y, epsilon, _: _affine(loss, y, 1 - epsilon, 0.0)),
        (*SMOOTHED, "binary_crossentropy"),
    ),
    Fault(
        "smoothed by eps instead of eps / 2",
        _smoothed(lambda loss, y, epsilon, _: _affine(loss, y, 1 - epsilon, epsilon)),
        ("binary_crossentropy",),
    ),
    Fault(
        "smoothing weighed by the target's class",
        lambda loss: replace(loss, rules={**loss.rules, "smoothing_weight": "target"}) if loss.smoothing else None,
        ("cross_entropy", "linear_cross_entropy"),
    ),
    Fault("target and prediction exchanged", _exchanged, PROBABILITIES),
    Fault("softmax along the last axis", _softmax_along(-1), CLASSES),
    Fault("softmax along the first axis", _softmax_along(0), CLASSES),
    Fault("softmax along the second axis", _softmax_along(1), ("log_softmax", "categorical_crossentropy")),
    Fault("rows reshaped instead of transposed", _rows_in_memory_order, CLASSES),
    Fault(
        "linear_bias ignored",
        lambda loss: None if loss.linear_bias is None else replace(loss, linear_bias=None),
        ("linear_cross_entropy",),
    ),
)
