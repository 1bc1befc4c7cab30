"""Shapes of answers follow from those of the inputs, and questions name the input that they are about."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from made_goldens import SPEC as READ

from lossproof.paths import SPEC
from lossproof.spec.dialects import read_dialects
from lossproof.spec.errors import SpecError
from lossproof.spec.operations import read_operations
from lossproof.spec.shapes import answer_shape, class_count, shape_of

LINEAR = READ.operations["linear_cross_entropy"]
INPUTS = {"input": (5, 2), "linear_weight": (3, 2), "target": (5,)}


@pytest.mark.parametrize(
    ("question", "reduction", "shape"),
    [
        ("value", "none", (5,)),
        ("value", "mean", ()),
        ("gradient", "none", (5, 2)),
        ("gradient-linear_weight", "mean", (3, 2)),
    ],
)
def test_an_answer_has_the_shape_of_the_result_or_of_the_differentiated_input(
    question: str, reduction: str, shape: tuple[int, ...]
) -> None:
    assert shape == answer_shape(LINEAR, question, INPUTS, {"reduction": reduction})


@pytest.mark.parametrize(
    ("question", "shape"), [("hessian", (2, 3, 4)), ("tangent", (2, 4)), ("gradient-target", (9,))]
)
def test_a_hessian_product_is_a_gradient_and_a_tangent_a_value(question: str, shape: tuple[int, ...]) -> None:
    inputs = {"logits": (2, 3, 4), "target": (9,)}

    assert shape == answer_shape(READ.operations["cross_entropy"], question, inputs, {"reduction": "none"})


@pytest.mark.parametrize(
    ("features", "word", "shape"),
    [
        ((5, 2), "rows classes", (5, 3)),
        ((2,), "rows classes", (3,)),
        ((5, 2), "rows", (5,)),
        ((2,), "rows", ()),
        ((5, 2), "classes features", (3, 2)),
        ((5, 2), "classes", (3,)),
    ],
)
def test_classes_may_be_rows_of_another_input(features: tuple[int, ...], word: str, shape: tuple[int, ...]) -> None:
    assert shape == shape_of(word, LINEAR, {**INPUTS, "input": features}, {})


def test_classes_are_counted_where_they_are() -> None:
    softmax = READ.operations["log_softmax"]

    assert (3, 7) == (class_count(LINEAR, INPUTS, {}), class_count(softmax, {"logits": (2, 7)}, {}))


@pytest.mark.parametrize(("question", "position"), [("value", 0), ("gradient", 0), ("gradient-linear_weight", 1)])
def test_a_question_names_the_input_that_it_is_about(question: str, position: int) -> None:
    assert position == LINEAR.position(question)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("gradient, tangent]", "gradient, gradient-axis, tangent]", "gradient-<input> of a differentiable input"),
        (
            "gradient, tangent]",
            "gradient]",
            "expected one for each question (value, gradient), got value, gradient, tan",
        ),
    ],
)
def test_a_question_that_cannot_be_asked_is_an_error(tmp_path: Path, old: str, new: str, message: str) -> None:
    shutil.copytree(SPEC / "operations", tmp_path / "operations")
    path = tmp_path / "operations" / "log_softmax.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")

    with pytest.raises(SpecError) as error:
        read_operations(tmp_path)

    assert message in str(error.value)


def test_a_dialect_may_promise_properties(tmp_path: Path) -> None:
    for name in ("operations", "dialects"):
        shutil.copytree(SPEC / name, tmp_path / name)
    shutil.copy(SPEC / "rules.yaml", tmp_path)
    path = tmp_path / "dialects" / "textbook.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "promises: [batch-invariant]\n", encoding="utf-8")

    dialects = read_dialects(read_operations(tmp_path), tmp_path)

    assert (("batch-invariant",), ()) == (dialects["textbook"].promises, dialects["torch"].promises)
