"""Prints to stdout, by print and below Python."""

from __future__ import annotations

import os


def cross_entropy(logits: object, target: object, **parameters: object) -> float:
    print("printed", flush=True)
    os.write(1, b"written\n")
    return 0.5
