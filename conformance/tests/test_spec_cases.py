"""Case files against the operations: what is read, and what is refused with its place."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Protocol

import pytest

from lossproof.case import Case, Flag, Published, Source, Tensor
from lossproof.numerics import DTYPES
from lossproof.paths import SPEC
from lossproof.spec import SpecError
from lossproof.spec.cases import read_cases
from lossproof.spec.groups import MOST_GROUPS, shape_groups

INPUTS = "inputs: {logits: [[1.0, 2.0, 3.0]], target: [1]}"


class ReadCase(Protocol):
    def __call__(self, lines: str, operation: str = "cross_entropy") -> tuple[Case, ...]: ...


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    shutil.copytree(SPEC / "operations", tmp_path / "operations")
    (tmp_path / "cases" / "cross_entropy").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def read_case(spec: Path) -> ReadCase:
    def read(lines: str, operation: str = "cross_entropy") -> tuple[Case, ...]:
        body = "".join(f"    {line}\n" for line in lines.splitlines())
        (spec / "cases" / operation).mkdir(exist_ok=True)
        text = 'since: "0.1"\ncases:\n  - name: one\n    why: Because.\n' + body
        (spec / "cases" / operation / "topic.yaml").write_text(text, encoding="utf-8")
        return read_cases(spec)

    return read


@pytest.fixture(scope="module")
def cases() -> tuple[Case, ...]:
    return read_cases()


def test_a_case_has_its_path_for_id_and_all_dtypes_and_both_questions(read_case: ReadCase) -> None:
    (case,) = read_case(INPUTS)

    assert case.id == "cross_entropy/topic/one"
    assert (case.operation, case.kind, case.since) == ("cross_entropy", "value", "0.1")
    assert (case.dtypes, case.questions) == (DTYPES, ("value", "gradient"))
    assert case.place == "topic.yaml:3"
    assert (case.flags, case.source, case.published, case.relation, case.calls) == ((), None, None, None, (case.call,))
    assert (case.transform, case.profile, case.copies) == (None, "default", 1)


def test_provenance_is_kept(read_case: ReadCase) -> None:
    (case,) = read_case(
        INPUTS
        + '\nsource: {title: Somewhere, link: "https://example.org/"}'
        + '\nflags: [{bug: wrong, link: "https://example.org/1"}, {bug: worse}]'
        + '\npublished: {dtype: float32, value: ["1.5", "-2"]}'
    )

    assert case.source == Source("Somewhere", "https://example.org/")
    assert case.flags == (Flag("wrong", "https://example.org/1"), Flag("worse"))
    assert case.published == Published("float32", (2,), ("1.5", "-2"))


def test_each_makes_a_case_of_every_combination(read_case: ReadCase) -> None:
    cases = read_case(INPUTS + "\neach: {reduction: [none, mean], ignore_index: [-100, 2]}")

    assert [case.id for case in cases] == [
        "cross_entropy/topic/one-mean-2",
        "cross_entropy/topic/one-mean-minus-100",
        "cross_entropy/topic/one-none-2",
        "cross_entropy/topic/one-none-minus-100",
    ]
    assert dict(cases[1].parameters) == {"reduction": "mean", "ignore_index": -100}


def test_a_number_for_a_tensor_parameter_is_a_tensor_without_axes(read_case: ReadCase) -> None:
    inputs = "inputs: {probs: [0.5, 0.25], target: [1.0, 0.0]}"
    (case,) = read_case(inputs + "\nparameters: {weight: 2.0}", "binary_cross_entropy")

    assert case.parameters["weight"] == Tensor((), "floating", values=(2.0,))


def test_a_relation_passes_its_parameters_in_both_calls(read_case: ReadCase) -> None:
    (case,) = read_case(
        INPUTS
        + "\nkind: relation\nrelation: equal\nparameters: {reduction: sum}"
        + "\ncalls: [{parameters: {}}, {parameters: {label_smoothing: 0.0}}]"
    )

    assert [dict(call.parameters) for call in case.calls] == [
        {"reduction": "sum"},
        {"reduction": "sum", "label_smoothing": 0.0},
    ]
    assert case.questions == ("value",)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "topic.yaml:3 $.cases[0]: expected the key inputs, got none"),
        (
            INPUTS + "\ncolour: red",
            "topic.yaml:6 $.cases[0].colour: expected a key of name, why, kind, since, flags, source, "
            "inputs, parameters, each, dtypes, questions, cotangent, direction, published, relation, calls, "
            'coefficients, order, axis, property, transform, profile, copies, got "colour"',
        ),
        (
            INPUTS + "\nkind: maybe",
            'topic.yaml:6 $.cases[0].kind: expected value, policy, raises, hazard, relation or contract, got "maybe"',
        ),
        (
            INPUTS + "\ndtypes: [float8]",
            'topic.yaml:6 $.cases[0].dtypes[0]: expected float64, float32, bfloat16 or float16, got "float8"',
        ),
        (INPUTS + "\nsince: 0.1", "topic.yaml:6 $.cases[0].since: expected a string, got 0.1"),
        (INPUTS + "\nquestions: []", "topic.yaml:6 $.cases[0].questions: expected at least 1 items, got []"),
        (
            INPUTS + "\nflags: [{link: 'https://example.org'}]",
            "topic.yaml:6 $.cases[0].flags[0]: expected the key bug, got none",
        ),
        (
            INPUTS + "\nflags: [{bug: b, link: 'example.org'}]",
            'topic.yaml:6 $.cases[0].flags[0].link: expected a string like ^https://\\S+$, got "example.org"',
        ),
        (
            INPUTS + "\nname: two",
            "topic.yaml:6 $.cases[0].name: expected a key only once, got it again (first on line 3)",
        ),
        (
            INPUTS + "\nparameters: {reduce: mean}",
            "topic.yaml:6 $.cases[0].parameters.reduce: expected a parameter of "
            'cross_entropy (weight, ignore_index, reduction, label_smoothing), got "reduce"',
        ),
        (
            INPUTS + "\nparameters: {reduction: average}",
            "topic.yaml:6 $.cases[0].parameters.reduction: expected none, mean, sum "
            '(kind raises may have others), got "average"',
        ),
        (
            INPUTS + "\nparameters: {label_smoothing: 1.5}",
            "topic.yaml:6 $.cases[0].parameters.label_smoothing: expected a number "
            "from 0.0 to 1.0 (kind raises may have others), got 1.5",
        ),
        (
            INPUTS + "\nparameters: {ignore_index: true}",
            "topic.yaml:6 $.cases[0].parameters.ignore_index: expected an integer "
            "(kind raises may have others), got true",
        ),
        (
            INPUTS + "\nparameters: {weight: [1, 2, 3]}",
            "topic.yaml:6 $.cases[0].parameters.weight: expected a tensor of floats "
            "(kind raises may have others), got a integer tensor",
        ),
        (
            INPUTS + "\nparameters: {weight: [1.0, 2.0]}",
            "topic.yaml:6 $.cases[0].parameters.weight: expected the shape (3,) "
            "(kind raises may have others), got (2,)",
        ),
        (
            "inputs: {target: [1], logits: [[1.0, 2.0]]}",
            "topic.yaml:5 $.cases[0].inputs: expected the inputs logits, target, in this order, got target, logits",
        ),
        (
            "inputs: {logits: [[1, 2]], target: [1]}\nquestions: [value]",
            "topic.yaml:5 $.cases[0].inputs.logits: expected numbers with a point (floats), got integer numbers",
        ),
        (
            "inputs: {logits: [[1, 2]], target: [1]}",
            "topic.yaml:3 $.cases[0].questions[1]: expected a question about an input that holds no integers, "
            'got "gradient"',
        ),
        (
            "inputs: {logits: [[1.0, 2.0]], target: [2]}",
            "topic.yaml:5 $.cases[0].inputs.target: expected an index below 2 "
            "(classes; kind policy may have others), got 2",
        ),
        (
            "inputs: {logits: [[1.0, 2.0]], target: [1, 0]}",
            "topic.yaml:5 $.cases[0].inputs.target: expected the shape (1,), got (2,)",
        ),
        (
            "inputs: {logits: [[1.0, 2.0]], target: [[0.5]]}",
            "topic.yaml:5 $.cases[0].inputs.target: expected the shape (1, 2), got (1, 1)",
        ),
        (
            "inputs: {logits: 1.0, target: 0}",
            "topic.yaml:5 $.cases[0].inputs.logits: expected at least one axis, the classes, got a single number",
        ),
        (
            "inputs: {logits: [[1.0e+6, 0.0]], target: [0]}",
            "topic.yaml:5 $.cases[0].inputs.logits: expected numbers that stay "
            "finite in float16, or dtypes without it, got 1000000.0",
        ),
        (
            INPUTS + "\neach: {reduction: [mean]}\nparameters: {reduction: mean}",
            "topic.yaml:6 $.cases[0].each.reduction: expected "
            'a parameter that parameters does not state, got "reduction"',
        ),
        (
            INPUTS + "\nkind: relation",
            "topic.yaml:3 $.cases[0]: expected relation and calls where kind is relation, got neither",
        ),
        (
            INPUTS + "\ncotangent: 1",
            "topic.yaml:6 $.cases[0].cotangent: expected numbers with a point (floats), got integers",
        ),
        (
            INPUTS + "\npublished: {dtype: float32, value: 0.7437}",
            "topic.yaml:6 $.cases[0].published.value: expected digits in "
            'quotes, as the source printed them ("0.7437"), got 0.7437',
        ),
    ],
)
def test_a_case_that_does_not_fit_is_an_error_with_its_place(read_case: ReadCase, lines: str, message: str) -> None:
    with pytest.raises(SpecError) as error:
        read_case(lines)

    assert message == str(error.value)


# Questions, cotangents and directions


@pytest.mark.parametrize(
    ("lines", "operation", "message"),
    [
        (
            "inputs: {log_probs: [[-1.0, -0.5]], target: [1]}\nquestions: [value, hessian]",
            "nll_loss",
            '$.cases[0].questions[1]: expected a question of nll_loss (value, gradient), got "hessian"',
        ),
        (
            INPUTS + "\nquestions: [gradient-weight]",
            "cross_entropy",
            "$.cases[0].questions[0]: expected a question of cross_entropy "
            '(value, gradient, gradient-target, hessian, tangent), got "gradient-weight"',
        ),
        (
            INPUTS + "\nquestions: [gradient-target]",
            "cross_entropy",
            '$.cases[0].questions[0]: expected a question about an input that holds no integers, got "gradient-target"',
        ),
        (
            INPUTS + "\nquestions: [value, tangent]\ncotangent: 2.0",
            "cross_entropy",
            "$.cases[0].cotangent: expected a question about a gradient beside it, got value, tangent",
        ),
        (
            INPUTS + "\ndirection: [[1.0, 2.0, 3.0]]",
            "cross_entropy",
            "$.cases[0].direction: expected the question hessian or tangent beside it, got value, gradient",
        ),
        (
            INPUTS + "\ncotangent: [2.0]",
            "cross_entropy",
            "$.cases[0].cotangent: expected the shape (), got (1,)",
        ),
        (
            INPUTS + "\nquestions: [tangent]\ndirection: [1.0, 2.0, 3.0]",
            "cross_entropy",
            "$.cases[0].direction: expected the shape (1, 3), got (3,)",
        ),
        (
            INPUTS + "\nquestions: [hessian]\ndirection: [[1, 2, 3]]",
            "cross_entropy",
            "$.cases[0].direction: expected numbers with a point (floats), got integers",
        ),
        (
            INPUTS + "\nquestions: [hessian]\ndirection: [[1.0e+6, 2.0, 3.0]]",
            "cross_entropy",
            "$.cases[0].direction: expected numbers that stay finite in float16, or dtypes without it, got 1000000.0",
        ),
    ],
)
def test_a_question_that_cannot_be_asked_is_an_error(
    read_case: ReadCase, lines: str, operation: str, message: str
) -> None:
    assert message == error_of(read_case, lines, operation)


def error_of(read_case: ReadCase, lines: str, operation: str = "cross_entropy") -> str:
    """The message, less file and line."""
    with pytest.raises(SpecError) as error:
        read_case(lines, operation)
    return str(error.value).split(" ", 1)[1]


def test_what_comes_in_is_read(read_case: ReadCase) -> None:
    (case,) = read_case(INPUTS + "\nquestions: [hessian, tangent]\ncotangent: 2.0\ndirection: [[1.0, -2.0, 0.5]]")

    assert ("hessian", "tangent") == case.questions
    assert Tensor((), "floating", values=(2.0,)) == case.cotangent
    assert Tensor((1, 3), "floating", values=(1.0, -2.0, 0.5)) == case.direction


def test_a_floating_target_has_a_gradient(read_case: ReadCase) -> None:
    (case,) = read_case("inputs: {logits: [[1.0, 2.0]], target: [[0.5, 0.5]]}\nquestions: [gradient-target]")

    assert ("gradient-target",) == case.questions


# Relations


RELATION = INPUTS + "\nkind: relation\nparameters: {reduction: sum}\n"


def test_a_call_replaces_what_it_states(read_case: ReadCase) -> None:
    (case,) = read_case(RELATION + "relation: equal\ncalls: [{inputs: {target: [2]}}, {}]")
    changed, same = case.calls

    assert [Tensor((1,), "integer", (2,), dtype="int64"), case.inputs["target"]] == [
        changed.inputs["target"],
        same.inputs["target"],
    ]
    assert case.inputs["logits"] == changed.inputs["logits"] == same.inputs["logits"]


def test_a_call_of_another_operation_states_everything_itself(read_case: ReadCase) -> None:
    (case,) = read_case(
        RELATION + "relation: equal\ncalls: [{}, {operation: log_softmax, inputs: {logits: [[1.0, 2.0]]}}]"
    )

    other = case.calls[1]
    assert ("log_softmax", ["logits"], {}) == (other.operation, list(other.inputs), dict(other.parameters))


def test_a_call_may_go_through_another_operation_before(read_case: ReadCase) -> None:
    (case,) = read_case(
        RELATION
        + "relation: equal\ncalls: [{}, {operation: nll_loss, after: log_softmax, "
        + "inputs: {log_probs: [[1.0, 2.0, 3.0]], target: [1]}}]"
    )

    assert [("cross_entropy", None), ("nll_loss", "log_softmax")] == [(c.operation, c.after) for c in case.calls]


def test_the_calls_of_a_gradient_share_the_cotangent(read_case: ReadCase) -> None:
    (case,) = read_case(
        RELATION + "questions: [gradient]\ncotangent: 2.0\nrelation: equal\ncalls: [{}, {cotangent: 3.0}]"
    )

    assert [(2.0,), (3.0,)] == [call.cotangent.values for call in case.calls if call.cotangent]


def test_what_a_relation_states_is_kept(read_case: ReadCase) -> None:
    (case,) = read_case(RELATION + "relation: permutation\norder: [2, 0, 1]\naxis: 1\ncalls: [{}, {}]")

    assert case.relation is not None
    assert ("permutation", (2, 0, 1), 1) == (case.relation.name, case.relation.order, case.relation.axis)


NAMED = "expected coefficients (one a call) for a combination, order for a permutation, property for same_bits"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("relation: equal", "$.cases[0]: expected relation and calls together, got one of them"),
        ("calls: [{}, {}]", "$.cases[0]: expected relation and calls together, got one of them"),
        ("relation: equal\ncalls: [{}]", "$.cases[0].calls: expected at least 2 items, got [{}]"),
        (
            "kind: value\nrelation: equal\ncalls: [{}, {}]",
            "$.cases[0]: expected kind contract for same_bits, kind relation for every other relation, got kind value",
        ),
        (
            "relation: same_bits\nproperty: repeatable\ncalls: [{}, {}]",
            "$.cases[0]: expected kind contract for same_bits, kind relation for every other relation, "
            "got kind relation",
        ),
        ("kind: contract\nrelation: same_bits\ncalls: [{}, {}]", f"$.cases[0]: {NAMED}, got the relation same_bits"),
        ("relation: combination\ncalls: [{}, {}]", f"$.cases[0]: {NAMED}, got the relation combination"),
        (
            "relation: combination\ncoefficients: [1, 1]\ncalls: [{}, {}, {}]",
            f"$.cases[0]: {NAMED}, got the relation combination",
        ),
        (
            "relation: combination\ncoefficients: [1, 0]\ncalls: [{}, {}]",
            "$.cases[0].coefficients: expected a last coefficient other than 0, got 0",
        ),
        ("relation: equal\norder: [0]\ncalls: [{}, {}]", f"$.cases[0]: {NAMED}, got the relation equal"),
        ("relation: permutation\ncalls: [{}, {}]", f"$.cases[0]: {NAMED}, got the relation permutation"),
        (
            "relation: permutation\norder: [0, 2]\ncalls: [{}, {}]",
            "$.cases[0].order: expected every position from 0 to 1 once, got 0, 2",
        ),
        (
            "relation: sum_of_first_is_second\ncalls: [{}, {}, {}]",
            "$.cases[0].calls: expected two calls for sum_of_first_is_second, got 3",
        ),
        (
            "questions: [value, gradient]\nrelation: equal\ncalls: [{}, {}]",
            "$.cases[0].questions: expected one question, which every call is asked, got value, gradient",
        ),
        ("kind: value\ncoefficients: [1, -1]", "$.cases[0].coefficients: expected a relation beside it, got none"),
        (
            "relation: equal\ncalls: [{}, {operation: my_loss}]",
            "$.cases[0].calls[1].operation: expected an operation (binary_cross_entropy, "
            "binary_cross_entropy_with_logits, binary_crossentropy, categorical_crossentropy, cross_entropy, "
            "distribution_cross_entropy, linear_cross_entropy, log_softmax, nll_loss, "
            'sparse_categorical_crossentropy), got "my_loss"',
        ),
        (
            "relation: equal\ncalls: [{}, {after: log_softmax}]",
            "$.cases[0].calls[1].after: expected what is an operation too (nll_loss after log_softmax), "
            "got cross_entropy after log_softmax",
        ),
        (
            "relation: equal\ncalls: [{}, {operation: log_softmax}]",
            "$.cases[0].calls[1].inputs: expected the inputs logits, in this order, got none",
        ),
        (
            "relation: equal\ncalls: [{}, {inputs: {target: [3]}}]",
            "$.cases[0].calls[1].inputs.target: expected an index below 3 (classes; kind policy may have others), "
            "got 3",
        ),
        (
            "relation: equal\ncalls: [{}, {parameters: {axis: 1}}]",
            "$.cases[0].calls[1].parameters.axis: expected a parameter of cross_entropy "
            '(weight, ignore_index, reduction, label_smoothing), got "axis"',
        ),
        (
            "relation: equal\ncalls: [{}, {cotangent: 2.0}]",
            "$.cases[0].cotangent: expected a question about a gradient beside it, got value",
        ),
    ],
)
def test_a_relation_that_says_nothing_is_an_error(read_case: ReadCase, lines: str, message: str) -> None:
    kind = "" if "kind:" in lines else "kind: relation\n"

    assert message == error_of(read_case, f"{INPUTS}\n{kind}{lines}")


# Transforms


def test_vmap_adds_an_axis_to_every_input(read_case: ReadCase) -> None:
    (case,) = read_case(
        "inputs: {logits: [[[1.0, 2.0]], [[3.0, 4.0]]], target: [[1], [0]]}\nkind: contract\ntransform: vmap\n"
        "parameters: {weight: [1.0, 2.0]}\ncotangent: [2.0, 3.0]"
    )

    assert ("vmap", (2, 1, 2)) == (case.transform, case.inputs["logits"].shape)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "inputs: {logits: [[[1.0, 2.0]], [[3.0, 4.0]]], target: [1]}",
            "$.cases[0].inputs: expected a leading axis of one length (transform vmap), got (2, 1, 2), (1,)",
        ),
        (
            "inputs: {logits: [[1.0, 2.0]], target: 1}",
            "$.cases[0].inputs: expected a leading axis of one length (transform vmap), got (1, 2), ()",
        ),
        (
            "inputs: {logits: {shape: [0, 1, 2], recipe: fill, value: 1.0}, target: "
            "{shape: [0, 1], recipe: fill, value: 0}}",
            "$.cases[0].inputs: expected a leading axis of one length (transform vmap), got (0, 1, 2), (0, 1)",
        ),
        (
            "inputs: {logits: [[[1.0, 2.0]], [[3.0, 4.0]]], target: [[1, 0], [0, 1]]}",
            "$.cases[0].inputs.target: expected the shape (1,), got (2,)",
        ),
        (
            "inputs: {logits: [[[1.0, 2.0]], [[3.0, 4.0]]], target: [[1], [2]]}",
            "$.cases[0].inputs.target: expected an index below 2 (classes; kind policy may have others), got 2",
        ),
        (
            "inputs: {logits: [[[1.0, 2.0]], [[3.0, 4.0]]], target: [[1], [0]]}\ncotangent: 2.0",
            "$.cases[0].cotangent: expected the shape (2,), got ()",
        ),
    ],
)
def test_a_slice_of_vmap_is_held_against_the_operation(read_case: ReadCase, lines: str, message: str) -> None:
    assert message == error_of(read_case, f"{lines}\nkind: contract\ntransform: vmap")


# Copies


HUGE = "inputs: {logits: [[1.0, 2.0]], target: [1]}\nprofile: huge\n"


def test_a_huge_case_states_one_row_and_how_often(read_case: ReadCase) -> None:
    (case,) = read_case(HUGE + "copies: 1000000")

    assert ("huge", 1000000, (1, 2)) == (case.profile, case.copies, case.inputs["logits"].shape)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (INPUTS + "\ncopies: 3", "$.cases[0]: expected copies exactly where the profile is huge, got profile default"),
        (HUGE, "$.cases[0]: expected copies exactly where the profile is huge, got profile huge"),
        (HUGE + "copies: 1", "$.cases[0].copies: expected greater than 1, got 1"),
        (
            "inputs: {logits: [[1.0, 2.0], [3.0, 4.0]], target: [1, 0]}\nprofile: huge\ncopies: 9",
            "$.cases[0].inputs.logits: expected a first axis of length 1, which is copied, got (2, 2)",
        ),
        (
            "inputs: {logits: [1.0], target: 0}\nprofile: huge\ncopies: 9",
            "$.cases[0].inputs.target: expected a first axis of length 1, which is copied, got ()",
        ),
    ],
)
def test_copies_that_cannot_be_made_are_an_error(read_case: ReadCase, lines: str, message: str) -> None:
    assert message == error_of(read_case, lines)


# What a kind may hold


def test_what_raises_on_purpose_may_break_shapes_and_choices(read_case: ReadCase) -> None:
    (case,) = read_case(
        "inputs: {logits: [[1.0, 2.0]], target: [1, 0]}\nkind: raises\nparameters: {reduction: average, weight: [1.0]}"
    )

    assert (case.kind, case.questions) == ("raises", ("value",))


def test_a_policy_may_have_labels_out_of_range(read_case: ReadCase) -> None:
    (case,) = read_case("inputs: {logits: [[1.0, 2.0]], target: [2]}\nkind: policy")

    assert case.kind == "policy"


def test_a_probability_outside_its_range_is_a_policy(read_case: ReadCase) -> None:
    with pytest.raises(SpecError) as error:
        read_case("inputs: {probs: [1.5], target: [1.0]}", "binary_cross_entropy")

    assert (
        str(error.value) == "topic.yaml:5 $.cases[0].inputs.probs: expected numbers from 0.0 to 1.0 "
        "(kind policy may have others), got 1.5"
    )


def test_an_ignored_label_may_lie_anywhere(read_case: ReadCase) -> None:
    (case,) = read_case("inputs: {logits: [[1.0, 2.0]], target: [255]}\nparameters: {ignore_index: 255}")

    assert case.inputs["target"].values == (255,)


def test_the_same_name_twice_is_an_error(spec: Path) -> None:
    case = "  - {name: one, why: Because., inputs: {logits: [[1.0, 2.0]], target: [1]}}\n"
    (spec / "cases" / "cross_entropy" / "topic.yaml").write_text('since: "0.1"\ncases:\n' + case + case)

    with pytest.raises(SpecError) as error:
        read_cases(spec)

    assert (
        str(error.value) == "topic.yaml:4 $: expected an id only once, got cross_entropy/topic/one (also topic.yaml:3)"
    )


def test_no_case_at_all_is_an_error(spec: Path) -> None:
    with pytest.raises(SpecError, match=r"cases:1 \$: expected a case, got an empty folder"):
        read_cases(spec)


def test_a_file_outside_an_operation_is_an_error(spec: Path) -> None:
    (spec / "cases" / "cross_entropy" / "Topic.yaml").write_text('since: "0.1"\ncases: []\n')

    with pytest.raises(SpecError, match=r"expected the path cases/<operation>/<topic>.yaml, got cross_entropy/Topic"):
        read_cases(spec)


def test_a_broken_file_is_an_error(spec: Path) -> None:
    (spec / "cases" / "cross_entropy" / "topic.yaml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(SpecError, match=r"topic.yaml:1 \$: expected a readable UTF-8 file, got 'utf-8' codec"):
        read_cases(spec)


def test_the_cases_of_the_spec_need_few_programs(cases: tuple[Case, ...]) -> None:
    assert len(shape_groups(cases)) <= MOST_GROUPS


def test_every_operation_has_cases(cases: tuple[Case, ...]) -> None:
    operations = {path.stem for path in (SPEC / "operations").glob("*.yaml")}

    assert operations == {case.operation for case in cases}


def test_every_reason_is_a_sentence(cases: tuple[Case, ...]) -> None:
    assert [case.id for case in cases if not (case.why.endswith(".") and " " in case.why)] == []


def test_no_case_asks_for_a_gradient_of_ones(cases: tuple[Case, ...]) -> None:
    ones = [case.id for case in cases if case.cotangent is not None and set(case.cotangent.values or ()) == {1.0}]

    assert ones == []


@pytest.mark.parametrize(
    ("case_id", "digits"),
    [
        ("cross_entropy/published/four-scores", ("0.7437",)),
        ("cross_entropy/published/two-rows", ("0.6809",)),
        ("cross_entropy/published/segmentation", ("0.7403",)),
        ("cross_entropy/published/random-rows-none", ("1.4639", "3.0493", "2.3056")),
        ("cross_entropy/published/random-rows-mean", ("2.2729",)),
        ("cross_entropy/published/random-rows-sum", ("6.8188",)),
        ("binary_cross_entropy/published/eight-tenths-against-four-tenths", ("1.0549",)),
        ("binary_cross_entropy_with_logits/published/eight-tenths-against-four-tenths", ("5.1066",)),
        ("distribution_cross_entropy/published/two-rows", ("1.176939193690798",)),
    ],
)
def test_published_digits_are_those_of_their_sources(
    cases: tuple[Case, ...], case_id: str, digits: tuple[str, ...]
) -> None:
    (published,) = [case.published for case in cases if case.id == case_id]

    assert published is not None
    assert published.digits == digits
