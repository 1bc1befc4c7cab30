"""What becomes of the terms of rows or elements, and what a cotangent brings to each."""

from __future__ import annotations

import numpy as np

from lossproof.fingerprints.loss import Loss
from lossproof.fingerprints.numbers import Numbers


def reduced(loss: Loss, terms: Numbers, denominator: Numbers) -> Numbers:
    """The terms, their sum, or their mean: over one denominator, or each over its own."""
    match loss.reduction:
        case "none":
            return terms
        case "sum":
            return loss.total(terms)
    if denominator.value.size != 1:
        return loss.total(terms / denominator)
    return average(loss, loss.total(terms), denominator)


def factors(loss: Loss, denominator: Numbers) -> Numbers:
    """The cotangents of the terms (none), the scalar (sum), or the scalar over the denominator (mean)."""
    assert loss.cotangent is not None
    c = loss.exact(loss.cotangent.ravel())
    if loss.reduction != "mean":
        return c
    return average(loss, c, denominator)


def count(loss: Loss, terms: int) -> Numbers:
    """The number of terms: a sum of ones."""
    return loss.total(loss.exact(np.ones(terms)))


def average(loss: Loss, added: Numbers, denominator: Numbers) -> Numbers:
    """A sum over its denominator; over nothing it is what the dialect says."""
    quotient = added / denominator
    return quotient.where(denominator.value != 0) if loss.rule("empty_mean") == "zero" else quotient
