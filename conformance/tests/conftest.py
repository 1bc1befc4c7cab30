"""Hypothesis draws the same inputs in every run; tests of the worker write adapters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")


@pytest.fixture
def adapter(tmp_path: Path) -> Callable[[str], Path]:
    """Writes an adapter."""

    def write(source: str) -> Path:
        path = tmp_path / "my_loss.py"
        path.write_text(source)
        return path

    return write
