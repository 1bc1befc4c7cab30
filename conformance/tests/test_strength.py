"""The strength of the spec: every mutant is caught, and what reads, makes, runs and covers mutants is tested."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from needs import needs

from lossproof.cli import strength as command_line
from lossproof.implementations import Implementation
from lossproof.outcome import Outcome
from lossproof.selection import Selection, select
from lossproof.session import Session
from lossproof.spec.errors import SpecError
from lossproof.spec.golden import Golden
from lossproof.spec.read import read_spec
from lossproof.strength.changes import changes
from lossproof.strength.cover import minimal_set
from lossproof.strength.hunt import Hunted, hunt, is_finding
from lossproof.strength.matrix import excuse, matrix
from lossproof.strength.mutants import GENERATED, Mutant, read_mutants
from lossproof.strength.reach import entry_points, felt_lines
from lossproof.strength.show import text

pytestmark = pytest.mark.numbers

MUTANTS = Path(__file__).parent / "mutants"

SOURCE = '''"""log_softmax, plain."""

import numpy as np


def log_softmax(logits, *, axis=-1):
    wide = logits.astype(np.longdouble)
    shifted = wide - wide.max(axis, keepdims=True)
    return (shifted - np.log(total(np.exp(shifted), axis))).astype(logits.dtype)


def total(terms, axis):
    return terms.sum(axis, keepdims=True)
'''
SMALL = ("log_softmax/values/gap-16", "log_softmax/axes/first")


def folder_of(path: Path, **files: str) -> Path:
    """A folder of mutants of a small source."""
    (path / "small.py").write_text(SOURCE, encoding="utf-8")
    for name, content in files.items():
        (path / f"{name}.yaml").write_text(content, encoding="utf-8")
    return path


def item(name: str, replace: str, by: str, more: str = "") -> str:
    change = f"replace: {json.dumps(replace)}, by: {json.dumps(by)}"
    return f"- {{name: {name}, bug: A test made it., source: small, {change}{more}}}\n"


def small_goldens() -> list[Golden]:
    return [golden for golden in select(Selection(SMALL, ("float32", "float64"))) if golden.question == "value"]


def hunted(path: Path, **files: str) -> Mapping[str, Hunted]:
    goldens = small_goldens()
    return matrix(hunt(read_mutants(folder_of(path, **files)), goldens), goldens).hunted


# The mutants of this checkout


@needs("torch")
def test_the_quick_profile_catches_every_mutant_unless_a_proof_says_that_none_can() -> None:
    goldens = select(Selection(profile="quick"))
    found = matrix(hunt(read_mutants(MUTANTS), goldens), goldens)

    assert ([], []) == ([each.mutant.id for each in found.survivors], [each.mutant.id for each in found.refuted])
    assert set(read_spec().operations) == {golden.operation for golden in goldens}


@needs("torch")
def test_the_torch_port_is_right() -> None:
    path = MUTANTS / "torch_port.py"
    with Session(Implementation(path.stem, str(path), {"path": str(path)}), read_spec()) as session:
        assert not session.start().failed
        blamed = [asked.golden.id for asked in session.ask(select(Selection())) if is_finding(asked)]

    assert [] == blamed


def test_operators_make_mutants_of_every_source() -> None:
    mutants = read_mutants(MUTANTS)
    made = [mutant.source.name for mutant in mutants if mutant.id.startswith(f"{GENERATED}/")]

    assert (True, True) == (len(mutants) >= 150, len(made) >= 75)
    assert {mutant.source.name for mutant in mutants} == set(made)


def test_no_two_mutants_are_the_same() -> None:
    texts: dict[tuple[str, str], str] = {}
    twins = []
    for mutant in read_mutants(MUTANTS):
        first = texts.setdefault((mutant.source.name, mutant.text), mutant.id)
        if first != mutant.id and not mutant.id.startswith(f"{GENERATED}/"):
            twins.append((first, mutant.id))

    assert [] == twins


# Reading


def test_a_change_is_indented_as_its_source(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, topic=item("two-lines", "wide = logits", "logits = logits + 0\nwide = logits"))

    (mutant,) = read_mutants(folder)

    assert ("topic/two-lines", 7) == (mutant.id, mutant.line)
    assert "    logits = logits + 0\n    wide = logits.astype(np.longdouble)\n" in mutant.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (item("x", "no such text", ""), "topic.yaml:1 $[0].replace: expected text that small holds exactly once, got "),
        (item("x", "axis", "0"), "expected text that small holds exactly once, got it 5 times"),
        (item("x", "axis", "0", ", function: nothing"), "$[0].function: expected a function of the source, got "),
        (item("x", "wide -", "wide - -)"), "$[0].by: expected Python, got unmatched ')' on line "),
        (item("x", "wide -", "wide +") * 2, "topic.yaml:2 $[1].name: expected a name of its own, got "),
        ("- {name: x, bug: y, source: none, replace: a, by: b}\n", "$[0].source: expected a source beside the mutants"),
        ("- {name: x, bug: y, replace: a}\n", "$[0]: expected the key by, got none"),
        ("mutants: []\n", "expected a list, got "),
    ],
)
def test_what_cannot_be_applied_is_said_with_its_place(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        read_mutants(folder_of(tmp_path, topic=content))


def test_a_folder_without_mutants_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="expected mutants, found none"):
        read_mutants(tmp_path)


def test_a_proof_for_no_mutant_is_an_error(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path, topic=item("x", "wide -", "wide +"), equivalent="- {mutant: topic/y, proof: It is gone.}\n"
    )

    with pytest.raises(SpecError, match=re.escape('$[0].mutant: expected a mutant, once, got "topic/y"')):
        read_mutants(folder)


# Operators


def test_operators_change_one_thing_each() -> None:
    found = {change.id: change.bug for change in changes("def f(x, *, axis=-1):\n    return x.sum(axis) + 2\n", "s", 1)}

    assert {
        "s/f/default-1": "-1 → 0",
        "s/f/arithmetic-1": "x.sum(axis) + 2 → (x.sum(axis) - 2)",
        "s/f/term-1": "x.sum(axis) + 2 → (x.sum(axis))",
        "s/f/term-2": "x.sum(axis) + 2 → 2",
        "s/f/function-1": "x.sum(axis) → (x.mean(axis))",
        "s/f/axis-1": "x.sum(axis) → (x.sum(-1))",
        "s/f/constant-1": "2 → 3",
    } == found


def test_what_is_taken_does_not_depend_on_other_functions() -> None:
    one = "def f(x):\n    return x < 1 and x - 2 > 3\n"

    alone = [change.id for change in changes(one, "s", 2)]
    beside = [change.id for change in changes("def g(x):\n    return x + 1\n\n\n" + one, "s", 2) if "/f/" in change.id]

    assert alone
    assert alone == beside


def test_messages_are_not_changed() -> None:
    assert [] == list(changes("def f(x):\n    raise ValueError(f'{x + 1}')\n", "s", 1))


# Reach


LINES = """LOW = 1
def low(x,
        y=2):
    if x:
        return (y +
                LOW)
    return 0
def nll_loss():
    return low(0)
def nll_loss_vjp():
    return 2
"""


@pytest.mark.parametrize(
    ("changed", "felt"),
    [
        (1, {5, 6}),
        (2, {2, 3, 4, 5, 6, 7}),
        (3, {2, 3, 4, 5, 6, 7}),
        (4, {4}),
        (6, {5, 6}),
        (7, {7}),
        (11, {11}),
    ],
)
def test_a_change_is_felt_where_its_statement_runs(changed: int, felt: set[int]) -> None:
    assert felt == felt_lines(LINES, changed, changed)


def test_a_change_of_several_lines_is_felt_in_each_of_their_statements() -> None:
    assert {4, 5, 6, 7} == felt_lines(LINES, 4, 7)


def test_losses_and_derivatives_are_offered_and_helpers_are_not() -> None:
    assert ["nll_loss", "nll_loss_vjp"] == entry_points(LINES, ("nll_loss", "log_softmax"))


# The hunt


def test_a_wrong_loss_is_caught_and_a_right_one_survives(tmp_path: Path) -> None:
    found = hunted(
        tmp_path,
        topic=item("no-sum", "terms.sum(axis, keepdims=True)", "terms.max(axis, keepdims=True)")
        + item("same", "np.log(total", "1.0 * np.log(total"),
    )

    assert {"topic/no-sum": True, "topic/same": False} == {name: bool(each.caught) for name, each in found.items()}
    assert {Outcome.WRONG} == set(found["topic/no-sum"].caught.values())


def test_a_crash_is_a_catch_and_harms_no_other_mutant(tmp_path: Path) -> None:
    found = hunted(
        tmp_path,
        topic=item("crash", "return terms", "import os; os._exit(3); return terms")
        + item("raise", "return terms", "raise ValueError; return terms")
        + item("same", "np.log(total", "1.0 * np.log(total"),
    )

    assert {Outcome.CRASHED} == set(found["topic/crash"].caught.values())
    assert (False, True, False) == tuple(found[f"topic/{name}"].only_raises for name in ("crash", "raise", "same"))
    assert {} == found["topic/same"].caught


def test_a_mutant_is_asked_only_what_runs_through_it(tmp_path: Path) -> None:
    found = hunted(
        tmp_path,
        topic=item(
            "never", "return terms.sum(axis, keepdims=True)", "return terms.sum(axis, keepdims=True)\nterms += 1"
        )
        + item("unused", "import numpy as np\n\n", "import numpy as np\n\nUNUSED = 1\n\n"),
    )

    assert (4, 4) == (found["topic/never"].asked, found["topic/unused"].asked)


def test_survivors_and_false_proofs_are_told_and_are_findings(tmp_path: Path) -> None:
    folder_of(
        tmp_path,
        topic=item("same", "np.log(total", "1.0 * np.log(total")
        + item("wrong", "return terms.sum", "return terms.max"),
        equivalent="- {mutant: topic/wrong, proof: Nobody adds.}\n",
    )

    result = CliRunner().invoke(command_line.command, ["--mutants", str(tmp_path), "--operation", "log_softmax"])

    assert 1 == result.exit_code
    assert "0 caught, 1 proved equivalent, 1 survive" in result.output
    assert re.search(r"Survivors.*\n  topic/same\n", result.output)
    assert re.search(r"Proved equivalent, and caught nevertheless\n  topic/wrong\n", result.output)


def test_a_proof_that_holds_is_no_finding(tmp_path: Path) -> None:
    folder_of(
        tmp_path,
        topic=item("same", "np.log(total", "1.0 * np.log(total"),
        equivalent="- {mutant: topic/same, proof: Times one.}\n",
    )

    result = CliRunner().invoke(command_line.command, ["--mutants", str(tmp_path), "--operation", "log_softmax"])

    assert (0, True) == (result.exit_code, "0 caught, 1 proved equivalent, 0 survive" in result.output)


def test_writing_needs_all_goldens_and_mutants() -> None:
    result = CliRunner().invoke(command_line.command, ["--write", "--operation", "log_softmax"])

    assert 2 == result.exit_code


# The minimal set


def test_the_minimal_set_catches_all_and_loses_nothing_superfluous() -> None:
    caught = {"a": {"1", "2"}, "b": {"2", "3"}, "c": {"3", "4"}, "d": {"4", "1"}, "none": set[str]()}

    chosen = minimal_set(caught, {"1": 1, "2": 1, "3": 1, "4": 1})

    def missed(goldens: set[str]) -> list[str]:
        return [mutant for mutant, by in caught.items() if by and not by & goldens]

    assert [] == missed(set(chosen))
    assert all(missed(set(chosen) - {golden}) for golden in chosen)


def test_what_greed_takes_first_goes_where_others_make_it_superfluous() -> None:
    # Greedy cover begins with the golden of four, which the three others of two make superfluous.
    caught = {"a": {"4", "x"}, "b": {"4", "y"}, "c": {"4", "z"}, "d": {"4", "x"}, "e": {"y"}, "f": {"z"}, "g": {"x"}}

    assert ["x", "y", "z"] == minimal_set(caught, {"4": 1, "x": 1, "y": 1, "z": 1})


def test_a_large_golden_is_taken_only_where_no_small_one_does() -> None:
    caught = {"a": {"large", "small"}, "b": {"large", "small"}, "c": {"large", "other"}}

    assert ["other", "small"] == minimal_set(caught, {"large": 10**6, "small": 2, "other": 3})


# The report


def test_a_case_that_catches_nothing_is_excused_by_what_it_says() -> None:
    golden = replace(small_goldens()[0], flags=())
    flagged = replace(golden, flags=({"bug": "A bug."},))
    published = replace(golden, source={"title": "A page."})

    assert "" == excuse(golden, {golden.case})
    assert "gate no source" in excuse(golden, ())
    assert "reported bug" in excuse(flagged, {golden.case})
    assert "published" in excuse(published, {golden.case})


def test_lines_are_eighty_columns_wide() -> None:
    goldens = small_goldens()
    source = read_mutants(MUTANTS)[0].source
    survivor = Hunted(Mutant("topic/name", "word " * 60, source, source.text, 3, 4), 4, {})

    assert max(map(len, text(matrix([survivor], goldens), []))) <= 80
