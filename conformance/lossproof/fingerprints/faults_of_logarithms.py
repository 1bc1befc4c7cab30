"""Faults between predictions and log-probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lossproof.fingerprints.elements import sigmoid
from lossproof.fingerprints.fault import BINARY, CLASSES, Change, Fault
from lossproof.fingerprints.loss import Logarithm, Loss, Pull, Step, rows
from lossproof.fingerprints.numbers import Array, Numbers
from lossproof.fingerprints.steps import log_softmax, maximum, softmax
from lossproof.numerics import FORMATS

SOFTMAX = (
    "cross_entropy",
    "linear_cross_entropy",
    "log_softmax",
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
)
WITH_LOGARITHM = (*SOFTMAX, "distribution_cross_entropy", *BINARY)
LOGITS = (*SOFTMAX, "binary_cross_entropy_with_logits", "binary_crossentropy")
FROM_PROBABILITIES = (
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
    "distribution_cross_entropy",
    "binary_cross_entropy",
    "binary_crossentropy",
)
BLOCKS = (1024, 512, 256, 128, 64, 32)


def _guarded(form: Logarithm) -> Change:
    return lambda loss: replace(loss, logarithm=form)


def _clipped_at_epsilon(loss: Loss) -> Loss:
    return replace(loss, logarithm=Logarithm(clip=2 * FORMATS[loss.dtype].unit_roundoff))


def _before(step: Step, scores: str = "logits") -> Change:
    return lambda loss: replace(loss, before=step) if loss.scores == scores else None


def _after(step: Step) -> Change:
    return lambda loss: replace(loss, after=step)


def _normalised(step: Step) -> Change:
    return lambda loss: replace(loss, log_softmax=step) if loss.scores == "logits" else None


def _scores(taken_from: str, taken_for: str) -> Change:
    return lambda loss: replace(loss, scores=taken_for) if loss.scores == taken_from else None


def _in_base(base: float) -> Change:
    def finish(loss: Loss, answer: Numbers) -> Numbers:
        return answer / loss.constant(math.log(base))

    return lambda loss: replace(loss, finish=finish)


def _soft_capped(cap: float) -> Step:
    """cap tanh(x / cap)."""

    def step(loss: Loss, x: Numbers) -> tuple[Numbers, Pull]:
        limit, one = loss.constant(cap), loss.constant(1)
        tangent = (x / limit).tanh()
        return limit * tangent, lambda g: g * (one - tangent * tangent)

    return step


def _scaled(factor: Callable[[Loss], float]) -> Step:
    def step(loss: Loss, x: Numbers) -> tuple[Numbers, Pull]:
        scale = loss.constant(factor(loss))
        return x * scale, lambda g: g * scale

    return step


def _sigmoid(loss: Loss, x: Numbers) -> tuple[Numbers, Pull]:
    one = loss.constant(1)
    p = one / (one + (-x).exp())
    return p, lambda g: g * (p * (one - p))


def _log_sigmoid(loss: Loss, x: Numbers) -> tuple[Numbers, Pull]:
    p, pull = _sigmoid(loss, x)
    return p.log(), lambda g: pull(g / p)


def _exponential(loss: Loss, l: Numbers) -> tuple[Numbers, Pull]:  # noqa: ARG001 - a step
    p = l.exp()
    return p, lambda g: g * p


def _with_z_loss(loss: Loss, x: Numbers) -> tuple[Numbers, Pull]:
    """l_j - 1e-4 lse^2: targets that sum to 1 make it the loss plus 1e-4 lse^2."""
    share, two = loss.constant(1e-4), loss.constant(2)
    m = maximum(x)
    log_partition = m + loss.total((x - m).exp()).log()
    l, pull = log_softmax(loss, x)
    steep = two * share * log_partition
    return l - share * (log_partition * log_partition), lambda g: pull(g) - l.exp() * (steep * loss.total(g))


def _without_tail(block: int) -> Change:
    """The normaliser sums whole blocks of classes alone."""

    def change(loss: Loss) -> Loss | None:
        classes = _classes(loss)
        if loss.scores != "logits" or classes <= block or classes % block == 0:
            return None
        whole = classes // block * block
        return replace(loss, log_softmax=_normalised_over(lambda _: np.arange(classes) < whole))

    return change


def _classes(loss: Loss) -> int:
    if loss.linear_weight is not None:
        return int(loss.linear_weight.shape[0])
    return 0 if loss.axis is None else loss.prediction.shape[loss.axis]


def _normalised_over(chosen: Callable[[Array], Array]) -> Step:
    def step(loss: Loss, x: Numbers) -> tuple[Numbers, Pull]:
        shifted = x - maximum(x)
        l = shifted - loss.total(shifted.exp().where(chosen(shifted.value))).log()
        return l, lambda g: g - l.exp() * loss.total(g)

    return step


def _largest_64(loss: Loss) -> Loss | None:
    if loss.scores != "logits" or _classes(loss) <= 64:
        return None
    return replace(loss, log_softmax=_normalised_over(lambda z: z >= np.sort(z, axis=-1)[..., -64:][..., :1]))


def _relative_entropy(loss: Loss) -> Loss | None:
    """KL divergence: log y_j is subtracted from each log-probability."""
    if loss.is_gradient or loss.has_labels or loss.target is None or loss.axis is None or loss.smoothing:
        return None
    targets = rows(loss.target, loss.axis)

    def step(loss: Loss, l: Numbers) -> tuple[Numbers, Pull]:
        y = loss.exact(targets)
        return (l - y.log()).where(targets > 0, l), lambda g: g

    return replace(loss, after=step)


def _renormalised(rule: str) -> Change:
    def change(loss: Loss) -> Loss | None:
        if loss.scores != "probabilities" or loss.rule("renormalise") == rule:
            return None
        return replace(loss, rules={**loss.rules, "renormalise": rule})

    return change


def _slope(slope: Callable[[Loss, Numbers, Numbers], Numbers]) -> Change:
    return lambda loss: replace(loss, slope=slope) if loss.is_gradient else None


def _without_softmax(loss: Loss, g: Numbers, slopes: Numbers) -> Numbers:  # noqa: ARG001 - replaced
    return g


def _derivative_at_zero(number: float) -> Change:
    """max(x, 0) and |x| differentiated apart: at 0 the sigmoid is what max(x, 0) has there, not 1/2."""

    def derivative(loss: Loss, x: Numbers) -> Numbers:
        return sigmoid(loss, x).where(x.value != 0, number)

    return lambda loss: replace(loss, sigmoid=derivative) if loss.is_gradient and loss.scores == "logits" else None


LOGARITHM_FAULTS = (
    Fault("nothing clipped", _guarded(Logarithm()), FROM_PROBABILITIES),
    *(
        Fault(f"clipped at {epsilon}", _guarded(Logarithm(clip=float(epsilon))), WITH_LOGARITHM)
        for epsilon in ("1e-6", "1e-7", "1e-8", "1e-10", "1e-12", "1e-15")
    ),
    Fault("clipped at the dtype's epsilon", _clipped_at_epsilon, WITH_LOGARITHM),
    *(
        Fault(f"{epsilon} inside the logarithm", _guarded(Logarithm(added=float(epsilon))), WITH_LOGARITHM)
        for epsilon in ("1e-6", "1e-7", "1e-8", "1e-10", "1e-12", "1e-20")
    ),
    Fault("clipped at 1e-7, and 1e-7 inside the logarithm", _guarded(Logarithm(clip=1e-7, added=1e-7)), WITH_LOGARITHM),
    Fault("logarithms bounded by -100", _guarded(Logarithm(least=-100.0)), WITH_LOGARITHM),
    Fault("logarithm to base 2", _in_base(2.0), WITH_LOGARITHM),
    Fault("logarithm to base 10", _in_base(10.0), WITH_LOGARITHM),
    Fault("softmax taken twice", _before(softmax), SOFTMAX),
    Fault("sigmoid taken twice", _before(_sigmoid), ("binary_cross_entropy_with_logits", "binary_crossentropy")),
    Fault("logits taken as probabilities", _scores("logits", "probabilities"), LOGITS),
    Fault("logits taken as log-probabilities", _scores("logits", "log-probabilities"), SOFTMAX),
    Fault("probabilities taken as logits", _scores("probabilities", "logits"), FROM_PROBABILITIES),
    Fault("log-probabilities taken as logits", _scores("log-probabilities", "logits"), ("nll_loss",)),
    Fault(
        "probability instead of its logarithm",
        _after(_exponential),
        (*SOFTMAX, "nll_loss", "distribution_cross_entropy"),
    ),
    Fault("sigmoid of each class instead of the softmax", _normalised(_log_sigmoid), SOFTMAX),
    Fault("rows renormalised", _renormalised("yes"), FROM_PROBABILITIES[:3]),
    Fault("rows not renormalised", _renormalised("no"), FROM_PROBABILITIES[:2]),
    Fault("relative entropy instead of cross-entropy", _relative_entropy, CLASSES),
    Fault("1e-4 times the squared log-partition added (z-loss)", _normalised(_with_z_loss), SOFTMAX),
    *(Fault(f"logits soft-capped at {cap:g}", _before(_soft_capped(cap)), LOGITS) for cap in (15.0, 30.0, 50.0)),
    Fault(
        "logits divided by the root of the number of classes",
        _before(_scaled(lambda loss: _classes(loss) ** -0.5)),
        SOFTMAX,
    ),
    *(
        Fault(f"classes after the last whole block of {block} left out", _without_tail(block), SOFTMAX)
        for block in BLOCKS
    ),
    Fault("normaliser over the 64 largest classes", _largest_64, SOFTMAX),
    Fault("target not subtracted from the softmax", _slope(lambda _, g, slopes: slopes - g), SOFTMAX),
    Fault("softmax missing from the gradient", _slope(_without_softmax), SOFTMAX),
    Fault("derivative at logit 0 taken as 0", _derivative_at_zero(0.0), BINARY[1:]),
    Fault("derivative at logit 0 taken as 1", _derivative_at_zero(1.0), BINARY[1:]),
)
