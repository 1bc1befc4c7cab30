"""Starts a child that outlives the call, and ends its process."""

from __future__ import annotations

import os
import subprocess


def cross_entropy(logits: object, target: object, **parameters: object) -> None:
    subprocess.Popen(["sleep", "987"])
    os._exit(4)
