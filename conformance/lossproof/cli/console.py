"""The terminal: plain and 80 columns wide where stdout is none; progress on stderr, only on a terminal."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

_WIDTH = 80


def stdout() -> Console:
    """A console for results."""
    terminal = sys.stdout.isatty()
    return Console(width=None if terminal else _WIDTH, no_color=None if terminal else True)


def progress() -> Progress:
    """A progress bar that vanishes when it is done."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
