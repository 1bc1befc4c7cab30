"""A loss evaluated by its formula, step by step."""

from __future__ import annotations

from lossproof.fingerprints.classes import class_loss
from lossproof.fingerprints.elements import element_loss
from lossproof.fingerprints.loss import Loss
from lossproof.fingerprints.numbers import Numbers

BINARY = ("binary_cross_entropy", "binary_cross_entropy_with_logits", "binary_crossentropy")


def evaluate(loss: Loss) -> Numbers:
    """The answer's elements in C order: of the value, or of the gradient for the prediction."""
    answer = element_loss(loss) if loss.operation in BINARY else class_loss(loss)
    return answer if loss.finish is None else loss.finish(loss, answer)
