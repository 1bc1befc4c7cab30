"""Ends its process with status 3."""

from __future__ import annotations

import os


def cross_entropy(logits: object, target: object, **parameters: object) -> None:
    os._exit(3)
