"""Errors that end a command with exit code 2 and one clear line."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click


@contextmanager
def usage_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Show exceptions of these kinds as one line on stderr and leave with exit code 2."""
    try:
        yield
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has enough: what is left is flushed to nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except kinds as why:
        click.echo(f"lossproof: {why}", err=True)
        sys.exit(2)
