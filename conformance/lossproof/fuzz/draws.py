"""Draws that cost Hypothesis one choice each, however many elements they are for."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

from hypothesis import strategies as st

_Option = TypeVar("_Option")

_LENGTH = 40
_BYTES = st.binary(min_size=_LENGTH, max_size=_LENGTH)


def pick(draw: st.DrawFn, options: Sequence[_Option]) -> _Option:
    """One of the options; shrinking goes to the first."""
    return options[draw(_indices(len(options)))]


def picks(draw: st.DrawFn, options: Sequence[_Option], size: int) -> list[_Option]:
    """`size` of at most 256 options; shrinking takes each to the first."""
    # Elements drawn one by one would take ten times as long as the oracle takes to judge them. Always as many bytes,
    # so that those of the first elements stay what they are where shrinking makes a tensor smaller.
    drawn = itertools.islice(itertools.cycle(draw(_BYTES)), size)
    return [options[byte % len(options)] for byte in drawn]


@lru_cache
def _indices(count: int) -> st.SearchStrategy[int]:
    return st.integers(0, count - 1)
