"""What a line in a test file declares: an implementation that pytest shall judge."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

GRADES = ("accurate", "stable", "loose")
DTYPES = ("float64", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Declaration:
    """An implementation and how it is judged; what is None or empty is left to the `--lossproof-` options.

    Without an implementation it stands for all that the options name.
    """

    implementation: str | None = None
    operation: str | None = None
    framework: str | None = None
    dialect: str | None = None
    device: str | None = None
    require: str | None = None
    cases: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    timeout: float | None = None


def conformance(
    implementation: str | os.PathLike[str],
    *,
    operation: str | None = None,
    framework: str | None = None,
    dialect: str | None = None,
    device: str | None = None,
    require: str | None = None,
    cases: Iterable[str] = (),
    dtypes: Iterable[str] = (),
    timeout: float | None = None,
) -> Declaration:
    """The goldens as tests of one implementation: `test_mine = lossproof.conformance("mypkg.losses")`.

    `implementation` is a path to an adapter (from the folder of the test file, or the working directory), a module,
    a "module:function" with the `operation` that it is, or the name of a shipped adapter. `require` is the grade below
    which an answer fails; `cases` are globs over case ids; `timeout` is in seconds, for each golden.
    Raises ValueError for a grade or dtype that there is not, and where `cases` or `dtypes` is a single string.
    """
    for name, words, lawful in (("require", (require,), (None, *GRADES)), ("dtypes", dtypes, DTYPES)):
        for word in words:
            if word not in lawful:
                raise ValueError(f"{name}: expected one of {', '.join(filter(None, lawful))}, got {word!r}")
    if isinstance(cases, str):
        raise ValueError(f"cases: expected several globs, got the string {cases!r}")
    return Declaration(
        os.fspath(implementation), operation, framework, dialect, device, require, tuple(cases), tuple(dtypes), timeout
    )
