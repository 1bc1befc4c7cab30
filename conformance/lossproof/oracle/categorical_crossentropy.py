"""categorical_crossentropy: Keras's loss of probabilities or logits against probabilities, one value a row."""

from __future__ import annotations

from lossproof.oracle.arithmetic import Quantity, total
from lossproof.oracle.probabilities import Clipped, clip, renormalised
from lossproof.oracle.problem import Problem
from lossproof.oracle.rows import join, log_softmax, refuse_zero_times_infinity, split, times_log_probability


def value(problem: Problem) -> list[Quantity]:
    """-sum_j y_j log q_j of each row, with q clipped and renormalised, or from log-softmax."""
    return [_term(row, y, problem) for row, y in _rows(problem)]


def gradient(problem: Problem) -> list[Quantity]:
    """The derivative for the probabilities (through clip and renormalisation) or for the logits."""
    probs = problem.inputs["probs"]
    slope = _logits_gradient if problem.parameters.get("from_logits") else probability_gradient
    rows = [slope(row, y, c, problem) for (row, y), c in zip(_rows(problem), problem.cotangents(), strict=True)]
    return join(rows, probs.shape, problem.axis("probs"))


def gradient_target(problem: Problem) -> list[Quantity]:
    """-(1 - eps) c log q_j, for the target; eps is the smoothing."""
    keep = kept_share(problem)
    rows = []
    for (row, y), c in zip(_rows(problem), problem.cotangents(), strict=True):
        logs = log_probabilities(row, problem)
        for y_j, l in zip(y, logs, strict=True):
            refuse_zero_times_infinity(y_j, l, problem)
        slopes = [-(c * l) for l in logs]
        rows.append(slopes if keep is None else [keep * slope for slope in slopes])
    return join(rows, problem.inputs["target"].shape, problem.axis("target"))


def log_probabilities(row: list[float], problem: Problem) -> list[Quantity]:
    """log q_j of a row of probabilities, or the log-softmax of a row of logits."""
    if problem.parameters.get("from_logits"):
        return log_softmax(row, problem.arithmetic)
    q, _ = renormalised([problem.arithmetic.exact(p) for p in row], problem)
    return [after.probability.log() for after in clip(q, problem)]


def probability_gradient(row: list[float], y: list[Quantity], c: Quantity, problem: Problem) -> list[Quantity]:
    """c u_j, u_j = -y_j / q_j where the clip lets it through; c (u_j - sum_k u_k q_k) / sum p after renormalisation."""
    arithmetic = problem.arithmetic
    q, mass = renormalised([arithmetic.exact(p) for p in row], problem)
    u = [_slope(after, y_j, problem) for after, y_j in zip(clip(q, problem), y, strict=True)]
    if mass is None:
        return [c * u_j for u_j in u]
    mean_slope = total([u_k * q_k for u_k, q_k in zip(u, q, strict=True)], arithmetic)
    return [c * ((u_j - mean_slope) / mass) for u_j in u]


def _slope(after: Clipped, y: Quantity, problem: Problem) -> Quantity:
    return -(y / after.probability) if after.passed else problem.arithmetic.exact(0.0)


def _logits_gradient(row: list[float], y: list[Quantity], c: Quantity, problem: Problem) -> list[Quantity]:
    """c (W exp(l_j) - y_j), W = sum_j y_j."""
    mass = total(y, problem.arithmetic)
    return [c * (mass * l.exp() - y_j) for l, y_j in zip(log_softmax(row, problem.arithmetic), y, strict=True)]


def _term(row: list[float], y: list[Quantity], problem: Problem) -> Quantity:
    terms = [times_log_probability(y_j, l, problem) for y_j, l in zip(y, log_probabilities(row, problem), strict=True)]
    return -total(terms, problem.arithmetic)


def _rows(problem: Problem) -> list[tuple[list[float], list[Quantity]]]:
    axis = problem.axis("probs")
    targets = [smoothed(row, len(row), problem) for row in split(problem.inputs["target"], axis)]
    return list(zip(split(problem.inputs["probs"], axis), targets, strict=True))


def kept_share(problem: Problem) -> Quantity | None:
    """1 - eps, or None where nothing is smoothed."""
    arithmetic, smoothing = problem.arithmetic, problem.number("label_smoothing", 0.0)
    one, epsilon = arithmetic.constant(1).value, arithmetic.constant(smoothing).value
    return None if smoothing == 0 else arithmetic.constant(one - epsilon)


def smoothed(row: list[float], parts: int, problem: Problem) -> list[Quantity]:
    """(1 - eps) y + eps / parts; exact targets where nothing is smoothed."""
    arithmetic = problem.arithmetic
    y = [arithmetic.exact(element) for element in row]
    keep = kept_share(problem)
    if keep is None:
        return y
    added = arithmetic.constant(arithmetic.constant(problem.number("label_smoothing", 0.0)).value / parts)
    return [keep * y_j + added for y_j in y]
