"""What the words on a command line choose: implementations and goldens, with near matches where they choose none."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from lossproof.frameworks import read_needs
from lossproof.implementations import shipped
from lossproof.selection import Selection, select
from lossproof.spec.golden import Golden, golden_files


class NothingChosenError(Exception):
    """Nothing matches; the text names near matches."""


def default_implementations() -> list[str]:
    """The shipped adapters that need NumPy alone."""
    needs = {name: read_needs(path) for name, path in shipped().items()}
    return [name for name, need in needs.items() if need.framework == need.package == "numpy"]


def choose_goldens(selection: Selection) -> list[Golden]:
    """The selected goldens; raises NothingChosenError where there are none."""
    goldens = select(selection)
    if not goldens:
        raise NothingChosenError(_nothing_chosen(selection))
    return goldens


def _nothing_chosen(selection: Selection) -> str:
    if not select(Selection(selection.cases, profile=None)):
        return no_case_matches(selection.cases)
    cases = " or ".join(selection.cases) or "any case"
    profile = f" in the profile {selection.profile}" if selection.profile else ""
    return f"no golden matches {cases} in {', '.join(selection.dtypes)}{profile}"


def no_case_matches(globs: Sequence[str]) -> str:
    """Why no golden was chosen, with near ids."""
    known = sorted({golden.case for golden in select(Selection(profile=None))})
    parts = {part for case in known for part in (case, "/".join(case.split("/")[:2]) + "/*", case.split("/")[0] + "/*")}
    near = [match for glob in globs for match in difflib.get_close_matches(glob, parts, n=3, cutoff=0.5)]
    hint = f"; did you mean {' or '.join(near)}?" if near else f"; the operations are {', '.join(golden_files())}"
    return f"no golden matches {' or '.join(globs) or 'these dtypes'}{hint}"
