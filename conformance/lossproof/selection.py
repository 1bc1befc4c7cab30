"""Which goldens a run asks."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from lossproof.numerics import DTYPES
from lossproof.spec.golden import Golden, golden_files, load_goldens
from lossproof.spec.profiles import quick_goldens

Profile = Literal["quick", "default", "huge"]


@dataclass(frozen=True)
class Selection:
    """Which goldens are asked: globs over ids of cases (an id also matches as it is), dtypes, a profile or any."""

    cases: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = DTYPES
    profile: Profile | None = "default"

    def takes(self, golden: Golden) -> bool:
        """Whether a golden is asked."""
        if golden.dtype not in self.dtypes:
            return False
        if self.profile and golden.profile != ("huge" if self.profile == "huge" else "default"):
            return False
        if self.profile == "quick" and golden.id not in quick_goldens():
            return False
        return not self.cases or any(fnmatch.fnmatchcase(golden.case, glob) or golden.id == glob for glob in self.cases)


def select(selection: Selection, operations: Iterable[str] | None = None) -> list[Golden]:
    """The selected goldens of the operations named, or of all; golden files are read only as they are asked for."""
    files = golden_files()
    names = files if operations is None else [name for name in files if name in set(operations)]
    wanted = [name for name in names if _may_match(name, selection.cases)]
    return [golden for name in wanted for golden in load_goldens(files[name]) if selection.takes(golden)]


def _may_match(operation: str, globs: Sequence[str]) -> bool:
    """Whether a case of the operation may match, by what stands before the first wildcard."""
    plain = [re.split(r"[*?\[]", glob)[0] for glob in globs]
    return not globs or any(
        operation == each.split("/")[0] if "/" in each else operation.startswith(each) for each in plain
    )
