"""Writes more to stderr than any pipe holds."""

from __future__ import annotations

import sys


def cross_entropy(logits: object, target: object, **parameters: object) -> float:
    for _ in range(100):
        print("x" * 65536, file=sys.stderr)
    return 0.5
