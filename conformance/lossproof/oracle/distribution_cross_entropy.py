"""distribution_cross_entropy: the cross-entropy of two distributions by its definition, classes last."""

from __future__ import annotations

from lossproof.oracle.arithmetic import Quantity, scaled_quotient, total
from lossproof.oracle.probabilities import clip_one
from lossproof.oracle.problem import Problem, UndefinedError
from lossproof.oracle.rows import join, reduce, scales, split


def value(problem: Problem) -> list[Quantity]:
    """-sum_j p_j log q_j of each row, q clipped where the dialect does so, 0 log 0 = 0; the mean is over rows."""
    terms = [
        -total([_times_log(p_j, q_j, problem) for p_j, q_j in zip(p, q, strict=True)], problem.arithmetic)
        for p, q in _rows(problem)
    ]
    return reduce(terms, None, problem)


def gradient(problem: Problem) -> list[Quantity]:
    """-c p_j / q_j, for q; 0 where p_j is 0 or the clip acts."""
    rows = _rows(problem)
    factors = scales(len(rows), None, problem)
    gradients = [
        [_slope(p_j, q_j, c, problem) for p_j, q_j in zip(p, q, strict=True)]
        for (p, q), c in zip(rows, factors, strict=True)
    ]
    return join(gradients, problem.inputs["q"].shape, problem.inputs["q"].ndim - 1)


def _slope(p: Quantity, q: Quantity, c: Quantity, problem: Problem) -> Quantity:
    if p.is_zero():
        return p
    return -scaled_quotient(c, p, q) if clip_one(q, problem).passed else problem.arithmetic.exact(0.0)


def gradient_p(problem: Problem) -> list[Quantity]:
    """-c log q_j, for p; left open where p_j and q_j are 0, since 0 log 0 = 0 has no derivative there."""
    rows = _rows(problem)
    gradients = []
    for (p, row), c in zip(rows, scales(len(rows), None, problem), strict=True):
        q = [clip_one(q_j, problem).probability for q_j in row]
        if any(p_j.is_zero() and q_j.is_zero() for p_j, q_j in zip(p, q, strict=True)):
            raise UndefinedError("0 log 0 = 0 has no derivative for its first factor")
        gradients.append([-(c * q_j.log()) for q_j in q])
    return join(gradients, problem.inputs["p"].shape, problem.inputs["p"].ndim - 1)


def _rows(problem: Problem) -> list[tuple[list[Quantity], list[Quantity]]]:
    arithmetic = problem.arithmetic
    p, q = (
        [[arithmetic.exact(element) for element in row] for row in split(problem.inputs[name], -1)]
        for name in ("p", "q")
    )
    return list(zip(p, q, strict=True))


def _times_log(p: Quantity, q: Quantity, problem: Problem) -> Quantity:
    return p if p.is_zero() else p * clip_one(q, problem).probability.log()
