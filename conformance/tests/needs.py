"""Marks of tests that need a framework."""

from __future__ import annotations

from importlib import util

import pytest


def needs(framework: str) -> pytest.MarkDecorator:
    """Skips where the framework is not installed; does not import it, because JAX starts threads."""
    return pytest.mark.skipif(util.find_spec(framework) is None, reason=f"{framework} is not installed")
