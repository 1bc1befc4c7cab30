"""Forgets its return statement."""

from __future__ import annotations


def cross_entropy(logits: object, target: object, **parameters: object) -> None: ...
