"""A conformance suite for cross-entropy losses; what is heavy is imported when it is asked for."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lossproof.declaration import conformance as conformance

    __version__: str

__all__ = ["__version__", "conformance"]


def __getattr__(name: str) -> object:
    if name == "conformance":
        return importlib.import_module("lossproof.declaration").conformance
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version("lossproof")
    raise AttributeError(f"module 'lossproof' has no attribute {name!r}")
