"""scikit-learn's metrics.log_loss, a metric of certain labels: rows of an indicator matrix, or two classes as 0 and 1.

`distribution_cross_entropy` where every entry of p is 0 or 1, `binary_cross_entropy` of a vector where every target is;
the mean or the sum of them, weighted where that is a sum (its weighted mean divides by the weights). Labels of several
classes as indices have no operation here that starts from probabilities and reduces.
"""

from typing import Any

from numpy.typing import NDArray
from sklearn.metrics import log_loss

framework = "numpy"
dialect = "sklearn"
package = "scikit-learn"

Array = NDArray[Any]

NORMALIZE = {"mean": True, "sum": False}


def distribution_cross_entropy(p: Array, q: Array, *, reduction: str = "mean") -> float:
    """Log loss of predicted rows (N, C) for the labels that an indicator matrix p (N, C) marks."""
    if p.ndim != 2:
        raise NotImplementedError("log_loss takes an indicator matrix")
    check_labels(p)
    check_dtype(q)
    return float(log_loss(p, q, normalize=normalize(reduction)))


def binary_cross_entropy(probs: Array, target: Array, *, weight: Array | None = None, reduction: str = "mean") -> float:
    """Log loss of probabilities (N) of the second of two classes, for the labels 0 and 1."""
    if probs.ndim != 1:
        raise NotImplementedError("log_loss takes a vector of probabilities of the second class")
    if weight is not None and reduction == "mean":
        raise NotImplementedError("log_loss divides by the sum of sample_weight")
    check_labels(target)
    check_dtype(probs)
    return float(log_loss(target, probs, normalize=normalize(reduction), sample_weight=weight, labels=[0, 1]))


def check_labels(labels: Array) -> None:
    """NotImplementedError for what is no label but a share of one."""
    if not ((labels == 0) | (labels == 1)).all():
        raise NotImplementedError("log_loss takes certain labels")


def check_dtype(probabilities: Array) -> None:
    """NotImplementedError for bfloat16."""
    if probabilities.dtype.name == "bfloat16":
        raise NotImplementedError("scikit-learn has no bfloat16")


def normalize(reduction: str) -> bool:
    """log_loss's name for a reduction. NotImplementedError for what it has none for."""
    if reduction not in NORMALIZE:
        raise NotImplementedError(f"log_loss has no reduction {reduction!r}")
    return NORMALIZE[reduction]
