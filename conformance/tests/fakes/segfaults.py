"""Reads address 0."""

from __future__ import annotations

import ctypes


def cross_entropy(logits: object, target: object, **parameters: object) -> None:
    ctypes.string_at(0)
