"""The classes of each row in another order, put back at the end; weights made to add up to 1 before the mean."""

from __future__ import annotations

import numpy as np
from masks_and_reductions import Array, Formulas, OnRows, losses, pairwise_sum


def log_softmax(rows: Array) -> Array:
    order = np.random.default_rng(7).permutation(rows.shape[-1])
    permuted = rows[..., order]
    shifted = permuted - permuted.max(-1, keepdims=True, initial=-np.inf)
    permuted = shifted - np.log(pairwise_sum(np.exp(shifted)))[..., None]
    return np.asarray(permuted[..., np.argsort(order)])


def with_shares_of_one(terms: Array, weights: Array, total: OnRows) -> Array:
    """sum (1 / W) term, W the sum of the weights."""
    return np.asarray(total(terms * (1 / total(weights))) if terms.size else total(terms) / total(weights))


globals().update(losses(Formulas(mean=with_shares_of_one, log_softmax=log_softmax)))
