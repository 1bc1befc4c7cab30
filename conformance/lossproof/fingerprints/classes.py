"""Losses over classes: rows of predictions against labels or probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lossproof.fingerprints.loss import Loss, joined, rows
from lossproof.fingerprints.numbers import Array, Numbers
from lossproof.fingerprints.reduction import count, factors, reduced
from lossproof.fingerprints.steps import log_probabilities


@dataclass(frozen=True, eq=False)
class _Targets:
    """Effective targets w_j y_j by row and class; what is not `counted` adds nothing, whatever its logarithm."""

    weighed: Numbers
    counted: Array
    kept: Array
    is_class: Array
    denominator: Numbers


def class_loss(loss: Loss) -> Numbers:
    """The value or the gradient for the prediction, in C order."""
    assert loss.axis is not None
    l, pull = log_probabilities(loss, loss.exact(rows(loss.prediction, loss.axis)))
    if loss.target is None:
        if not loss.is_gradient:
            return joined(l, loss.prediction.shape, loss.axis)
        assert loss.cotangent is not None
        g = loss.exact(rows(loss.cotangent, loss.axis))
        return joined(pull(g), loss.prediction.shape, loss.axis)
    targets = _read_targets(loss, l.value.shape[-1])
    if not loss.is_gradient:
        return reduced(loss, _terms(loss, targets, l), targets.denominator)
    c = factors(loss, targets.denominator).moved(lambda values: values[:, None])
    g = -(c * targets.weighed).where(targets.counted)
    slopes = pull(g)
    if loss.operation == "distribution_cross_entropy":
        slopes = slopes.where(targets.counted)
    if loss.drops_ignored:
        slopes = slopes.where(targets.kept[:, None])
    return joined(slopes, loss.prediction.shape, loss.axis)


def _terms(loss: Loss, targets: _Targets, l: Numbers) -> Numbers:
    """-sum_j w_j y_j l_j of each row; 0 of an ignored row, NaN of one whose label is no class."""
    products = (targets.weighed * l).where(targets.counted)
    if not loss.has_labels and loss.rule("zero_times_infinity") == "zero":
        products = products.where((targets.weighed.value != 0) | (l.value != -np.inf))
    terms = -loss.total(products).moved(lambda values: values[:, 0])
    return terms.where(targets.is_class, np.nan).where(targets.kept)


def _read_targets(loss: Loss, classes: int) -> _Targets:
    assert loss.target is not None
    if loss.has_labels:
        return _labels(loss, loss.target.ravel().astype(np.int64), classes)
    assert loss.axis is not None
    y = loss.exact(rows(loss.target, loss.axis))
    all_rows = np.ones(y.value.shape[0], bool)
    counted = y.value != 0 if loss.operation == "distribution_cross_entropy" else np.ones(y.value.shape, bool)
    if loss.smoothing:
        y = (loss.smoothed or smoothed)(loss, y)
    weighed = y if loss.weight is None else loss.exact(loss.weight) * y
    denominator = count(loss, all_rows.size) if loss.denominator is None else loss.denominator(loss, all_rows, weighed)
    return _Targets(weighed, counted, all_rows, all_rows, denominator)


def _labels(loss: Loss, labels: Array, classes: int) -> _Targets:
    kept = labels != loss.ignored if loss.is_kept is None else loss.is_kept(loss, labels)
    if loss.read_labels is not None:
        labels = loss.read_labels(labels, classes)
    is_class = (labels >= 0) & (labels < classes)
    chosen = labels[:, None] == np.arange(classes)
    labels = np.where(is_class, labels, 0)
    y, counted = loss.exact(chosen), chosen
    if loss.smoothing:
        y, counted = (loss.smoothed or smoothed)(loss, y), np.ones(chosen.shape, bool)
    weight = loss.exact(np.ones(classes) if loss.weight is None else loss.weight)
    of_rows = weight.moved(lambda values: np.broadcast_to(values, (classes,))[labels])
    if loss.weight is not None:
        by_target = loss.smoothing and loss.rule("smoothing_weight") == "target"
        y = (of_rows.moved(lambda values: values[:, None]) if by_target else weight) * y
    denominator = loss.total(of_rows.moved(lambda values: values[kept]))
    if loss.denominator is not None:
        denominator = loss.denominator(loss, kept, of_rows)
    # Who reads labels in a way of their own has no class, but also no NaN, for those that are none.
    return _Targets(y, counted, kept, is_class | (loss.read_labels is not None), denominator)


def smoothed(loss: Loss, y: Numbers) -> Numbers:
    """(1 - eps) y + eps / K, or the share eps / (K - 1) to the other classes where the dialect does so."""
    classes = y.value.shape[-1]
    others = loss.rule("smoothing_share") == "others"
    keep = loss.constant(1 - loss.smoothing) * y
    share = loss.constant(loss.smoothing / max(classes - 1 if others else classes, 1))
    if others and loss.has_labels:
        return keep.where(y.value == 1, share)
    return keep + share
