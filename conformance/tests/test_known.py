"""Known deviations: which records they cover, the shipped ones, and files that cannot be read."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from lossproof.known import Deviation, KnownDeviationError, covering, read_known
from lossproof.numerics import DTYPES
from lossproof.outcome import Outcome
from lossproof.paths import IMPLEMENTATIONS
from lossproof.record import Record, Subject
from lossproof.spec.golden import golden_files, load_goldens

SHIPPED = sorted(IMPLEMENTATIONS.glob("*.known.toml"))


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.known.toml"
    path.write_text(text, encoding="utf-8")
    return path


def entry(**more: str) -> str:
    keys = {"case": '"cross_entropy/shift/*"', "expected": '"wrong"', "reason": '"no shift"', **more}
    return "[[deviation]]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())


def record(golden: str) -> Record:
    return Record(golden, "mine", Outcome.WRONG, "value")


def covers(folder: Path, text: str, golden: str, *, version: str = "1.0", device: str = "cpu") -> bool:
    (deviation,) = read_known(write(folder, text))
    return deviation.covers(record(golden), Subject("mine", version=version, device=device))


def test_no_file_means_no_deviation(tmp_path: Path) -> None:
    assert read_known(tmp_path / "mine.known.toml") == ()


def test_an_entry_is_read_in_full(tmp_path: Path) -> None:
    text = entry(
        versions='">=2.0"', dtype='["float32", "float16"]', question='["value"]', device='"cuda"', link='"https://x"'
    )

    assert read_known(write(tmp_path, text)) == (
        Deviation(
            "mine.known.toml deviation 1",
            ("cross_entropy/shift/*",),
            (Outcome.WRONG,),
            "no shift",
            SpecifierSet(">=2.0"),
            ("float32", "float16"),
            ("value",),
            "cuda",
            "https://x",
        ),
    )


def test_a_case_may_be_a_list_of_globs(tmp_path: Path) -> None:
    text = entry(case='["cross_entropy/gaps/*", "cross_entropy/shift/offset-1e4"]')

    assert covers(tmp_path, text, "cross_entropy/gaps/gap-16[float32-value]")
    assert covers(tmp_path, text, "cross_entropy/shift/offset-1e4[float32-value]")
    assert not covers(tmp_path, text, "cross_entropy/shift/offset-1e6[float32-value]")


def test_without_a_dtype_or_a_question_all_are_covered(tmp_path: Path) -> None:
    assert covers(tmp_path, entry(), "cross_entropy/shift/offset-1e4[bfloat16-gradient]")


def test_dtypes_narrow_an_entry(tmp_path: Path) -> None:
    text = entry(dtype='["float32", "bfloat16"]')

    assert covers(tmp_path, text, "cross_entropy/shift/offset-1e4[bfloat16-value]")
    assert not covers(tmp_path, text, "cross_entropy/shift/offset-1e4[float16-value]")


def test_a_single_dtype_may_be_written_as_text(tmp_path: Path) -> None:
    text = entry(dtype='"float16"')

    assert covers(tmp_path, text, "cross_entropy/shift/offset-1e4[float16-value]")
    assert not covers(tmp_path, text, "cross_entropy/shift/offset-1e4[bfloat16-value]")


def test_questions_narrow_an_entry(tmp_path: Path) -> None:
    text = entry(question='["gradient"]')

    assert covers(tmp_path, text, "cross_entropy/shift/offset-1e4[float32-gradient]")
    assert not covers(tmp_path, text, "cross_entropy/shift/offset-1e4[float32-value]")


def test_a_glob_tells_capitals_apart(tmp_path: Path) -> None:
    assert not covers(tmp_path, entry(case='"CROSS_ENTROPY/*"'), "cross_entropy/shift/offset-1e4[float32-value]")


@pytest.mark.parametrize(
    ("versions", "version", "covered"),
    [
        ("", "anything", True),
        (">=0.2.6", "0.2.8", True),
        (">=0.2.6", "0.2.5", False),
        (">=0.2.6", "0.2.10", True),
        (">=2.4,<2.14", "2.13.0+cpu", True),
        (">=2.4,<2.14", "2.14.0", False),
        (">=2.13", "2.14.0.dev20260901+cpu", True),
        (">=2.13", "not a version", False),
        (">=2.13", "", False),
    ],
)
def test_versions_are_compared_as_in_pep_440(tmp_path: Path, versions: str, version: str, covered: bool) -> None:
    text = entry(versions=f'"{versions}"')

    assert covered == covers(tmp_path, text, "cross_entropy/shift/offset-1e4[float32-value]", version=version)


@pytest.mark.parametrize(("device", "covered"), [("cpu", False), ("cuda", True), ("cuda:1", True)])
def test_a_device_covers_all_of_its_kind(tmp_path: Path, device: str, covered: bool) -> None:
    text = entry(device='"cuda"')

    assert covered == covers(tmp_path, text, "cross_entropy/shift/offset-1e4[float32-value]", device=device)


def test_the_first_entry_that_covers_a_record_is_taken(tmp_path: Path) -> None:
    text = entry(dtype='"float16"') + entry() + entry(case='"*"')
    deviations = read_known(write(tmp_path, text))

    found = covering(record("cross_entropy/shift/offset-1e4[float32-value]"), Subject("mine"), deviations)

    assert found is deviations[1]


def test_no_entry_covers_a_record_of_another_case(tmp_path: Path) -> None:
    deviations = read_known(write(tmp_path, entry()))

    assert covering(record("cross_entropy/gaps/gap-16[float32-value]"), Subject("mine"), deviations) is None


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("[[deviation]\n", "mine.known.toml: expected TOML, got "),
        ("[[deviations]]\n", "mine.known.toml: expected [[deviation]] tables alone, got deviations"),
        ("deviation = 3\n", "mine.known.toml: expected [[deviation]] tables alone, got "),
        ("deviation = [3]\n", "mine.known.toml deviation 1: expected a [[deviation]] table, got 3"),
        (entry() + '[[deviation]]\ncase = "*"\n', "mine.known.toml deviation 2: expected the key expected, got none"),
        (entry(reason='""'), "mine.known.toml deviation 1: expected the key reason, got none"),
        (entry(case="[]"), "mine.known.toml deviation 1: expected the key case, got none"),
        (entry(case="3"), "mine.known.toml deviation 1 case: expected text or a list of texts, got 3"),
        (entry(dtype="[32]"), "mine.known.toml deviation 1 dtype: expected text or a list of texts, got [32]"),
        (entry(reason="3"), "mine.known.toml deviation 1 reason: expected text, got 3"),
        (entry(dtypes='["float32"]'), "mine.known.toml deviation 1: expected one of case, dtype, question, expected, "),
        (entry(expected='"bad"'), "mine.known.toml deviation 1 expected: expected one of accurate, stable, loose, "),
        (
            entry(expected='["wrong", 3]'),
            "mine.known.toml deviation 1 expected: expected text or a list of texts, got ",
        ),
        (entry(versions='"newest"'), "mine.known.toml deviation 1 versions: expected versions as in PEP 440, got "),
    ],
)
def test_a_broken_file_is_named_with_the_entry_and_the_wish(tmp_path: Path, text: str, wish: str) -> None:
    path = write(tmp_path, text)

    with pytest.raises(KnownDeviationError) as caught:
        read_known(path)

    assert str(caught.value).removeprefix(f"{tmp_path}/").startswith(wish)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.known.toml"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(KnownDeviationError, match="expected TOML"):
        read_known(path)


def test_there_are_shipped_files() -> None:
    assert SHIPPED


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_a_shipped_file_stands_beside_its_adapter(path: Path) -> None:
    assert path.with_name(path.name.replace(".known.toml", ".py")).is_file()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_glob_of_a_shipped_file_matches_a_golden(path: Path, goldens: set[tuple[str, str, str]]) -> None:
    unmatched = [
        (deviation.place, glob)
        for deviation in read_known(path)
        for glob in deviation.cases
        if not any(
            fnmatch.fnmatchcase(case, glob)
            and dtype in (deviation.dtypes or DTYPES)
            and question in (deviation.questions or (question,))
            for case, dtype, question in goldens
        )
    ]

    assert unmatched == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_no_shipped_deviation_expects_what_would_pass(path: Path) -> None:
    passing = {Outcome.ACCURATE, Outcome.STABLE, Outcome.UNSUPPORTED, Outcome.UNJUDGED}

    assert [deviation.place for deviation in read_known(path) if {*deviation.expected} & passing] == []


@pytest.fixture(scope="module")
def goldens() -> set[tuple[str, str, str]]:
    return {
        (golden.case, golden.dtype, golden.question)
        for file in golden_files().values()
        for golden in load_goldens(file)
    }
