"""Fingerprints name the fault that made an answer, and name nothing where none of them did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from made_goldens import SPEC, held, home_rules
from made_goldens import golden as made

from lossproof.expected import decode
from lossproof.fingerprints import name_fault
from lossproof.fingerprints.faults import FAULTS
from lossproof.fingerprints.formula import evaluate
from lossproof.fingerprints.loss import OPERATIONS, read
from lossproof.fingerprints.naming import matching_faults
from lossproof.judge import distance, stored_answer
from lossproof.numerics import overflow_threshold
from lossproof.spec.golden import Golden, array, golden_files, load_goldens

pytestmark = pytest.mark.numbers

Array = npt.NDArray[Any]
PREDICTIONS = ("logits", "log_probs", "probs", "q", "input")


@dataclass(frozen=True)
class Given:
    """A golden's numbers: prediction x, target t, weight w, pos_weight v, cotangent g, smoothing eps."""

    x: Array
    t: Array
    w: Array
    v: Array
    g: Array
    eps: float

    @property
    def p(self) -> Array:
        return softmax(self.x)

    @property
    def y(self) -> Array:
        return np.eye(self.x.shape[-1])[self.t]

    @property
    def nll(self) -> Array:
        return picked(-np.log(self.p), self.t)


def softmax(x: Array, axis: int = -1) -> Array:
    powers = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis, keepdims=True))


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def picked(rows: Array, labels: Array) -> Array:
    return np.asarray(rows[np.arange(len(labels)), labels])


def binary(p: Array, y: Array, v: Array | float = 1.0) -> Array:
    return np.asarray(-(v * y * np.log(p) + (1 - y) * np.log(1 - p)))


def column(values: Array) -> Array:
    return np.asarray(values[:, None])


@cache
def goldens(operation: str) -> Mapping[str, Golden]:
    return {golden.id: golden for golden in load_goldens(golden_files()[operation])}


def golden(identifier: str) -> Golden:
    return goldens(identifier.split("/", maxsplit=1)[0])[identifier]


def numbers(stored: Any) -> Array:
    values = array(stored)
    return values if values.dtype.kind in "iu" else values.astype(np.float64)


def stored_tensor(values: npt.ArrayLike, dtype: str) -> dict[str, Any]:
    """A tensor as a golden file has it."""
    tensor = np.asarray(values)
    return {"dtype": dtype, "shape": list(tensor.shape), "values": tensor.ravel().tolist()}


def given(golden: Golden) -> Given:
    tensors = {
        name: numbers(stored)
        for name, stored in (*golden.inputs.items(), *golden.parameters.items())
        if isinstance(stored, dict)
    }
    none = np.array(1.0)
    return Given(
        next(tensors[name] for name in PREDICTIONS if name in tensors),
        tensors.get("target", tensors.get("p", none)),
        tensors.get("weight", none),
        tensors.get("pos_weight", none),
        none if golden.cotangent is None else numbers(golden.cotangent),
        float(golden.parameters.get("label_smoothing", 0.0)),
    )


# --- each fault, written by hand ---

SMOOTH = "cross_entropy/label-smoothing/tenth-none[float32-value]"
NONE = "cross_entropy/reductions/plain-none[float32-value]"
NONE_GRADIENT = "cross_entropy/reductions/plain-none[float32-gradient]"
MEAN = "cross_entropy/reductions/plain-mean[float32-value]"
MEAN_GRADIENT = "cross_entropy/reductions/plain-mean[float32-gradient]"
GAP = "cross_entropy/gaps/gap-104[float32-value]"
GAP_16 = "cross_entropy/gaps/gap-16[float32-value]"
BCE = "binary_cross_entropy/values/plain-none[float32-value]"
LOGITS = "binary_cross_entropy_with_logits/values/plain-none[float32-value]"
POS_WEIGHT = "binary_cross_entropy_with_logits/weights/pos-weight-none[float32-value]"
LOW, HIGH = float(np.float32(1e-7)), float(np.float32(1 - 1e-7))
LONG = "log_softmax/classes/count-1000[float32-value]"


def smoothed(c: Given, y: Array) -> Array:
    return np.asarray(-(y * np.log(c.p)).sum(-1))


def kept_mean(c: Given, terms: Array, kept: Array, denominator: float) -> Array:
    return np.asarray(terms[kept].sum() / denominator)


def clipped(epsilon: float) -> Callable[[Given], Array]:
    low, high = np.float32(epsilon), np.float32(1 - epsilon)
    return lambda c: -np.log(np.clip(picked(c.p, c.t), float(low), float(high)))


def added(epsilon: float) -> Callable[[Given], Array]:
    return lambda c: -np.log(picked(c.p, c.t) + epsilon)


def capped(cap: float) -> Callable[[Given], Array]:
    return lambda c: picked(-np.log(softmax(cap * np.tanh(c.x / cap))), c.t)


def without_tail(block: int) -> Callable[[Given], Array]:
    def answer(c: Given) -> Array:
        whole = c.x.shape[-1] // block * block
        return np.asarray(c.x - np.log(np.exp(c.x[:, :whole]).sum(-1, keepdims=True)))

    return answer


def log_softmax_of(move: Callable[[Array], Array]) -> Callable[[Given], Array]:
    return lambda c: np.log(softmax(move(c.x)))


def words(mask: int) -> Callable[[Array], Array]:
    return lambda x: (x.astype(np.float32).view(np.uint32) & np.uint32(mask)).view(np.float32).astype(np.float64)


def in_steps_of(dtype: Any) -> Callable[[Given], Array]:
    def answer(c: Given) -> Array:
        x = c.x.astype(dtype)
        shifted = x - x.max(-1, keepdims=True)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True).astype(dtype)), np.float64)

    return answer


def in_single(step: Callable[[Array], Array]) -> Callable[[Given], Array]:
    return lambda c: picked(-step(c.x.astype(np.float32)), c.t)


def added_in_order(row: Array) -> Any:
    total = row[0]
    for term in row[1:]:
        total = total + term
    return total


def running(c: Given) -> Array:
    """All steps in bfloat16, of Keras's gradient through log(p / sum p)."""
    p, t, g = (values.astype(ml_dtypes.bfloat16) for values in (c.x, c.t, c.g))
    slopes = []
    for row, target, incoming in zip(p, t, g, strict=True):
        mass = added_in_order(row)
        q = row / mass
        u = np.where(q < LOW, 0, -(incoming * target) / q).astype(q.dtype)
        slopes.append((u - added_in_order(u * q)) / mass)
    return np.array(slopes)


def ignored_gradient(c: Given, labels: list[int], kept: int, *, subtract: bool = True) -> Array:
    rows = c.p - np.eye(4)[labels] * np.array([[1.0], [float(subtract)], [1.0]])
    return np.asarray(rows * c.g / kept)


def mean_of_means(c: Given) -> Array:
    rows = np.moveaxis(c.x, 1, -1)
    samples = []
    for sample, labels in zip(rows, c.t, strict=True):
        losses = [-sample[i][label] for i, label in np.ndenumerate(labels) if label != 255]
        samples.append(np.mean(losses))
    return np.asarray(np.mean(samples))


def binary_with_two_epsilons(c: Given) -> Array:
    q = np.clip(c.x, LOW, HIGH)
    return np.asarray(-(c.t * np.log(q + 1e-7) + (1 - c.t) * np.log(1 - q + 1e-7)).mean(-1))


def rounded_sigmoid(c: Given) -> Array:
    one, x, y = np.float32(1), c.x.astype(np.float32), c.t.astype(np.float32)
    p = np.where(x < 0, np.exp(-np.abs(x)), one) / (one + np.exp(-np.abs(x)))
    return np.asarray(-(y * np.log(p) + (one - y) * np.log(one - p)))


def unshifted_softplus(c: Given) -> Array:
    one, x, y = np.float32(1), c.x.astype(np.float32), c.t.astype(np.float32)
    return np.asarray((one - y) * x + np.log(one + np.exp(-x)))


def unshifted_quotient(c: Given) -> Array:
    powers = np.exp(c.x.astype(np.float32))
    return np.asarray(column(c.g) * (powers / powers.sum(-1, keepdims=True) - c.y))


def one_after_the_other(c: Given) -> Array:
    """All steps in float32, of the gradient of the smoothed loss."""
    keep, share = np.float32(1 - c.eps), np.float32(c.eps / c.x.shape[-1])
    targets = keep * c.y.astype(np.float32) + share
    slopes = []
    for row, target, incoming in zip(c.x.astype(np.float32), targets, c.g.astype(np.float32), strict=True):
        shifted = row - row.max()
        l = shifted - np.log(added_in_order(np.exp(shifted)))
        pulled = -(incoming * target)
        slopes.append(pulled - np.exp(l) * added_in_order(pulled))
    return np.array(slopes)


def tail_of_targets(c: Given) -> Array:
    return picked(-without_tail(1024)(c), c.t)


ANSWERS: list[tuple[str, str, Callable[[Given], npt.ArrayLike]]] = [
    (
        "mean over N instead of the sum of weights",
        "cross_entropy/weights/plain-mean[float32-value]",
        lambda c: (c.w[c.t] * c.nll).sum() / 3,
    ),
    (
        "mean over the kept rows instead of the sum of weights",
        "cross_entropy/ignore-index/with-weight-mean[float32-value]",
        lambda c: -(c.w[1] * np.log(c.p[1, 1]) + c.w[2] * np.log(c.p[2, 2])) / 2,
    ),
    (
        "ignored rows counted in the mean",
        "cross_entropy/ignore-index/default-mean[float32-value]",
        lambda c: (-np.log(c.p[0, 2]) - np.log(c.p[2, 1])) / 3,
    ),
    (
        "mean over the sum of weights instead of N",
        "binary_cross_entropy_with_logits/weights/both[float32-value]",
        lambda c: (c.w * binary(sigmoid(c.x), c.t, c.v)).sum() / c.w.sum(),
    ),
    ("sum instead of mean", MEAN, lambda c: c.nll.sum()),
    ("mean instead of sum", "cross_entropy/reductions/plain-sum[float32-value]", lambda c: c.nll.mean()),
    ("mean over the classes too", MEAN, lambda c: c.nll.sum() / c.x.size),
    ("mean of the means of each sample", "nll_loss/shapes/image[float32-value]", mean_of_means),
    (
        "gradient divided by N though nothing is averaged",
        NONE_GRADIENT,
        lambda c: column(c.g) * (c.p - c.y) / 3,
    ),
    ("gradient divided by N twice", MEAN_GRADIENT, lambda c: c.g * (c.p - c.y) / 9),
    ("incoming gradient ignored", NONE_GRADIENT, lambda c: c.p - c.y),
    ("first element of the incoming gradient for all", NONE_GRADIENT, lambda c: c.g[0] * (c.p - c.y)),
    ("incoming gradient applied twice", NONE_GRADIENT, lambda c: column(c.g * c.g) * (c.p - c.y)),
    ("weights ignored", "cross_entropy/weights/plain-none[float32-value]", lambda c: c.nll),
    (
        "weights only in the denominator",
        "cross_entropy/weights/plain-mean[float32-value]",
        lambda c: c.nll.sum() / c.w[c.t].sum(),
    ),
    (
        "weights applied twice",
        "cross_entropy/weights/plain-none[float32-value]",
        lambda c: c.w[c.t] * c.w[c.t] * c.nll,
    ),
    ("pos_weight ignored", POS_WEIGHT, lambda c: binary(sigmoid(c.x), c.t)),
    ("pos_weight on the negative side", POS_WEIGHT, lambda c: binary(1 - sigmoid(c.x), 1 - c.t, c.v)),
    ("pos_weight on both sides", POS_WEIGHT, lambda c: c.v * binary(sigmoid(c.x), c.t)),
    ("negative side of the target left out", BCE, lambda c: -c.t * np.log(c.x)),
    ("target and 1 - target exchanged", BCE, lambda c: binary(c.x, 1 - c.t)),
    ("sign flipped", NONE, lambda c: -c.nll),
    ("NaN replaced by 0", "cross_entropy/non-finite/nan-logit[float32-value]", lambda c: np.nan_to_num(c.nll)),
    (
        "gradient clipped to [-1, 1]",
        "binary_cross_entropy/values/plain-none[float32-gradient]",
        lambda c: np.clip(c.g * (c.x - c.t) / (c.x * (1 - c.x)), -1, 1),
    ),
    (
        "labels counted from 1",
        "cross_entropy/ignore-index/with-weight-mean[float32-value]",
        lambda c: -(1.0 * np.log(c.p[1, 0]) + 0.5 * np.log(c.p[2, 1])) / 1.5,
    ),
    ("ignored rows not ignored", "cross_entropy/ignore-index/inside-none[float32-value]", lambda c: c.nll),
    (
        "ignored rows taken for class 0",
        "cross_entropy/ignore-index/default-none[float32-value]",
        lambda c: -np.log(picked(c.p, np.maximum(c.t, 0))),
    ),
    ("class 0 ignored as well", MEAN, lambda c: kept_mean(c, c.nll, c.t != 0, 2)),
    (
        "ignored rows get a gradient",
        "cross_entropy/ignore-index/inside-mean[float32-gradient]",
        lambda c: c.g * (c.p - c.y) / (c.t != 1).sum(),
    ),
    (
        "ignored rows get the gradient of class 0",
        "cross_entropy/ignore-index/default-mean[float32-gradient]",
        lambda c: ignored_gradient(c, [2, 0, 1], 2),
    ),
    (
        "ignored rows get the softmax as their gradient",
        "cross_entropy/ignore-index/default-mean[float32-gradient]",
        lambda c: ignored_gradient(c, [2, 0, 1], 2, subtract=False),
    ),
    (
        "ignored rows smoothed and counted",
        "cross_entropy/label-smoothing/with-ignored-none[float32-value]",
        lambda c: smoothed(c, 0.75 * np.array([[0, 0, 1, 0], [0] * 4, [0, 1, 0, 0]]) + 0.0625),
    ),
    ("label smoothing ignored", SMOOTH, lambda c: c.nll),
    (
        "smoothed mass shared among the K - 1 other classes",
        SMOOTH,
        lambda c: smoothed(c, np.where(c.y == 1, 0.9, 0.1 / 3)),
    ),
    ("smoothed mass not taken from the target: y + eps / K", SMOOTH, lambda c: smoothed(c, c.y + 0.025)),
    (
        "target smoothed to 1: (1 - eps / K) y + eps / K",
        SMOOTH,
        lambda c: smoothed(c, np.where(c.y == 1, 1.0, 0.025)),
    ),
    (
        "smoothing subtracts K / (K - 1) eps: (1 - eps K / (K - 1)) y + eps / K",
        SMOOTH,
        lambda c: (1 - 0.1 * 4 / 3) * c.nll - 0.1 * np.log(c.p).mean(-1),
    ),
    ("smoothed mass lost: (1 - eps) y", SMOOTH, lambda c: 0.9 * c.nll),
    (
        "smoothed by eps instead of eps / 2",
        "binary_crossentropy/label-smoothing/probabilities[float32-value]",
        lambda c: binary(c.x, (1 - c.eps) * c.t + c.eps).mean(-1),
    ),
    (
        "smoothing weighed by the target's class",
        "cross_entropy/label-smoothing/with-weight-none[float32-value]",
        lambda c: c.w[c.t] * smoothed(c, 0.9 * c.y + 0.025),
    ),
    (
        "target and prediction exchanged",
        "binary_crossentropy/probabilities/plain[float32-value]",
        lambda c: binary(np.clip(c.t, LOW, HIGH), c.x).mean(-1),
    ),
    (
        "softmax along the last axis",
        "log_softmax/axes/of-three-0[float32-value]",
        lambda c: np.log(softmax(c.x, 2)),
    ),
    (
        "softmax along the first axis",
        "cross_entropy/shapes/sequence-none[float32-value]",
        lambda c: -np.take_along_axis(np.log(softmax(c.x, 0)), c.t[:, None], 1),
    ),
    (
        "softmax along the second axis",
        "log_softmax/axes/of-three-2[float32-value]",
        lambda c: np.log(softmax(c.x, 1)),
    ),
    (
        "rows reshaped instead of transposed",
        "cross_entropy/shapes/sequence-none[float32-value]",
        lambda c: -picked(np.log(softmax(c.x.reshape(-1, 3))), c.t.ravel()),
    ),
    ("clipped at 1e-6", GAP, clipped(1e-6)),
    ("clipped at 1e-7", GAP, clipped(1e-7)),
    ("clipped at 1e-8", GAP, clipped(1e-8)),
    ("clipped at 1e-10", GAP, clipped(1e-10)),
    ("clipped at 1e-12", GAP, clipped(1e-12)),
    ("clipped at 1e-15", GAP, clipped(1e-15)),
    ("clipped at the dtype's epsilon", GAP, clipped(2.0**-23)),
    ("1e-6 inside the logarithm", GAP_16, added(1e-6)),
    ("1e-7 inside the logarithm", GAP_16, added(1e-7)),
    ("1e-8 inside the logarithm", GAP_16, added(1e-8)),
    ("1e-10 inside the logarithm", GAP_16.replace("float32", "float64"), added(1e-10)),
    ("1e-12 inside the logarithm", GAP_16.replace("float32", "float64"), added(1e-12)),
    ("1e-20 inside the logarithm", GAP, added(1e-20)),
    (
        "clipped at 1e-7, and 1e-7 inside the logarithm",
        "binary_crossentropy/probabilities/certain-and-wrong[float32-value]",
        binary_with_two_epsilons,
    ),
    ("logarithms bounded by -100", GAP, lambda c: np.minimum(c.nll, 100.0)),
    (
        "nothing clipped",
        "categorical_crossentropy/probabilities/near-the-clip[float32-value]",
        lambda c: -(np.where(c.t > 0, c.t * np.log(c.x / c.x.sum(-1, keepdims=True)), 0)).sum(-1),
    ),
    ("logarithm to base 2", NONE, lambda c: c.nll / np.log(2)),
    ("logarithm to base 10", NONE, lambda c: c.nll / np.log(10)),
    ("softmax taken twice", NONE, lambda c: -np.log(picked(softmax(c.p), c.t))),
    ("sigmoid taken twice", LOGITS, lambda c: binary(sigmoid(sigmoid(c.x)), c.t)),
    ("logits taken as probabilities", NONE, lambda c: -np.log(picked(c.x, c.t))),
    ("logits taken as log-probabilities", NONE, lambda c: -picked(c.x, c.t)),
    (
        "probabilities taken as logits",
        "sparse_categorical_crossentropy/probabilities/plain[float32-value]",
        lambda c: c.nll,
    ),
    ("log-probabilities taken as logits", "nll_loss/plain/rows-none[float32-value]", lambda c: c.nll),
    (
        "probability instead of its logarithm",
        "nll_loss/plain/rows-none[float32-value]",
        lambda c: -np.exp(picked(c.x, c.t)),
    ),
    ("sigmoid of each class instead of the softmax", NONE, lambda c: -np.log(sigmoid(picked(c.x, c.t)))),
    (
        "rows renormalised",
        "distribution_cross_entropy/values/unnormalised[float32-value]",
        lambda c: -(c.t * np.log(c.x / c.x.sum(-1, keepdims=True))).sum(-1),
    ),
    (
        "rows not renormalised",
        "categorical_crossentropy/probabilities/unnormalised[float32-value]",
        lambda c: -(c.t * np.log(c.x)).sum(-1),
    ),
    (
        "relative entropy instead of cross-entropy",
        "cross_entropy/probabilities/soft-none[float32-value]",
        lambda c: np.where(c.t > 0, c.t * np.log(np.where(c.t > 0, c.t, 1) / c.p), 0).sum(-1),
    ),
    (
        "1e-4 times the squared log-partition added (z-loss)",
        NONE,
        lambda c: c.nll + 1e-4 * np.log(np.exp(c.x).sum(-1)) ** 2,
    ),
    ("logits soft-capped at 15", NONE, capped(15.0)),
    ("logits soft-capped at 30", NONE, capped(30.0)),
    ("logits soft-capped at 50", NONE, capped(50.0)),
    (
        "logits divided by the root of the number of classes",
        NONE,
        lambda c: -np.log(picked(softmax(c.x / 2), c.t)),
    ),
    ("classes after the last whole block of 32 left out", LONG, without_tail(32)),
    ("classes after the last whole block of 64 left out", LONG, without_tail(64)),
    ("classes after the last whole block of 128 left out", LONG, without_tail(128)),
    ("classes after the last whole block of 256 left out", LONG, without_tail(256)),
    ("classes after the last whole block of 512 left out", LONG, without_tail(512)),
    (
        "classes after the last whole block of 1024 left out",
        "cross_entropy/classes/periodic-50257[float32-value]",
        tail_of_targets,
    ),
    (
        "normaliser over the 64 largest classes",
        LONG,
        lambda c: c.x - np.log(np.exp(np.sort(c.x)[:, -64:]).sum(-1, keepdims=True)),
    ),
    ("target not subtracted from the softmax", NONE_GRADIENT, lambda c: column(c.g) * c.p),
    ("softmax missing from the gradient", NONE_GRADIENT, lambda c: -column(c.g) * c.y),
    (
        "probability instead of its logarithm",
        "log_softmax/values/plain[float32-gradient]",
        lambda c: c.p * (c.g - (c.g * c.p).sum(-1, keepdims=True)),
    ),
    (
        "derivative at logit 0 taken as 0",
        "binary_cross_entropy_with_logits/values/zero[float32-gradient]",
        lambda c: c.g * (0 - c.t),
    ),
    (
        "derivative at logit 0 taken as 1",
        "binary_cross_entropy_with_logits/values/zero[float32-gradient]",
        lambda c: c.g * (1 - c.t),
    ),
    (
        "no shift: log sum exp(x) - x",
        "cross_entropy/shift/offset-within-one-row-only[float32-value]",
        in_single(
            lambda x: x - np.log(np.exp(x).sum(-1, keepdims=True)),
        ),
    ),
    (
        "cancellation: maximum and normaliser added before they are subtracted",
        "cross_entropy/shift/offset-1e4[float32-value]",
        in_single(
            lambda x: (
                x - (x.max(-1, keepdims=True) + np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True)))
            )
        ),
    ),
    (
        "shifted by the largest logit of all rows",
        "log_softmax/values/one-row-far-above[float32-value]",
        lambda c: (c.x - c.x.max()) - np.log(np.exp(np.float32(c.x - c.x.max())).sum(-1, keepdims=True)),
    ),
    (
        "logarithm of the rounded softmax",
        "log_softmax/values/gap-104[float32-value]",
        lambda c: np.log(softmax(c.x.astype(np.float32))),
    ),
    (
        "logarithm of the rounded sigmoid",
        "binary_cross_entropy_with_logits/values/gap-16[float32-value]",
        rounded_sigmoid,
    ),
    (
        "no shift: log(1 + exp(x))",
        "binary_cross_entropy_with_logits/values/gap-104[float32-value]",
        unshifted_softplus,
    ),
    (
        "no shift: exp(x) / sum exp(x)",
        "cross_entropy/shift/offset-within-one-row-only[float32-gradient]",
        unshifted_quotient,
    ),
    (
        "terms added one after the other",
        "cross_entropy/classes/smoothed-1000[float32-gradient]",
        one_after_the_other,
    ),
    (
        "eps / (K - 1) given to every class, the target as well",
        SMOOTH,
        lambda c: smoothed(c, 0.9 * c.y + 0.1 / 3),
    ),
    ("running sums kept in the half dtype", "categorical_crossentropy/contract/count-1000[bfloat16-gradient]", running),
    ("input rounded to bfloat16", LONG, log_softmax_of(lambda x: x.astype(ml_dtypes.bfloat16).astype(np.float64))),
    ("input truncated to bfloat16", LONG, log_softmax_of(words(0xFFFF0000))),
    ("input rounded to float16", LONG, log_softmax_of(lambda x: x.astype(np.float16).astype(np.float64))),
    ("input truncated to TF32", LONG, log_softmax_of(words(0xFFFFE000))),
    ("evaluated in float32", "log_softmax/values/plain[float64-value]", in_steps_of(np.float32)),
    ("evaluated in bfloat16", "log_softmax/values/plain[float32-value]", in_steps_of(ml_dtypes.bfloat16)),
    ("evaluated in float16", "log_softmax/values/plain[float32-value]", in_steps_of(np.float16)),
]
# Under JAX's rules a label that is no class gives NaN, so that another answer can be compared.
ANSWERS_OF_JAX: list[tuple[str, str, Callable[[Given], npt.ArrayLike]]] = [
    (
        "negative labels counted from the last class",
        "nll_loss/labels/minus-one-none[float32-value]",
        lambda c: -picked(c.x, c.t),
    ),
    (
        "labels clamped into the classes",
        "nll_loss/labels/one-too-large-none[float32-value]",
        lambda c: -picked(c.x, np.minimum(c.t, 3)),
    ),
    (
        "every negative label ignored",
        "nll_loss/labels/minus-one-none[float32-value]",
        lambda c: np.where(c.t < 0, 0, -picked(c.x, c.t)),
    ),
]
# Under rules that guard logarithms otherwise than torch's.
ANSWERS_OF_GUARDS: list[tuple[str, str, Callable[[Given], npt.ArrayLike], str]] = [
    (
        "1e-8 inside the logarithm",
        "binary_cross_entropy/values/small[float64-value]",
        lambda c: -(c.t * np.log(c.x + 1e-8) + (1 - c.t) * np.log(1 - c.x + 1e-8)),
        "tfjs",
    ),
    (
        "nothing clipped",
        "binary_cross_entropy/values/small[float64-gradient]",
        lambda c: c.g * ((1 - c.t) / (1 - c.x) - c.t / c.x),
        "tfjs",
    ),
    (
        "nothing clipped",
        "binary_cross_entropy/values/beside-the-clamp-float64[float64-gradient]",
        lambda c: c.g * ((1 - c.t) / (1 - c.x) - c.t / c.x),
        "mlx",
    ),
    (
        "clipped at 1e-7",
        "binary_cross_entropy/values/beside-machine-epsilon-float64-sum[float64-value]",
        lambda c: binary(np.clip(c.x, 1e-7, 1 - 1e-7), c.t).sum(),
        "sklearn",
    ),
    (
        "nothing clipped",
        "distribution_cross_entropy/values/beside-machine-epsilon-float32-sum[float32-value]",
        lambda c: -np.log(c.x[c.t == 1]).sum(),
        "sklearn",
    ),
]


ENTRIES = [
    *((*entry, "") for entry in ANSWERS),
    *((*entry, "jax") for entry in ANSWERS_OF_JAX),
    *ANSWERS_OF_GUARDS,
]
every_fault = pytest.mark.parametrize(
    ("fault", "asked", "answer", "dialect"), ENTRIES, ids=[entry[0] for entry in ENTRIES]
)


def rules_of(asked: Golden, dialect: str) -> Mapping[str, str]:
    return SPEC.dialects[dialect].operations[asked.operation] if dialect else home_rules(asked.operation)


def wrong_answer(asked: str, answer: Callable[[Given], npt.ArrayLike]) -> Array:
    with np.errstate(all="ignore"):
        return held(golden(asked).dtype, answer(given(golden(asked)))).ravel()


@cache
def named(asked: str, answer: Callable[[Given], npt.ArrayLike], dialect: str) -> list[str]:
    return matching_faults(golden(asked), wrong_answer(asked, answer), rules_of(golden(asked), dialect))


@every_fault
def test_a_fault_is_named(fault: str, asked: str, answer: Callable[[Given], npt.ArrayLike], dialect: str) -> None:
    assert fault in named(asked, answer, dialect)


@every_fault
def test_a_near_miss_is_not_named(
    fault: str, asked: str, answer: Callable[[Given], npt.ArrayLike], dialect: str
) -> None:
    missed = wrong_answer(asked, answer)
    missed[np.argmax(np.where(np.isfinite(missed), np.abs(missed), 0))] *= 1.25

    assert fault not in matching_faults(golden(asked), missed, rules_of(golden(asked), dialect))


def test_every_fault_is_tested() -> None:
    tested = {entry[0] for entry in ENTRIES} | {"linear_bias ignored"}

    assert tested == {fault.name for fault in FAULTS}


def test_no_two_faults_have_one_name() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 30


def test_faults_are_told_apart() -> None:
    """Of two faults one is named without the other for some wrong answer above."""
    seen = {fault: set(named(asked, answer, dialect)) for fault, asked, answer, dialect in ENTRIES}
    same = {(a, b) for a in seen for b in seen if a < b and b in seen[a] and a in seen[b]}

    assert same == set()


def test_a_missing_bias_is_named() -> None:
    rows, weight, bias = [[1.0, -0.5], [0.25, 2.0]], [[0.5, 1.0], [-1.0, 0.25], [2.0, -0.75]], [0.5, -1.0, 0.25]
    asked = made(
        "float32",
        operation="linear_cross_entropy",
        inputs={
            "input": stored_tensor(rows, "float32"),
            "linear_weight": stored_tensor(weight, "float32"),
            "target": stored_tensor([2, 0], "int64"),
        },
        parameters={"linear_bias": stored_tensor(bias, "float32"), "reduction": "none"},
        shape=(2,),
    )
    logits = np.array(rows) @ np.array(weight).T

    name = name_fault(
        asked, held("float32", -np.log(picked(softmax(logits), np.array([2, 0])))), home_rules("cross_entropy")
    )

    assert name == "linear_bias ignored"


# --- nothing is guessed ---


def small_goldens() -> list[Golden]:
    chosen = [
        asked
        for operation in OPERATIONS
        for asked in goldens(operation).values()
        if asked.question in ("value", "gradient")
        and asked.kind not in ("raises", "hazard")
        and asked.after is None
        and not asked.calls
        and "values" in stored_answer(asked, home_rules(operation))
        and all(np.prod(tensor["shape"]) < 5000 for tensor in asked.inputs.values())
    ]
    return chosen[::17]


def truth(asked: Golden) -> Array:
    return decode(stored_answer(asked, home_rules(asked.operation)), asked.dtype).high


def guessed(move: Callable[[Golden, Array], Array]) -> list[tuple[str, str]]:
    found = []
    for asked in small_goldens():
        answer = held(asked.dtype, move(asked, truth(asked)))
        name = name_fault(asked, answer, home_rules(asked.operation))
        if name:
            found.append((asked.id, name))
    return found


def test_a_right_answer_is_of_no_fault() -> None:
    assert guessed(lambda _, answer: answer) == []


def test_an_answer_within_its_bound_is_of_no_fault() -> None:
    random = np.random.default_rng(1)

    def moved(asked: Golden, answer: Array) -> Array:
        stable = decode(stored_answer(asked, home_rules(asked.operation)), asked.dtype).stable
        beside = answer + np.where(np.isfinite(answer), stable, 0) * random.uniform(-0.9, 0.9, answer.shape)
        # Past the largest number lies infinity, which some faults give too.
        return np.where(np.abs(beside) < overflow_threshold(asked.dtype), beside, answer)

    assert guessed(moved) == []


def test_noise_is_of_no_fault() -> None:
    random = np.random.default_rng(2)

    assert guessed(lambda _, answer: random.standard_normal(answer.shape)) == []


def test_noise_of_the_right_size_is_of_no_fault() -> None:
    random = np.random.default_rng(3)

    assert guessed(lambda _, answer: answer * random.uniform(0.5, 2.0, answer.shape)) == []


def test_a_right_answer_times_some_factor_is_of_no_fault() -> None:
    random = np.random.default_rng(4)

    assert guessed(lambda _, answer: answer * random.uniform(0.1, 10.0)) == []


def test_a_right_answer_but_for_one_element_is_of_no_fault() -> None:
    random = np.random.default_rng(5)

    def spoiled(_: Golden, answer: Array) -> Array:
        answer = answer.copy()
        if answer.size:
            answer[random.integers(answer.size)] += random.uniform(0.1, 3.0)
        return answer

    assert guessed(spoiled) == []


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 0.0])
def test_nothing_but_one_special_value_is_of_no_fault(number: float) -> None:
    assert guessed(lambda _, answer: np.full(answer.shape, number)) == []


def test_a_half_scalar_holds_too_few_digits_to_name_a_fault() -> None:
    asked = "cross_entropy/weights/plain-mean[bfloat16-value]"

    assert named(asked, lambda c: (c.w[c.t] * c.nll).sum() / 3, "") == []


# --- the formulas ---


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_formula_without_a_fault_gives_every_stored_answer(operation: str) -> None:
    wrong = []
    for asked in goldens(operation).values():
        if asked.question not in ("value", "gradient") or asked.calls or asked.after or asked.copies > 1:
            continue
        if asked.kind == "raises" or asked.transform == "vmap":
            continue
        wrong += [
            (asked.id, answer["rules"])
            for answer in asked.answers
            if "values" in answer and not _is_reproduced(asked, answer)
        ]

    assert wrong == []


def _is_reproduced(asked: Golden, answer: Mapping[str, Any]) -> bool:
    with np.errstate(all="ignore"):
        found = np.broadcast_to(evaluate(read(asked, answer["rules"])).value, (int(np.prod(asked.shape)),))
        found = found if asked.positions is None else found[list(asked.positions)]
        lawful = [decode(each, asked.dtype) for each in (answer, *answer.get("also", ()))]
        gaps = [distance(found, expected, asked.dtype) <= expected.stable for expected in lawful]
    return bool(np.logical_or.reduce(gaps).all())
