"""Faults of rounding: too few digits in inputs, steps or sums, and formulas that overflow or cancel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lossproof.fingerprints.fault import Change, Fault
from lossproof.fingerprints.faults_of_logarithms import SOFTMAX
from lossproof.fingerprints.loss import Logarithm, Loss, Pull, Step
from lossproof.fingerprints.numbers import Array, Numbers
from lossproof.fingerprints.steps import maximum
from lossproof.numerics import FORMATS, HALF_DTYPES, round_to

BINARY_LOGITS = ("binary_cross_entropy_with_logits", "binary_crossentropy")
NARROW_DTYPES = ("float32", "bfloat16", "float16")


def _read(move: Callable[[Array], Array]) -> Change:
    def change(loss: Loss) -> Loss | None:
        if loss.dtype in HALF_DTYPES:
            return None
        weight = None if loss.linear_weight is None else move(loss.linear_weight)
        return replace(loss, prediction=move(loss.prediction), linear_weight=weight)

    return change


def _rounded(dtype: str) -> Callable[[Array], Array]:
    return lambda values: round_to(dtype, values).astype(np.float64)


def _truncated(bits: int) -> Callable[[Array], Array]:
    """Only the first `bits` of float32's 23 stored bits of significand."""
    mask = np.uint32(0xFFFFFFFF << (23 - bits) & 0xFFFFFFFF)

    def move(values: Array) -> Array:
        words = np.ascontiguousarray(values, np.float32).view(np.uint32) & mask
        return words.view(np.float32).astype(np.float64)

    return move


def _narrow(dtype: str) -> Change:
    return lambda loss: loss if FORMATS[dtype].precision < FORMATS[loss.dtype].precision else None


def _normalised(step: Step) -> Change:
    return lambda loss: replace(loss, log_softmax=step) if loss.scores == "logits" else None


def _unchanged(loss: Loss) -> Loss:
    return loss


def _unshifted(loss: Loss, x: Numbers) -> tuple[Numbers, Pull]:
    l = x - loss.total(x.exp()).log()
    return l, lambda g: g - l.exp() * loss.total(g)


def _unshifted_quotient(loss: Loss, x: Numbers) -> tuple[Numbers, Pull]:
    powers = x.exp()
    mass = loss.total(powers)
    return x - mass.log(), lambda g: g - powers / mass * loss.total(g)


def _of_gradient(change: Change) -> Change:
    return lambda loss: change(loss) if loss.is_gradient else None


def _normaliser_beside_maximum(loss: Loss, x: Numbers) -> tuple[Numbers, Pull]:
    m = maximum(x)
    l = x - (m + loss.total((x - m).exp()).log())
    return l, lambda g: g - l.exp() * loss.total(g)


def _shifted_by_largest_of_all(loss: Loss, x: Numbers) -> tuple[Numbers, Pull]:
    shifted = x - x.moved(lambda values: np.full((1, 1), values.max(initial=-np.inf)))
    l = shifted - loss.total(shifted.exp()).log()
    return l, lambda g: g - l.exp() * loss.total(g)


def _log_of_result(loss: Loss) -> Loss | None:
    return replace(loss, logarithm=Logarithm()) if loss.scores == "logits" else None


def _plain_softplus(loss: Loss, z: Numbers) -> Numbers:
    return (loss.constant(1) + z.exp()).log()


def _plain_sigmoid(loss: Loss, x: Numbers) -> Numbers:
    e = x.exp()
    return e / (loss.constant(1) + e)


def _binary_without_shift(loss: Loss) -> Loss | None:
    if loss.scores != "logits":
        return None
    return replace(loss, softplus=_plain_softplus, sigmoid=_plain_sigmoid)


ROUNDING_FAULTS = (
    Fault("no shift: log sum exp(x) - x", _normalised(_unshifted), SOFTMAX, steps="own"),
    Fault("no shift: exp(x) / sum exp(x)", _of_gradient(_normalised(_unshifted_quotient)), SOFTMAX, steps="own"),
    Fault(
        "cancellation: maximum and normaliser added before they are subtracted",
        _normalised(_normaliser_beside_maximum),
        SOFTMAX,
        steps="own",
    ),
    Fault("shifted by the largest logit of all rows", _normalised(_shifted_by_largest_of_all), SOFTMAX, steps="own"),
    Fault("logarithm of the rounded softmax", _log_of_result, SOFTMAX, steps="own"),
    Fault("logarithm of the rounded sigmoid", _log_of_result, BINARY_LOGITS, steps="own"),
    Fault("no shift: log(1 + exp(x))", _binary_without_shift, BINARY_LOGITS, steps="own"),
    Fault("running sums kept in the half dtype", _unchanged, steps="running-half"),
    Fault("terms added one after the other", _unchanged, steps="running"),
    Fault("input rounded to bfloat16", _read(_rounded("bfloat16"))),
    Fault("input truncated to bfloat16", _read(_truncated(7))),
    Fault("input rounded to float16", _read(_rounded("float16"))),
    Fault("input truncated to TF32", _read(_truncated(10))),
    *(Fault(f"evaluated in {dtype}", _narrow(dtype), narrow=dtype) for dtype in NARROW_DTYPES),
)
