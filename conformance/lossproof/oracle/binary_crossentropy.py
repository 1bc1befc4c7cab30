"""binary_crossentropy: Keras's binary loss of probabilities or logits, the mean over an axis."""

from __future__ import annotations

from lossproof.oracle.arithmetic import Quantity, mean
from lossproof.oracle.binary_cross_entropy_with_logits import logit_term, sigmoid
from lossproof.oracle.categorical_crossentropy import smoothed
from lossproof.oracle.probabilities import clipped, refuse_clip_at_one
from lossproof.oracle.problem import Problem
from lossproof.oracle.rows import join, ones, split


def value(problem: Problem) -> list[Quantity]:
    """The mean along the axis of -(y log q + (1 - y) log(1 - q)), or of (1 - y) x + s(-x) for logits."""
    arithmetic = problem.arithmetic
    term = _logit_term if problem.parameters.get("from_logits") else _probability_term
    return [
        mean([term(x, y, problem) for x, y in zip(row, targets, strict=True)], ones(len(row), arithmetic), arithmetic)
        for row, targets in _rows(problem)
    ]


def gradient(problem: Problem) -> list[Quantity]:
    """c / K times ((1 - y) / (1 - q) - y / q) where the clip lets it through, or times sigma(x) - y for logits."""
    arithmetic = problem.arithmetic
    slope = _logit_slope if problem.parameters.get("from_logits") else _probability_slope
    rows = []
    for (row, targets), cotangent in zip(_rows(problem), problem.cotangents(), strict=True):
        c = cotangent / arithmetic.exact(float(len(row)))
        rows.append([c * slope(x, y, problem) for x, y in zip(row, targets, strict=True)])
    return join(rows, problem.inputs["probs"].shape, _axis(problem))


def _rows(problem: Problem) -> list[tuple[list[Quantity], list[Quantity]]]:
    arithmetic, axis = problem.arithmetic, _axis(problem)
    predictions = [[arithmetic.exact(x) for x in row] for row in split(problem.inputs["probs"], axis)]
    targets = [smoothed(row, 0.5, problem) for row in split(problem.inputs["target"], axis)]
    return list(zip(predictions, targets, strict=True))


def _probability_term(p: Quantity, y: Quantity, problem: Problem) -> Quantity:
    one = problem.arithmetic.exact(1.0)
    refuse_clip_at_one(p, problem)
    q = clipped(p, problem).probability
    return -(_times_log(y, q) + _times_log(one - y, one - q))


def _times_log(factor: Quantity, a: Quantity) -> Quantity:
    """factor log a, with 0 log 0 = 0, which only a dialect without a clip meets."""
    return factor if factor.is_zero() and a.is_zero() else factor * a.log()


def _logit_term(x: Quantity, y: Quantity, problem: Problem) -> Quantity:  # noqa: ARG001 - the shape of a term
    return logit_term(x, y)


def _probability_slope(p: Quantity, y: Quantity, problem: Problem) -> Quantity:
    one = problem.arithmetic.exact(1.0)
    refuse_clip_at_one(p, problem)
    after = clipped(p, problem)
    if not after.passed:
        return problem.arithmetic.exact(0.0)
    return (one - y) / (one - after.probability) - y / after.probability


def _logit_slope(x: Quantity, y: Quantity, problem: Problem) -> Quantity:  # noqa: ARG001 - the shape of a slope
    return sigmoid(x) - y


def _axis(problem: Problem) -> int:
    return int(problem.number("axis", -1)) % problem.inputs["probs"].ndim
