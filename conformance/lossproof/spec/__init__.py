"""The spec as Python values: operations, dialects and cases; each module of this package reads one of them."""

from lossproof.spec.errors import SpecError

__all__ = ["SpecError"]
