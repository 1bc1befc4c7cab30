"""The gate: which records are findings, what is known, and the exit code that follows."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from lossproof.gate import Exit, Finding, Verdict, decide, exit_code
from lossproof.known import KnownDeviationError
from lossproof.outcome import Outcome
from lossproof.record import Record, Run, Subject

GOLDEN = "cross_entropy/shift/offset-1e4[float32-value]"


def record(outcome: Outcome, *, golden: str = GOLDEN, kind: str = "value", of: str = "mine") -> Record:
    return Record(golden, of, outcome, kind)


def verdict(*records: Record, known: str = "", required: Outcome = Outcome.STABLE) -> Verdict:
    (decided,) = decide(Run({}, (Subject("mine", known=known),), records), required)
    return decided


def codes(*subjects: Subject, records: tuple[Record, ...] = (), interrupted: bool = False) -> Exit:
    run = Run({}, subjects, records)
    return exit_code(run, decide(run, Outcome.STABLE), interrupted=interrupted)


@pytest.fixture
def known_wrong(tmp_path: Path) -> str:
    path = tmp_path / "mine.known.toml"
    path.write_text(
        '[[deviation]]\ncase = "cross_entropy/shift/*"\nexpected = "wrong"\nreason = "no shift"\n', encoding="utf-8"
    )
    return str(path)


def test_a_known_deviation_that_varies_may_not_happen_but_gives_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "mine.known.toml"
    path.write_text(
        '[[deviation]]\ncase = "cross_entropy/shift/*"\nexpected = "loose"\nreason = "few lanes"\n'
        'varies = "The width of vectors."\n',
        encoding="utf-8",
    )

    assert [] == [*verdict(record(Outcome.ACCURATE), known=str(path)).findings]
    assert [] == [*verdict(record(Outcome.LOOSE), known=str(path)).findings]
    assert [Outcome.WRONG] == [each.record.outcome for each in verdict(record(Outcome.WRONG), known=str(path)).findings]


@pytest.mark.parametrize("outcome", [Outcome.LOOSE, Outcome.WRONG, Outcome.RAISED, Outcome.CRASHED, Outcome.TIMED_OUT])
def test_below_the_required_grade_or_without_an_answer_is_a_finding(outcome: Outcome) -> None:
    failed = record(outcome)

    assert verdict(failed).findings == (Finding(failed),)


@pytest.mark.parametrize("outcome", [Outcome.ACCURATE, Outcome.STABLE, Outcome.UNSUPPORTED, Outcome.UNJUDGED])
def test_what_suffices_or_was_not_judged_is_no_finding(outcome: Outcome) -> None:
    assert verdict(record(outcome)).findings == ()


@pytest.mark.parametrize(
    ("required", "failing"),
    [
        (Outcome.ACCURATE, [Outcome.STABLE, Outcome.LOOSE, Outcome.WRONG]),
        (Outcome.STABLE, [Outcome.LOOSE, Outcome.WRONG]),
        (Outcome.LOOSE, [Outcome.WRONG]),
    ],
)
def test_the_required_grade_decides(required: Outcome, failing: list[Outcome]) -> None:
    grades = [record(grade) for grade in (Outcome.ACCURATE, Outcome.STABLE, Outcome.LOOSE, Outcome.WRONG)]

    findings = verdict(*grades, required=required).findings

    assert [finding.record.outcome for finding in findings] == failing


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_hazard_never_gates(outcome: Outcome) -> None:
    assert verdict(record(outcome, kind="hazard")).findings == ()


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_hazard_is_neither_known_nor_stale(outcome: Outcome, known_wrong: str) -> None:
    decided = verdict(record(outcome, kind="hazard"), known=known_wrong)

    assert (decided.findings, decided.known) == ((), ())


def test_a_known_deviation_is_no_finding_and_is_kept_with_its_reason(known_wrong: str) -> None:
    failed = record(Outcome.WRONG)

    decided = verdict(failed, known=known_wrong)

    assert decided.findings == ()
    assert [(each, deviation.reason) for each, deviation in decided.known] == [(failed, "no shift")]


@pytest.mark.parametrize("outcome", [Outcome.ACCURATE, Outcome.STABLE, Outcome.LOOSE, Outcome.RAISED, Outcome.CRASHED])
def test_a_known_deviation_that_did_not_happen_is_a_finding(outcome: Outcome, known_wrong: str) -> None:
    (finding,) = verdict(record(outcome), known=known_wrong).findings

    assert finding.stale is not None
    assert (Outcome.WRONG,) == finding.stale.expected


def test_a_known_deviation_of_an_unsupported_golden_is_not_stale(known_wrong: str) -> None:
    decided = verdict(record(Outcome.UNSUPPORTED), known=known_wrong)

    assert (decided.findings, decided.known) == ((), ())


def test_a_known_deviation_leaves_other_cases_alone(known_wrong: str) -> None:
    failed = record(Outcome.WRONG, golden="cross_entropy/gaps/gap-16[float32-value]")

    assert verdict(failed, known=known_wrong).findings == (Finding(failed),)


def test_a_broken_file_of_known_deviations_raises(tmp_path: Path) -> None:
    path = tmp_path / "mine.known.toml"
    path.write_text("[[deviation]", encoding="utf-8")

    with pytest.raises(KnownDeviationError, match="expected TOML"):
        verdict(record(Outcome.WRONG), known=str(path))


def test_outcomes_are_counted_hazards_included() -> None:
    decided = verdict(record(Outcome.ACCURATE), record(Outcome.WRONG, kind="hazard"), record(Outcome.UNSUPPORTED))

    assert decided.outcomes == {Outcome.ACCURATE: 1, Outcome.WRONG: 1, Outcome.UNSUPPORTED: 1}


def test_unsupported_is_not_judged() -> None:
    assert verdict(record(Outcome.ACCURATE), record(Outcome.UNSUPPORTED)).judged == 1


def test_what_did_not_start_has_no_verdict() -> None:
    run = Run({}, (Subject("mine", failed="no torch"), Subject("other")), (record(Outcome.WRONG, of="other"),))

    assert [decided.subject.name for decided in decide(run, Outcome.STABLE)] == ["other"]


def test_each_implementation_has_its_own_findings() -> None:
    run = Run({}, (Subject("mine"), Subject("other")), (record(Outcome.WRONG), record(Outcome.ACCURATE, of="other")))

    assert [len(decided.findings) for decided in decide(run, Outcome.STABLE)] == [1, 0]


def test_no_finding_ends_with_0() -> None:
    assert codes(Subject("mine"), records=(record(Outcome.ACCURATE),)) == 0


def test_a_finding_ends_with_1() -> None:
    assert codes(Subject("mine"), records=(record(Outcome.ACCURATE), record(Outcome.WRONG))) == 1


def test_a_stale_deviation_ends_with_1(known_wrong: str) -> None:
    assert codes(Subject("mine", known=known_wrong), records=(record(Outcome.ACCURATE),)) == 1


def test_known_deviations_alone_end_with_0(known_wrong: str) -> None:
    assert codes(Subject("mine", known=known_wrong), records=(record(Outcome.WRONG),)) == 0


def test_an_implementation_that_did_not_start_ends_with_3_though_others_pass() -> None:
    subjects = (Subject("absent", failed="no torch"), Subject("mine"))

    assert codes(*subjects, records=(record(Outcome.ACCURATE),)) == 3


def test_only_unsupported_ends_with_4() -> None:
    assert codes(Subject("mine"), records=(record(Outcome.UNSUPPORTED),)) == 4


def test_only_what_the_dialect_leaves_open_ends_with_4() -> None:
    assert codes(Subject("mine"), records=(record(Outcome.UNJUDGED, kind="hazard"),)) == 4


def test_no_record_at_all_ends_with_4() -> None:
    assert codes(Subject("mine")) == 4


def test_one_implementation_that_was_judged_suffices() -> None:
    subjects = (Subject("mine"), Subject("other"))
    records = (record(Outcome.UNSUPPORTED), record(Outcome.ACCURATE, of="other"))

    assert codes(*subjects, records=records) == 0


def test_an_interrupted_run_ends_with_130() -> None:
    assert codes(Subject("mine"), records=(record(Outcome.ACCURATE),), interrupted=True) == 130


PRECEDENCE = (Exit.INTERRUPTED, Exit.NOT_STARTED, Exit.NOTHING_JUDGED, Exit.FINDINGS)


@pytest.mark.parametrize(
    ("first", "second"),
    [pair for pair in combinations(PRECEDENCE, 2) if pair != (Exit.NOTHING_JUDGED, Exit.FINDINGS)],
    ids=str,
)
def test_where_two_hold_the_first_of_130_3_4_1_wins(first: Exit, second: Exit) -> None:
    holds = (first, second)
    subjects = (Subject("mine"), *((Subject("absent", failed="no torch"),) if Exit.NOT_STARTED in holds else ()))
    outcome = Outcome.WRONG if Exit.FINDINGS in holds else Outcome.ACCURATE
    records = () if Exit.NOTHING_JUDGED in holds else (record(outcome),)

    assert first == codes(*subjects, records=records, interrupted=Exit.INTERRUPTED in holds)


def test_the_codes_are_those_of_the_documentation() -> None:
    assert {code.name: code.value for code in Exit} == {
        "CLEAN": 0,
        "FINDINGS": 1,
        "USAGE": 2,
        "NOT_STARTED": 3,
        "NOTHING_JUDGED": 4,
        "INTERRUPTED": 130,
    }
