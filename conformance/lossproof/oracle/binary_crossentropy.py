"""binary_crossentropy: Keras's binary loss of probabilities or logits, the mean over an axis."""

from __future__ import annotations

from lossproof.oracle.arithmetic import Quantity
from lossproof.oracle.binary_cross_entropy_with_logits import logit_slope, logit_term, target_slope
from lossproof.oracle.categorical_crossentropy import kept_share, smoothed
from lossproof.oracle.probabilities import Clipped, clip_binary
from lossproof.oracle.problem import Problem
from lossproof.oracle.rows import average, join, ones, split


def value(problem: Problem) -> list[Quantity]:
    """The mean along the axis of -(y log q + (1 - y) log(1 - q)), or of (1 - y) x + s(-x) for logits."""
    terms = _logit_terms if problem.parameters.get("from_logits") else _probability_terms
    return [
        average(terms(row, targets, problem), ones(len(row), problem.arithmetic), problem)
        for row, targets in _rows(problem)
    ]


def gradient(problem: Problem) -> list[Quantity]:
    """c / K times ((1 - y) / (1 - q) - y / q) where the clip lets it through, or times sigma(x) - y for logits."""
    arithmetic = problem.arithmetic
    slopes = _logit_slopes if problem.parameters.get("from_logits") else _probability_slopes
    rows = []
    for (row, targets), cotangent in zip(_rows(problem), problem.cotangents(), strict=True):
        c = cotangent / arithmetic.exact(float(len(row)))
        rows.append([c * slope for slope in slopes(row, targets, problem)])
    return join(rows, problem.inputs["probs"].shape, problem.axis("probs"))


def gradient_target(problem: Problem) -> list[Quantity]:
    """(1 - eps) c / K times (log(1 - q) - log q), or times s(-x) - s(x) for logits; eps is the smoothing."""
    arithmetic, keep = problem.arithmetic, kept_share(problem)
    slopes = _logit_target_slopes if problem.parameters.get("from_logits") else _probability_target_slopes
    rows = []
    for (row, _), cotangent in zip(_rows(problem), problem.cotangents(), strict=True):
        c = cotangent / arithmetic.exact(float(len(row)))
        scaled = [c * slope for slope in slopes(row, problem)]
        rows.append(scaled if keep is None else [keep * slope for slope in scaled])
    return join(rows, problem.inputs["target"].shape, problem.axis("target"))


def _rows(problem: Problem) -> list[tuple[list[Quantity], list[Quantity]]]:
    arithmetic, axis = problem.arithmetic, problem.axis("probs")
    predictions = [[arithmetic.exact(x) for x in row] for row in split(problem.inputs["probs"], axis)]
    targets = [smoothed(row, 2, problem) for row in split(problem.inputs["target"], axis)]
    return list(zip(predictions, targets, strict=True))


def _probability_terms(p: list[Quantity], y: list[Quantity], problem: Problem) -> list[Quantity]:
    one = problem.arithmetic.exact(1.0)
    return [
        -(_times_log(y_j, q_j) + _times_log(one - y_j, one - q_j))
        for y_j, q_j in zip(y, (clip_binary(p_j, problem).probability for p_j in p), strict=True)
    ]


def _times_log(factor: Quantity, a: Quantity) -> Quantity:
    """factor log a, with 0 log 0 = 0, which only a dialect without a clip meets."""
    return factor if factor.is_zero() and a.is_zero() else factor * a.log()


def _logit_terms(x: list[Quantity], y: list[Quantity], problem: Problem) -> list[Quantity]:  # noqa: ARG001 - as above
    return [logit_term(x_j, y_j) for x_j, y_j in zip(x, y, strict=True)]


def _probability_slopes(p: list[Quantity], y: list[Quantity], problem: Problem) -> list[Quantity]:
    return [_slope(clip_binary(p_j, problem), y_j, problem) for p_j, y_j in zip(p, y, strict=True)]


def _slope(after: Clipped, y: Quantity, problem: Problem) -> Quantity:
    one, q = problem.arithmetic.exact(1.0), after.probability
    return (one - y) / (one - q) - y / q if after.passed else problem.arithmetic.exact(0.0)


def _logit_slopes(x: list[Quantity], y: list[Quantity], problem: Problem) -> list[Quantity]:  # noqa: ARG001 - as above
    return [logit_slope(x_j, y_j) for x_j, y_j in zip(x, y, strict=True)]


def _probability_target_slopes(p: list[Quantity], problem: Problem) -> list[Quantity]:
    one = problem.arithmetic.exact(1.0)
    return [(one - q).log() - q.log() for q in (clip_binary(p_j, problem).probability for p_j in p)]


def _logit_target_slopes(x: list[Quantity], problem: Problem) -> list[Quantity]:  # noqa: ARG001 - as above
    return [target_slope(x_j) for x_j in x]
