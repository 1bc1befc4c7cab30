"""What the cases cover, and the rows that are made for what they do not."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

from lossproof.case import Call, Case, Recipe, Tensor
from lossproof.cli.spec import command
from lossproof.coverage.classify import Asked, asked, differs, levels_of
from lossproof.coverage.cover import covering_files, stale_files
from lossproof.coverage.factors import Model, Rule, model
from lossproof.coverage.growth import new_groups
from lossproof.coverage.measure import Count, coverage, coverages, covered, possible
from lossproof.coverage.rows import new_rows
from lossproof.coverage.seats import seats
from lossproof.coverage.summary import lines
from lossproof.coverage.writing import case_name
from lossproof.numerics import DTYPES
from lossproof.paths import SPEC
from lossproof.spec.cases import read_cases
from lossproof.spec.groups import MOST_GROUPS, shape_groups
from lossproof.spec.operations import Operation, read_operations

pytestmark = pytest.mark.numbers

OPERATIONS = read_operations()
ALL_CASES = cache(read_cases)
ALL_COVERED = cache(coverages)
TAKEN = ("int64", "uint8")
FLAGS = {"first": ("off", "on"), "second": ("off", "on")}

# A loss of one input whose cases never ask for a sum in float16.
OPERATION = """
operation: halved
home_dialect: plain
summary: Half of each element.
formula: loss = x / 2
reference_algorithm: {value: One product., gradient: One product.}
questions: [value, gradient]
inputs:
  - {name: x, role: prediction, shape: elements, dtype: floating, domain: any number}
class_axis: null
parameters:
  reduction: {type: choice, default: mean, choices: [none, mean, sum], meaning: What becomes of the elements.}
differentiable: [x]
result: {shape: elements, reductions: none has the shape of x.}
rules: []
errors: [A reduction other than none, mean and sum.]
"""
DIALECT = """
dialect: plain
summary: The definition.
documentation: ["https://example.org/halved"]
label_dtypes: [int64]
operations:
  halved: {}
"""
CASES = """
since: "0.1"
cases:
  - name: plain
    why: Every reduction in every dtype but one.
    inputs: {x: [0.5, 2.0, 3.0]}
    dtypes: [float64, float32, bfloat16]
    each: {reduction: [none, mean, sum]}
  - name: hole
    why: No sum here.
    inputs: {x: [0.5, 2.0, 3.0]}
    dtypes: [float16]
    each: {reduction: [none, mean]}
"""
RULES = """
rules:
  unused: {question: None., values: {one: This., other: That.}}
"""


@pytest.fixture
def halved(tmp_path: Path) -> Path:
    """A spec folder with one fake operation."""
    for name, text in {
        "operations/halved.yaml": OPERATION,
        "dialects/plain.yaml": DIALECT,
        "rules.yaml": RULES,
        "cases/halved/plain.yaml": CASES,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def write(files: dict[Path, str]) -> None:
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")


def call(target: Tensor, **parameters: float | str | Tensor) -> Call:
    logits = Tensor((3, 4), "floating", recipe=Recipe("hash"))
    return Call("cross_entropy", {"logits": logits, "target": target}, parameters)


def labels(*values: int, dtype: str = "int64") -> Tensor:
    return Tensor((len(values),), "integer", values=values, dtype=dtype)


def test_a_pair_that_no_case_has_is_reported(halved: Path) -> None:
    printed = CliRunner().invoke(command, ["coverage", "--folder", str(halved)])

    assert "  dtype x reduction              11/16  68 %" in printed.output.splitlines()


def test_a_pair_that_all_cases_have_is_not_reported(halved: Path) -> None:
    text = (halved / "cases/halved/plain.yaml").read_text(encoding="utf-8")
    everywhere = text.replace("dtypes: [float64, float32, bfloat16]\n    each: {reduction: [none, mean, sum]}", "")
    stated = everywhere.replace(
        "dtypes: [float16]\n    each: {reduction: [none, mean]}", "each: {reduction: [none, mean, sum]}"
    )
    (halved / "cases/halved/plain.yaml").write_text(stated, encoding="utf-8")

    (halves,) = coverages(halved)

    assert ("dtype", "reduction") not in halves.missing


def test_rows_are_made_for_the_hole_once_there_is_room(halved: Path) -> None:
    write(dict(covering_files(halved, more_groups=60)))

    (halves,) = coverages(halved)

    assert ("dtype", "reduction") not in halves.missing


def test_no_more_groups_are_opened_than_asked_for(halved: Path) -> None:
    before = len(shape_groups(read_cases(halved)))
    write(dict(covering_files(halved, more_groups=5)))

    assert before + 5 == len(shape_groups(read_cases(halved)))


def test_what_was_written_is_written_again(halved: Path) -> None:
    write(dict(covering_files(halved, more_groups=20)))

    assert [] == stale_files(halved)


def test_a_row_changed_by_hand_is_stale(halved: Path) -> None:
    ((path, text),) = covering_files(halved, more_groups=5).items()
    path.write_text(text.replace("recipe: hash,", "recipe: hash_positive,", 1), encoding="utf-8")

    assert [path] == stale_files(halved)


def test_rows_stay_when_another_case_covers_them_too(halved: Path) -> None:
    ((path, text),) = covering_files(halved, more_groups=5).items()
    path.write_text(text, encoding="utf-8")
    (halved / "cases/halved/again.yaml").write_text(text, encoding="utf-8")

    assert text == covering_files(halved)[path]


def test_rows_of_the_same_cases_are_the_same(halved: Path) -> None:
    assert covering_files(halved, more_groups=10) == covering_files(halved, more_groups=10)


def test_pairs_are_counted_where_some_row_has_them() -> None:
    its = Model(FLAGS, ())
    calls = [Asked("one", {"first": "on", "second": "off"}), Asked("two", {"first": "on", "second": "off"})]

    found = coverage("fake", its, calls, TAKEN)

    assert Count(1, 4) == found.pairs
    assert {("first", "second"): Count(1, 4)} == found.missing


def test_what_a_rule_forbids_is_not_possible() -> None:
    its = Model(FLAGS, (Rule(("first", "second"), lambda levels: levels["first"] != "on" or levels["second"] == "on"),))

    assert 3 == len(possible(its, 2, its.factors))


def test_what_leads_nowhere_is_not_possible() -> None:
    factors = {**FLAGS, "third": ("off", "on")}
    rules = [Rule((name, "third"), lambda row, name=name: row[name] != row["third"]) for name in FLAGS]  # type: ignore[misc]  # name is bound

    assert (("first", "on"), ("second", "off")) not in possible(Model(factors, tuple(rules)), 2, FLAGS)


def test_labels_that_may_be_refused_count_for_their_dtype_only() -> None:
    row = {"target": "int16", "first": "on", "second": "off"}
    wanted = [
        (("first", "on"), ("second", "off")),
        (("target", "int16"), ("first", "on")),
    ]

    assert {wanted[1]} == covered([row], wanted, TAKEN)


@pytest.mark.parametrize(
    ("made", "levels"),
    [
        (call(labels(0, 1, 3)), {"target": "int64", "ignored": "none", "reduction": "default", "weight": "absent"}),
        (call(labels(-100, 1, 3)), {"ignore_index": "default", "ignored": "some"}),
        (
            call(labels(1, 1, 1, dtype="uint8"), ignore_index=1),
            {"target": "uint8", "ignore_index": "inside", "ignored": "all"},
        ),
        (call(labels(0, 1, 3), ignore_index=255), {"ignore_index": "outside", "ignored": "none"}),
        (call(labels(0, 1, 3), label_smoothing=1.0), {"label_smoothing": "1"}),
        (
            call(labels(0, 1, 3), label_smoothing=0.1, reduction="sum"),
            {"label_smoothing": "inside", "reduction": "sum"},
        ),
        (call(labels(0, 1, 3), weight=Tensor((4,), "floating", values=(1.0, 0.0, 1.0, 1.0))), {"weight": "with-zero"}),
        (
            call(Tensor((3, 4), "floating", recipe=Recipe("fill", value=0.25))),
            {"target": "probabilities", "size": "few"},
        ),
    ],
)
def test_calls_have_the_levels_that_they_state(made: Call, levels: dict[str, str]) -> None:
    found = levels_of(OPERATIONS["cross_entropy"], made)

    assert levels == {name: found[name] for name in levels}


@pytest.mark.parametrize(
    ("layout", "shape"),
    [
        ("transposed", (1, 31)),
        ("channels_last", (2, 1, 3, 3)),
        ("channels_last", (2, 3, 1, 1)),
        ("expanded", (1, 4)),
        ("reversed", (4, 1)),
    ],
)
def test_a_layout_that_changes_nothing_is_no_level(layout: str, shape: tuple[int, ...]) -> None:
    assert not differs(layout, shape)


@pytest.mark.parametrize("kind", ["raises", "policy", "hazard"])
def test_cases_without_a_value_to_be_right_about_cover_nothing(kind: str) -> None:
    case = next(case for case in ALL_CASES() if case.operation == "log_softmax" and case.kind == "value")

    assert [] == list(asked(OPERATIONS["log_softmax"], [replace(case, kind=kind)]))  # type: ignore[arg-type]  # a kind


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_no_case_has_levels_that_a_rule_forbids(operation: Operation) -> None:
    its = model(operation)

    assert [] == [each.case for each in asked(operation, ALL_CASES()) if not its.allows(each.levels)]


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_every_level_is_possible(operation: Operation) -> None:
    its = model(operation)

    assert [(name, level) for name, levels in its.factors.items() for level in levels] == [
        each for (each,) in possible(its, 1, its.factors)
    ]


def test_rows_are_named_by_their_levels() -> None:
    covering = [case for case in ALL_CASES() if case.id.split("/")[1] == "covering"]

    assert [case.id.split("/")[2] for case in covering] == [_name(case) for case in covering]


def _name(case: Case) -> str:
    operation = OPERATIONS[case.operation]
    return case_name(model(operation), {**levels_of(operation, case.call), "dtype": case.dtypes[0]})


def test_new_rows_have_room_and_cover_what_has() -> None:
    operation = OPERATIONS["nll_loss"]
    its = model(operation)
    group = ("nll_loss", ((3, 4), (3,)), "float32", "sum", ())
    places = seats(operation, its, [group])

    rows = new_rows(its, places, [], TAKEN)

    assert all(any(seat.takes(row) for seat in places) for row in rows)
    assert {"contiguous", "transposed", "reversed", "sliced", "expanded", "misaligned"} == {
        row["log_probs layout"] for row in rows
    }
    assert {"float32"} == {row["dtype"] for row in rows}


def test_labels_that_may_be_refused_come_beside_rows_that_may_not() -> None:
    operation = OPERATIONS["nll_loss"]
    places = seats(operation, model(operation), [("nll_loss", ((3, 4), (3,)), "float32", "sum", ())])

    rows = new_rows(model(operation), places, [], TAKEN)

    assert {"transposed"} < {row["log_probs layout"] for row in rows if row["target"] in TAKEN}
    assert {"transposed"} < {row["log_probs layout"] for row in rows if row["target"] == "int16"}


def test_new_groups_bring_sizes_that_no_case_has() -> None:
    names = {"nll_loss": OPERATIONS["nll_loss"]}
    models = {name: model(operation) for name, operation in names.items()}
    present = [("nll_loss", ((3, 4), (3,)), dtype, "sum", ()) for dtype in DTYPES]

    groups = new_groups(names, models, present, 17)

    sizes = {seat.levels["size"] for seat in seats(names["nll_loss"], models["nll_loss"], groups)}
    assert 17 == len(sizes)


def test_the_huge_profile_opens_no_group() -> None:
    case = ALL_CASES()[0]

    assert frozenset() == shape_groups([replace(case, profile="huge")])


def test_the_summary_fits_a_terminal_of_80_columns() -> None:
    assert all(len(line) <= 80 for line in lines(ALL_COVERED(SPEC), MOST_GROUPS, MOST_GROUPS))


def test_the_dangerous_triples_of_cross_entropy_are_all_covered() -> None:
    of_all = {each.operation: each for each in ALL_COVERED(SPEC)}

    assert Count(168, 168) == of_all["cross_entropy"].triples
    assert Count(144, 144) == of_all["cross_entropy"].quadruples
