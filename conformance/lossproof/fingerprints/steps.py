"""Steps from predictions to log-probabilities, each with its pull: gradients of the result to those of its argument."""

from __future__ import annotations

import math

import numpy as np

from lossproof.fingerprints.loss import Logarithm, Loss, Pull, Step
from lossproof.fingerprints.numbers import Array, Numbers
from lossproof.numerics import FORMATS, HALF_DTYPES

CLIP = 1e-7
ADDED = 1e-7
CLAMPED_LOG = -100.0


def log_probabilities(loss: Loss, x: Numbers) -> tuple[Numbers, Pull]:
    """Along the last axis of the rows of predictions; a fault of the gradient bends it where it leaves the logits."""
    logits, pull_linear = (unchanged if loss.linear_weight is None else linear)(loss, x)
    steps = (loss.before, _logarithmic_step(loss), loss.after)
    l, pull = composed(*(step for step in steps if step is not None))(loss, logits)

    def pull_all(g: Numbers) -> Numbers:
        slopes = pull(g)
        return pull_linear(slopes if loss.slope is None else loss.slope(loss, g, slopes))

    return l, pull_all


def composed(*steps: Step) -> Step:
    """One step after the other."""

    def step(loss: Loss, x: Numbers) -> tuple[Numbers, Pull]:
        pulls: list[Pull] = []
        for each in steps:
            x, pull = each(loss, x)
            pulls.append(pull)

        def pull_through(g: Numbers) -> Numbers:
            for pull in reversed(pulls):
                g = pull(g)
            return g

        return x, pull_through

    return step


def _logarithmic_step(loss: Loss) -> Step:
    match loss.scores:
        case "log-probabilities":
            return unchanged
        case "probabilities":
            return composed(renormalised, logarithm)
    if loss.logarithm is not None:
        return composed(softmax, logarithm)
    return loss.log_softmax or log_softmax


def unchanged(loss: Loss, x: Numbers) -> tuple[Numbers, Pull]:  # noqa: ARG001 - a step
    """Log-probabilities are taken as they are."""
    return x, _same


def log_softmax(loss: Loss, x: Numbers) -> tuple[Numbers, Pull]:
    """(x - m) - log sum exp(x - m)."""
    shifted = x - maximum(x)
    l = shifted - loss.total(shifted.exp()).log()
    return l, lambda g: g - l.exp() * loss.total(g)


def softmax(loss: Loss, x: Numbers) -> tuple[Numbers, Pull]:
    """exp(x - m) / sum exp(x - m)."""
    exponentials = (x - maximum(x)).exp()
    p = exponentials / loss.total(exponentials)
    return p, lambda g: p * (g - loss.total(g * p))


def maximum(x: Numbers) -> Numbers:
    """The largest element along the last axis, which is exact."""
    return x.moved(lambda values: values.max(axis=-1, keepdims=True, initial=-np.inf))


def linear(loss: Loss, x: Numbers) -> tuple[Numbers, Pull]:
    """x times the transposed linear_weight, plus linear_bias."""
    assert loss.linear_weight is not None
    weight = loss.linear_weight
    logits = _times_matrix(loss, x, weight)
    if loss.linear_bias is not None:
        logits = logits + loss.exact(loss.linear_bias)
    return logits, lambda g: _times_matrix(loss, g, weight.T)


def _times_matrix(loss: Loss, a: Numbers, matrix: Array) -> Numbers:
    """Each row of `a` times each row of the matrix: n products added in any order, in half dtypes in float32."""
    wide = np.promote_types(np.float32, a.value.dtype) if a.value.dtype.kind == "f" else np.dtype(np.float32)
    columns = matrix.T.astype(wide)
    value = (a.value.astype(wide) @ columns).astype(a.value.dtype)
    if a.bounds is None:
        return Numbers(value)
    sizes, half = np.abs(columns), loss.dtype in HALF_DTYPES
    rounding, underflow = (np.broadcast_to(bound, a.value.shape) @ sizes for bound in a.bounds)
    terms = (a.value != 0).astype(wide) @ (columns != 0).astype(wide)
    single = FORMATS["float32"].unit_roundoff / FORMATS[loss.dtype].unit_roundoff if half else 1.0
    rounding = rounding + single * terms * (np.abs(a.value) @ sizes)
    return Numbers(value, (rounding + np.abs(value) if half else rounding, underflow + terms))


def renormalised(loss: Loss, p: Numbers) -> tuple[Numbers, Pull]:
    """p / sum p where the dialect does so."""
    if loss.rule("renormalise") != "yes":
        return p, _same
    mass = loss.total(p)
    q = p / mass
    return q, lambda g: (g - loss.total(g * q)) / mass


def logarithm(loss: Loss, p: Numbers) -> tuple[Numbers, Pull]:
    """log p, as the loss or its dialect guards it."""
    form = loss.logarithm or usual_logarithm(loss)
    q, pull = clipped(form.clip)(loss, p) if form.clip else (p, _same)
    l, pull_log = guarded_log(loss, q, form)
    return l, lambda g: pull(pull_log(g))


def usual_logarithm(loss: Loss) -> Logarithm:
    """The guard that the dialect puts around a logarithm of probabilities."""
    if loss.rule("log_epsilon") == "1e-7":
        return Logarithm(added=loss.held(ADDED))
    clips = {"keras": CLIP, "machine_epsilon": 2 * FORMATS[loss.dtype].unit_roundoff}
    clamps = loss.rule("log_clamp") in ("torch", "derivative")
    return Logarithm(clip=clips.get(loss.rule("clip"), 0.0), least=CLAMPED_LOG if clamps else -math.inf)


def clipped(epsilon: float) -> Step:
    """q kept within [epsilon, 1 - epsilon], both as the dtype holds them; no gradient passes outside."""

    def step(loss: Loss, q: Numbers) -> tuple[Numbers, Pull]:
        low, high = loss.held(epsilon), loss.held(1 - epsilon)
        is_above, is_below = ~(q.value < low), ~(q.value > high)
        moved = q.where(is_above, low).where(is_below, high)
        return moved, lambda g: g.where(is_above & is_below)

    return step


def guarded_log(loss: Loss, q: Numbers, form: Logarithm) -> tuple[Numbers, Pull]:
    """log(q + added), never below the least one; no gradient passes there."""
    moved = q + loss.constant(form.added) if form.added else q
    l = moved.log()
    if form.least == -math.inf:
        return l, lambda g: g / moved
    is_above = ~(l.value < form.least)
    return l.where(is_above, form.least), lambda g: (g / moved).where(is_above)


def _same(g: Numbers) -> Numbers:
    return g
