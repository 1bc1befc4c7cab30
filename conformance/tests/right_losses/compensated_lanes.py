"""Sums in 16 lanes with Neumaier compensation, as vector units add; quotients by reciprocals."""

from __future__ import annotations

import numpy as np
from masks_and_reductions import Array, Formulas, OnRows, losses

LANES = 16


def neumaier(terms: Array) -> Array:
    """Sum over the last axis: each lane adds its terms in order, what rounding takes is added back."""
    count = -(-terms.shape[-1] // LANES)
    padded = np.zeros((*terms.shape[:-1], count * LANES), terms.dtype)
    padded[..., : terms.shape[-1]] = terms
    steps = padded.reshape(*terms.shape[:-1], count, LANES)
    total = lost = np.zeros((*terms.shape[:-1], LANES), terms.dtype)
    for index in range(steps.shape[-2]):
        total, lost = added(total, lost, steps[..., index, :])
    whole, rest = np.zeros_like(total[..., 0]), np.zeros_like(total[..., 0])
    for lane in range(LANES):
        whole, rest = added(whole, rest + lost[..., lane], total[..., lane])
    return np.where(np.isfinite(whole), whole + rest, whole)


def added(total: Array, lost: Array, term: Array) -> tuple[Array, Array]:
    together = total + term
    larger, smaller = np.where(abs(total) >= abs(term), (total, term), (term, total))
    return together, lost + ((larger - together) + smaller)


def by_reciprocal(terms: Array, weights: Array, total: OnRows) -> Array:
    return np.asarray(total(terms) * (1 / total(weights)))


def log_softmax(rows: Array) -> Array:
    shifted = rows - rows.max(-1, keepdims=True, initial=-np.inf)
    return np.asarray(shifted - np.log(neumaier(np.exp(shifted)))[..., None])


def softmax(rows: Array) -> Array:
    exps = np.exp(rows - rows.max(-1, keepdims=True, initial=-np.inf))
    return np.asarray(exps * (1 / neumaier(exps))[..., None])


def distribution_losses(p: Array, q: Array) -> Array:
    """Over the support of p alone."""
    return neumaier(np.where(p > 0, p * -np.log(np.where(p > 0, q, 1)), 0 * p).astype(q.dtype))


def distribution_slopes(p: Array, q: Array) -> Array:
    return -(p / np.where(p == 0, 1, q)).astype(q.dtype)


globals().update(
    losses(
        Formulas(
            total=neumaier,
            mean=by_reciprocal,
            share=lambda c, weights, total: np.asarray(c * (1 / total(weights))),
            log_softmax=log_softmax,
            softmax=softmax,
            distribution_losses=distribution_losses,
            distribution_slopes=distribution_slopes,
        )
    )
)
