"""Calls sys.exit, as a script would."""

from __future__ import annotations

import sys


def cross_entropy(logits: object, target: object, **parameters: object) -> None:
    sys.exit("this fake exits")
