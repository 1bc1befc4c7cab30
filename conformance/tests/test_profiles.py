"""Profiles: which goldens each selects."""

from __future__ import annotations

from pathlib import Path

import pytest

from lossproof.cli.choose import NothingChosenError, choose_goldens
from lossproof.paths import SPEC
from lossproof.selection import Selection, select
from lossproof.spec.errors import SpecError
from lossproof.spec.profiles import quick_goldens

CASE = "cross_entropy/ignore-index/all-ignored-mean"
HUGE = "cross_entropy/huge/rows-of-32768"
needs_quick = pytest.mark.skipif(
    not (SPEC / "profiles" / "quick.yaml").is_file(), reason="`lossproof strength --write` has not been run"
)


def test_the_default_profile_is_everything_but_what_is_huge() -> None:
    every = select(Selection(profile=None))

    assert [golden.id for golden in every if golden.copies == 1] == [golden.id for golden in select(Selection())]


def test_the_huge_profile_is_what_is_huge_alone() -> None:
    every = select(Selection(profile=None))
    huge = [golden.id for golden in select(Selection(profile="huge"))]

    assert [golden.id for golden in every if golden.copies > 1] == huge
    assert [] != huge


def test_what_is_huge_is_selected_by_its_id_in_its_profile_alone() -> None:
    found = [{golden.case for golden in select(Selection((HUGE,), profile=name))} for name in ("default", "huge", None)]

    assert [set(), {HUGE}, {HUGE}] == found


@needs_quick
def test_the_quick_profile_is_what_its_file_lists() -> None:
    assert sorted(quick_goldens()) == sorted(golden.id for golden in select(Selection(profile="quick")))


@needs_quick
def test_the_quick_profile_keeps_to_the_cases_and_dtypes_asked_for() -> None:
    selection = Selection(("cross_entropy/*",), ("float32",), "quick")

    found = {(golden.operation, golden.dtype, golden.id in quick_goldens()) for golden in select(selection)}

    assert {("cross_entropy", "float32", True)} == found


def profile(folder: Path, text: str) -> Path:
    (folder / "profiles").mkdir()
    (folder / "profiles" / "quick.yaml").write_text(text, encoding="utf-8")
    return folder


def test_the_quick_profile_is_read(tmp_path: Path) -> None:
    folder = profile(tmp_path, f"goldens:\n  - {CASE}[float32-value]\n  - {CASE}[float32-gradient]\n")

    assert {f"{CASE}[float32-value]", f"{CASE}[float32-gradient]"} == quick_goldens(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("goldens: []\n", "quick.yaml:1 $.goldens: expected at least 1 items, got []"),
        ("cases: [a]\n", "quick.yaml:1 $: expected the key goldens, got none"),
        ("goldens:\n  - 1\n", "quick.yaml:2 $.goldens[0]: expected a string, got 1"),
    ],
)
def test_a_broken_profile_is_an_error_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    folder = profile(tmp_path, text)

    with pytest.raises(SpecError) as error:
        quick_goldens(folder)

    assert message == str(error.value)


def test_a_missing_profile_is_an_error_by_name(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"quick\.yaml:1 \$: expected a readable UTF-8 file"):
        quick_goldens(tmp_path)


def test_a_case_outside_the_profile_is_told_so() -> None:
    with pytest.raises(NothingChosenError) as error:
        choose_goldens(Selection((CASE,), ("float32",), "huge"))

    assert f"no golden matches {CASE} in float32 in the profile huge" == str(error.value)
