"""Faults of sums, means, weights and the incoming gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lossproof.fingerprints.fault import BINARY, LABELS, Change, Fault
from lossproof.fingerprints.loss import Loss
from lossproof.fingerprints.numbers import Array, Numbers
from lossproof.fingerprints.reduction import count

CLASSES_REDUCED = ("cross_entropy", "linear_cross_entropy", "nll_loss", "distribution_cross_entropy")
REDUCED = (*CLASSES_REDUCED, "binary_cross_entropy", "binary_cross_entropy_with_logits")
WEIGHTED = ("cross_entropy", "linear_cross_entropy", "nll_loss")
KERAS = ("categorical_crossentropy", "sparse_categorical_crossentropy")


def _mean_over(denominator: Callable[[Loss, Array, Numbers], Numbers], *, weighted: bool) -> Change:
    def change(loss: Loss) -> Loss | None:
        if loss.reduction != "mean" or (loss.weight is not None) != weighted:
            return None
        return replace(loss, denominator=denominator)

    return change


def _all_rows(loss: Loss, kept: Array, _: Numbers) -> Numbers:
    return count(loss, kept.size)


def _kept_rows(loss: Loss, kept: Array, _: Numbers) -> Numbers:
    return count(loss, int(kept.sum()))


def _weights(loss: Loss, _: Array, weights: Numbers) -> Numbers:
    return loss.total(weights.moved(np.ravel))


def _kept_weights(loss: Loss, kept: Array, weights: Numbers) -> Numbers:
    return loss.total(weights.moved(lambda values: values[kept]))


def _sum_instead_of_mean(loss: Loss) -> Loss | None:
    averages = loss.reduction == "mean" or loss.operation == "binary_crossentropy"
    return replace(loss, reduction="sum") if averages else None


def _mean_instead_of_sum(loss: Loss) -> Loss | None:
    return replace(loss, reduction="mean") if loss.reduction == "sum" and loss.operation != "log_softmax" else None


def _mean_over_classes_too(loss: Loss) -> Loss | None:
    assert loss.axis is not None
    if loss.reduction == "sum" or (loss.reduction == "none" and loss.operation not in KERAS):
        return None
    weight = loss.linear_weight
    classes = loss.prediction.shape[loss.axis] if weight is None else weight.shape[0]
    return replace(loss, finish=_divided_by(float(classes)))


def _mean_of_means(loss: Loss) -> Loss | None:
    if loss.reduction != "mean" or loss.prediction.ndim < 3:
        return None
    samples = loss.prediction.shape[0]

    def denominator(loss: Loss, kept: Array, weights: Numbers) -> Numbers:
        rows = weights if loss.has_labels else loss.exact(np.ones(kept.size))
        shown = rows.where(kept).moved(lambda values: values.reshape(samples, -1))
        of_samples = loss.total(shown) * loss.constant(samples)
        return of_samples.moved(lambda values: np.repeat(values[:, 0], kept.size // samples))

    return replace(loss, denominator=denominator)


def _divided_by(number: float) -> Callable[[Loss, Numbers], Numbers]:
    return lambda loss, answer: answer / loss.exact(np.array([number]))


def _rows(loss: Loss) -> int:
    assert loss.target is not None
    if loss.has_labels or loss.axis is None:
        return loss.target.size
    return int(loss.target.size // max(loss.target.shape[loss.axis], 1))


def _gradient_divided(loss: Loss, reductions: tuple[str, ...]) -> Loss | None:
    if not loss.is_gradient or loss.reduction not in reductions or _rows(loss) == 0:
        return None
    return replace(loss, finish=_divided_by(float(_rows(loss))))


def _cotangent(move: Callable[[Array], Array]) -> Change:
    def change(loss: Loss) -> Loss | None:
        if not loss.is_gradient or loss.cotangent is None or not loss.cotangent.size:
            return None
        return replace(loss, cotangent=move(loss.cotangent))

    return change


def _without_weight(loss: Loss) -> Loss | None:
    return None if loss.weight is None else replace(loss, weight=None)


def _weight_only_in_denominator(loss: Loss) -> Loss | None:
    if loss.weight is None or loss.reduction != "mean" or not loss.has_labels:
        return None
    weight = loss.weight

    def denominator(loss: Loss, kept: Array, _: Numbers) -> Numbers:
        assert loss.target is not None
        labels = loss.target.ravel()[kept].astype(np.int64)
        return loss.total(loss.exact(weight[labels % weight.size]))

    return replace(loss, weight=None, denominator=denominator)


def _weight_squared(loss: Loss) -> Loss | None:
    """In the terms; the denominator stays that of the weights."""
    if loss.weight is None:
        return None
    weight = loss.weight
    unsquared = replace(loss, weight=weight * weight)
    if loss.reduction != "mean" or not loss.has_labels:
        return unsquared
    only = _weight_only_in_denominator(loss)
    return None if only is None else replace(unsquared, denominator=only.denominator)


def _moved(move: Callable[[Numbers], Numbers]) -> Change:
    return lambda loss: replace(loss, finish=lambda _, answer: move(answer))


def _sides(sides: Callable[[Loss, Numbers, Numbers], tuple[Numbers, Numbers]], *, weighted: bool) -> Change:
    return lambda loss: None if weighted and loss.pos_weight is None else replace(loss, sides=sides)


def _positive_side_alone(_: Loss, y: Numbers, pos_weight: Numbers) -> tuple[Numbers, Numbers]:
    return pos_weight * y, y.where(np.zeros(y.value.shape, bool))


def _rest(loss: Loss, y: Numbers) -> Numbers:
    return loss.constant(1) - y


REDUCTION_FAULTS = (
    Fault("mean over N instead of the sum of weights", _mean_over(_all_rows, weighted=True), WEIGHTED),
    Fault("mean over the kept rows instead of the sum of weights", _mean_over(_kept_rows, weighted=True), WEIGHTED),
    Fault("ignored rows counted in the mean", _mean_over(_all_rows, weighted=False), LABELS),
    Fault(
        "mean over the sum of weights instead of N",
        lambda loss: None if loss.has_labels else _mean_over(_weights, weighted=True)(loss),
        ("cross_entropy", "linear_cross_entropy", *BINARY),
    ),
    Fault("sum instead of mean", _sum_instead_of_mean, (*REDUCED, "binary_crossentropy")),
    Fault("mean instead of sum", _mean_instead_of_sum, REDUCED),
    Fault("mean over the classes too", _mean_over_classes_too, (*CLASSES_REDUCED, *KERAS)),
    Fault("mean of the means of each sample", _mean_of_means, CLASSES_REDUCED),
    Fault(
        "gradient divided by N though nothing is averaged",
        lambda loss: _gradient_divided(loss, ("none", "sum")),
        (*REDUCED, *KERAS),
    ),
    Fault("gradient divided by N twice", lambda loss: _gradient_divided(loss, ("mean",)), REDUCED),
    Fault("incoming gradient ignored", _cotangent(np.ones_like)),
    Fault("first element of the incoming gradient for all", _cotangent(lambda c: np.full_like(c, c.flat[0]))),
    Fault("incoming gradient applied twice", _cotangent(lambda c: c * c)),
    Fault("weights ignored", _without_weight, (*WEIGHTED, *BINARY)),
    Fault("weights only in the denominator", _weight_only_in_denominator, WEIGHTED),
    Fault("weights applied twice", _weight_squared, (*WEIGHTED, *BINARY)),
    Fault(
        "pos_weight ignored",
        lambda loss: None if loss.pos_weight is None else replace(loss, pos_weight=None),
        ("binary_cross_entropy_with_logits",),
    ),
    Fault(
        "pos_weight on the negative side",
        _sides(lambda loss, y, pos_weight: (y, pos_weight * _rest(loss, y)), weighted=True),
        ("binary_cross_entropy_with_logits",),
    ),
    Fault(
        "pos_weight on both sides",
        _sides(lambda loss, y, pos_weight: (pos_weight * y, pos_weight * _rest(loss, y)), weighted=True),
        ("binary_cross_entropy_with_logits",),
    ),
    Fault(
        "negative side of the target left out",
        _sides(_positive_side_alone, weighted=False),
        BINARY,
    ),
    Fault(
        "target and 1 - target exchanged",
        _sides(lambda loss, y, pos_weight: (pos_weight * _rest(loss, y), y), weighted=False),
        BINARY,
    ),
    Fault("sign flipped", _moved(lambda answer: -answer)),
    Fault("NaN replaced by 0", _moved(lambda answer: answer.where(~np.isnan(answer.value)))),
    Fault(
        "gradient clipped to [-1, 1]",
        lambda loss: _moved(_within_one)(loss) if loss.is_gradient else None,
    ),
)


def _within_one(answer: Numbers) -> Numbers:
    return answer.where(~(answer.value > 1), 1.0).where(~(answer.value < -1), -1.0)
