"""One running sum from the last class to the first, in every sum of the loss."""

from __future__ import annotations

import numpy as np
from masks_and_reductions import Array, Formulas, losses


def running_sum(terms: Array) -> Array:
    """The last partial sum; accumulate adds in order, where np.sum would add pairwise."""
    if terms.shape[-1] == 0:
        return np.zeros(terms.shape[:-1], terms.dtype)
    return np.add.accumulate(terms[..., ::-1], -1)[..., -1]


def log_softmax(rows: Array) -> Array:
    shifted = rows - rows.max(-1, keepdims=True, initial=-np.inf)
    return np.asarray(shifted - np.log(running_sum(np.exp(shifted)))[..., None])


def product(left: Array, right: Array) -> Array:
    """A matrix product that adds one outer product after the other, the last first."""
    total = np.zeros((*left.shape[:-1], right.shape[1]), left.dtype)
    for index in reversed(range(right.shape[0])):
        total = total + left[..., index, None] * right[index]
    return total


def distribution_losses(p: Array, q: Array) -> Array:
    return -running_sum(np.where(p == 0, 0, p * np.log(q)).astype(q.dtype))


def distribution_slopes(p: Array, q: Array) -> Array:
    return np.where(p == 0, 0, -p / q).astype(q.dtype)


globals().update(
    losses(
        Formulas(
            total=running_sum,
            product=product,
            log_softmax=log_softmax,
            distribution_losses=distribution_losses,
            distribution_slopes=distribution_slopes,
        )
    )
)
