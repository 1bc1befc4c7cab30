"""The quick profile: few goldens that catch every known mutant."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from lossproof.paths import SPEC
from lossproof.spec.check import check
from lossproof.spec.models import ProfileFile
from lossproof.spec.yaml import Place, read_document


@cache
def quick_goldens(folder: Path = SPEC) -> frozenset[str]:
    """Ids of the goldens of the quick profile; raises SpecError where its file is missing or broken."""
    document = read_document(folder / "profiles" / "quick.yaml")
    return frozenset(check(ProfileFile, document.data, Place(document)).goldens)
