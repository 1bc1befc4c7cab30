"""Fuzzing: hidden bugs are found, shrunk, saved and found again; what is right gives no finding."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, find, settings
from hypothesis.errors import NoSuchExample
from needs import needs

from lossproof.case import Case
from lossproof.fuzz.found import Counts, Found, Plan
from lossproof.fuzz.relations import relations
from lossproof.fuzz.strategies import cases
from lossproof.fuzz.written import content_hash, topic_file
from lossproof.implementations import Implementation
from lossproof.known import Deviation, read_known
from lossproof.numerics import DTYPES
from lossproof.outcome import Outcome
from lossproof.paths import IMPLEMENTATIONS, SPEC
from lossproof.run import run
from lossproof.session import Session
from lossproof.spec.cases import read_cases
from lossproof.spec.golden import Golden
from lossproof.spec.operations import read_operations
from lossproof.spec.read import read_spec

pytest.importorskip("flint", reason="the oracle is not installed")

from lossproof.compile import Sources, compile_one, read_sources
from lossproof.fuzz.search import search

LOSSPROOF = Path(sys.executable).parent / "lossproof"
HERE = Path(__file__).parent
BUGS = HERE / "hidden_bugs"
OPERATIONS = sorted(read_operations())
REFERENCE = IMPLEMENTATIONS / "numpy_reference.py"


def searched(
    path: Path, seed: int = 0, examples: int = 150, dtypes: tuple[str, ...] = ("float32",), **options: Any
) -> list[Found | Counts]:
    """What a search of an adapter gives; `options` may narrow operations and name known deviations."""
    with Session(Implementation(path.stem, str(path), {"path": str(path)}), read_spec()) as session:
        subject = session.start()
        assert not subject.failed, subject.details
        plan = Plan(seed, dtypes, Outcome.STABLE, examples=examples)
        known: tuple[Deviation, ...] = options.get("known", ())
        chosen = options.get("operations", subject.offered)
        return list(search(session, subject, read_sources(SPEC), known, chosen, plan))


def found(path: Path, **options: Any) -> list[Found]:
    return [each for each in searched(path, **options) if isinstance(each, Found)]


def drawn(operation: str, count: int) -> Iterator[Case]:
    """Cases and relations of an operation."""
    kept: list[Case] = []
    definition = read_operations()[operation]
    rules = read_sources(SPEC).home(operation)
    once = settings(max_examples=count, database=None, deadline=None, phases=(Phase.generate,))
    for strategy in (cases(definition, rules, DTYPES, definition.questions), relations(definition, rules, DTYPES)):
        with pytest.raises(NoSuchExample):
            find(strategy, lambda case: keeps(case, kept), settings=once, random=Random(1))
    return iter(kept)


def keeps(case: Case, kept: list[Case]) -> bool:
    """Keep the case, and have the search go on."""
    kept.append(case)
    return False


def pasted(case: Case, folder: Path) -> Case:
    """The case as it is read from a spec folder in which its file is the only one."""
    for name in ("operations", "dialects"):
        shutil.copytree(SPEC / name, folder / name, dirs_exist_ok=True)
    shutil.copy(SPEC / "rules.yaml", folder / "rules.yaml")
    topic = folder / "cases" / case.operation / "fuzz.yaml"
    topic.parent.mkdir(parents=True, exist_ok=True)
    topic.write_text(topic_file(case, ("A comment.",)), encoding="utf-8")
    (read,) = read_cases(folder)
    return read


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_drawn_case_is_a_case_of_the_spec(operation: str, tmp_path: Path) -> None:
    for number, case in enumerate(drawn(operation, 25)):
        read = pasted(case, tmp_path / str(number))

        assert content_hash(case) == content_hash(read)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_is_right_gives_no_finding(operation: str) -> None:
    items = searched(REFERENCE, seed=1, examples=100, dtypes=DTYPES, operations=(operation,))

    assert [] == [each for each in items if isinstance(each, Found)]
    assert [100] == [max(each.examples for each in items if isinstance(each, Counts))]


def test_a_bug_that_takes_two_parameters_is_shrunk_to_them() -> None:
    first, *_ = found(BUGS / "weights_forgotten_in_smoothing.py")

    assert {"weight", "label_smoothing"} <= set(first.case.parameters)
    assert "none" == first.case.parameters["reduction"]
    assert (1, 1) == (first.case.inputs["logits"].shape[0], len(first.case.inputs["target"].values or ()))
    assert first.again


def test_a_bug_at_one_number_is_shrunk_to_it() -> None:
    first, *_ = found(BUGS / "zero_logit_taken_for_none.py")

    assert (0.0,) == first.case.inputs["logits"].values
    assert Outcome.WRONG is first.record.outcome


def test_bugs_beside_each_other_are_told_apart() -> None:
    outcomes = {each.record.outcome for each in found(BUGS / "sum_doubled_and_axes_refused.py")}

    assert {Outcome.WRONG, Outcome.RAISED} == outcomes


def test_an_exception_is_reported_once() -> None:
    raised = [
        each
        for each in found(BUGS / "sum_doubled_and_axes_refused.py", dtypes=DTYPES)
        if each.record.outcome is Outcome.RAISED
    ]

    assert [(1, 1, 1)] == [each.case.inputs["log_probs"].shape for each in raised]


def test_a_crash_is_shrunk() -> None:
    (only,) = found(BUGS / "ends_at_minus_zero.py")

    assert "exited with 7" == only.record.reason
    assert "-0.0" in topic_file(only.case, ())


def test_an_answer_that_changes_from_call_to_call_is_reported_as_such() -> None:
    assert not all(each.again for each in found(BUGS / "changes_from_call_to_call.py"))


def test_the_same_seed_finds_the_same() -> None:
    first, second = (found(BUGS / "weights_forgotten_in_smoothing.py", seed=5) for _ in range(2))

    assert [each.record.golden for each in first] == [each.record.golden for each in second] != []


def test_a_found_case_fails_again_in_the_spec(tmp_path: Path) -> None:
    path = BUGS / "weights_forgotten_in_smoothing.py"
    first, *_ = found(path)

    (golden,) = compile_one(pasted(first.case, tmp_path), read_sources(tmp_path))
    with Session(Implementation(path.stem, str(path), {"path": str(path)}), read_spec()) as session:
        session.start()
        (record,) = run(session, [golden])

    assert (first.record.outcome, first.record.got) == (record.outcome, record.got)


def test_known_deviations_are_no_findings(tmp_path: Path) -> None:
    file = tmp_path / "known.toml"
    file.write_text(
        '[[deviation]]\ncase = "cross_entropy/fuzz/*weight*label-smoothing*"\n'
        'expected = "wrong"\nreason = "Forgets the weights."\n'
    )

    items = searched(BUGS / "weights_forgotten_in_smoothing.py", known=read_known(file))

    assert [] == [each for each in items if isinstance(each, Found) and each.record.outcome is Outcome.WRONG]
    assert any(each.known for each in items if isinstance(each, Counts))


def test_a_fault_of_the_oracle_is_reported_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails_at_an_axis(case: Case, sources: Sources) -> list[Golden]:
        if "axis" in case.parameters:
            raise ZeroDivisionError("an axis")
        return compile_one(case, sources)

    monkeypatch.setattr("lossproof.fuzz.search.compile_one", fails_at_an_axis)

    items = searched(REFERENCE, operations=("log_softmax",))

    (only,) = [each for each in items if isinstance(each, Found)]
    assert Outcome.UNJUDGED is only.record.outcome
    assert "ZeroDivisionError: an axis" in only.record.reason
    assert [150] == [max(each.examples for each in items if isinstance(each, Counts))]


def fuzz(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LOSSPROOF, "fuzz", *arguments], cwd=folder, capture_output=True, encoding="utf-8", timeout=300, check=False
    )


def test_the_command_prints_and_saves_what_it_finds(tmp_path: Path) -> None:
    finished = fuzz(tmp_path, BUGS / "zero_logit_taken_for_none.py", "--seed", "0", "--examples", "60")

    saved = sorted((tmp_path / "lossproof-fuzz").glob("log_softmax-*.yaml"))
    assert 1 == finished.returncode
    assert saved
    assert all(f"saved as lossproof-fuzz/{path.name}" in finished.stdout for path in saved)
    assert "--seed 0" in finished.stdout
    assert "" == finished.stderr


def test_the_command_exits_with_0_where_it_finds_nothing(tmp_path: Path) -> None:
    finished = fuzz(tmp_path, "numpy_reference", "--seed", "0", "--examples", "20", "--operation", "log_softmax")

    assert (0, "") == (finished.returncode, finished.stderr)
    assert not (tmp_path / "lossproof-fuzz").exists()


def test_the_command_prints_json_lines(tmp_path: Path) -> None:
    bug = BUGS / "zero_logit_taken_for_none.py"
    finished = fuzz(tmp_path, bug, "--seed", "0", "--examples", "60", "--json", "--save", tmp_path / "kept")

    lines = [json.loads(line) for line in finished.stdout.splitlines()]
    assert ["run", "implementation", "counts"] == [lines[0]["type"], lines[1]["type"], lines[-1]["type"]]
    assert all(Path(line["saved"]).is_file() for line in lines if line["type"] == "record")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "expected an IMPLEMENTATION"),
        (("numpy_referenc",), 2, "did you mean numpy_reference"),
        (("numpy_reference", "--operation", "hinge"), 2, "--operation: expected one of"),
        ((str(BUGS / "ends_at_minus_zero.py"), "--operation", "nll_loss"), 2, "it offers log_softmax"),
        ((str(HERE / "fakes" / "exits.py"), "--exec", "true"), 2, "expected an IMPLEMENTATION"),
        (("--exec", "false"), 3, "was not started"),
    ],
)
def test_usage_errors_have_one_line(arguments: tuple[str, ...], code: int, said: str, tmp_path: Path) -> None:
    finished = fuzz(tmp_path, *arguments)

    assert code == finished.returncode
    assert said in finished.stderr
    assert 1 == len(finished.stderr.splitlines())


@needs("torch")
def test_torch_is_searched_through_the_same_door(tmp_path: Path) -> None:
    finished = fuzz(tmp_path, "torch_eager", "--seed", "0", "--examples", "40", "--operation", "log_softmax")

    assert (0, "") == (finished.returncode, finished.stderr)
