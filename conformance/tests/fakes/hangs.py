"""Never returns."""

from __future__ import annotations

import time


def cross_entropy(logits: object, target: object, **parameters: object) -> None:
    while True:
        time.sleep(1)
