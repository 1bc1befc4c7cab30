"""Operations, dialects, workloads and schemas: the shipped ones, and broken ones."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from lossproof.case import Tensor
from lossproof.paths import SPEC
from lossproof.spec import SpecError
from lossproof.spec.dialects import read_dialects, read_rules
from lossproof.spec.operations import read_operations
from lossproof.spec.schema import schemas, write_schemas
from lossproof.spec.shapes import result_shape
from lossproof.spec.workloads import Workload, read_workloads
from lossproof.spec.yaml import read_document

WIDTH = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2}


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    for name in ("operations", "dialects", "workloads"):
        shutil.copytree(SPEC / name, tmp_path / name)
    shutil.copy(SPEC / "rules.yaml", tmp_path)
    return tmp_path


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_inputs_come_in_the_order_of_the_contract() -> None:
    orders = {name: operation.input_names for name, operation in read_operations().items()}

    assert orders == {
        "binary_cross_entropy": ("probs", "target"),
        "binary_cross_entropy_with_logits": ("logits", "target"),
        "binary_crossentropy": ("target", "probs"),
        "categorical_crossentropy": ("target", "probs"),
        "cross_entropy": ("logits", "target"),
        "distribution_cross_entropy": ("p", "q"),
        "linear_cross_entropy": ("input", "linear_weight", "target"),
        "log_softmax": ("logits",),
        "nll_loss": ("log_probs", "target"),
        "sparse_categorical_crossentropy": ("target", "probs"),
    }


def test_the_prediction_is_differentiated() -> None:
    operations = read_operations().values()

    assert all(operation.inputs[operation.position("gradient")].role == "prediction" for operation in operations)


def test_every_rule_is_used_and_every_operation_s_rule_is_defined() -> None:
    used = {rule for operation in read_operations().values() for rule in operation.rules}

    assert used == set(read_rules())


def test_a_dialect_that_extends_another_differs_in_what_it_states(spec: Path) -> None:
    replace(spec / "dialects/liger.yaml", "overwrites:", "operations: {nll_loss: {empty_mean: zero}}\noverwrites:")
    dialects = read_dialects(read_operations(spec), spec)
    torch, liger = dialects["torch"], dialects["liger"]

    rules = {**torch.operations, "nll_loss": {**torch.operations["nll_loss"], "empty_mean": "zero"}}
    assert (rules, torch.label_dtypes) == (liger.operations, liger.label_dtypes)
    assert ((), ("logits",)) == (torch.overwrites, liger.overwrites)
    assert liger.summary.startswith("Liger-Kernel")


def test_every_dialect_answers_every_rule_of_the_operations_that_it_covers() -> None:
    operations = read_operations()
    answers = {
        (dialect.name, name): tuple(sorted(rules))
        for dialect in read_dialects(operations).values()
        for name, rules in dialect.operations.items()
    }

    assert answers == {(dialect, name): tuple(sorted(operations[name].rules)) for dialect, name in answers}


COVERING = [name for name, dialect in read_dialects(read_operations()).items() if "log_softmax" in dialect.operations]


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "dialects/torch.yaml",
            "dialect: torch",
            "dialect: tortch",
            'torch.yaml $.dialect: expected the file\'s name, torch, got "tortch"',
        ),
        (
            "dialects/liger.yaml",
            "extends: torch",
            "extends: torch_autocast",
            "liger.yaml $.extends: expected one of jax, keras, mlx, onnx, optax, paddle, sklearn, tensorflow, "
            'textbook, tfjs, tinygrad, torch, got "torch_autocast"',
        ),
        (
            "dialects/liger.yaml",
            "overwrites: [logits]",
            "overwrites: [weight]",
            "liger.yaml $.overwrites[0]: expected one of input, linear_weight, log_probs, logits, probs, target, got "
            '"weight"',
        ),
        (
            "dialects/keras.yaml",
            "label_dtypes: [int8, int16, int32, int64, uint8]\n",
            "",
            "keras.yaml $: expected the key label_dtypes, got none",
        ),
        (
            "dialects/keras.yaml",
            "clip: keras",
            "clip: never",
            "keras.yaml $.operations.categorical_crossentropy.clip: expected one of keras, machine_epsilon, none, "
            'got "never"',
        ),
        (
            "dialects/keras.yaml",
            "clip: keras",
            "crop: keras",
            "keras.yaml $.operations.categorical_crossentropy: expected the key clip, got none",
        ),
        (
            "dialects/keras.yaml",
            "{clip: keras",
            "{empty_mean: nan, clip: keras",
            "keras.yaml $.operations.categorical_crossentropy.empty_mean: expected a rule of categorical_crossentropy, "
            'got "empty_mean"',
        ),
        (
            "dialects/torch.yaml",
            "  log_softmax:",
            "  log_hardmax:",
            "torch.yaml $.operations.log_hardmax: expected one of binary_cross_entropy, "
            "binary_cross_entropy_with_logits, "
            "binary_crossentropy, categorical_crossentropy, cross_entropy, distribution_cross_entropy, "
            "linear_cross_entropy, log_softmax, "
            "nll_loss, "
            'sparse_categorical_crossentropy, got "log_hardmax"',
        ),
        (
            "operations/log_softmax.yaml",
            "rules: []",
            "rules: [clap]",
            "log_softmax.yaml $.rules: expected one of empty_mean, smoothing_weight, smoothing_share, "
            "zero_times_infinity, "
            "bad_values, target_range, default_ignore_index, log_epsilon, log_clamp, target_log_clamp, clip, "
            "renormalise, "
            'got "clap"',
        ),
        (
            "operations/log_softmax.yaml",
            "home_dialect: torch",
            "home_dialect: nobody",
            "log_softmax.yaml $.home_dialect: expected a dialect that covers log_softmax "
            f'({", ".join(COVERING)}), got "nobody"',
        ),
        (
            "operations/log_softmax.yaml",
            "operation: log_softmax",
            "operation: softmax",
            'log_softmax.yaml $.operation: expected the file\'s name, log_softmax, got "softmax"',
        ),
        (
            "operations/log_softmax.yaml",
            "differentiable: [logits]",
            "differentiable: [probs]",
            'log_softmax.yaml $.differentiable[0]: expected the name of an input, got "probs"',
        ),
        (
            "operations/log_softmax.yaml",
            "class_axis: axis",
            "class_axis: dim",
            'log_softmax.yaml $.class_axis: expected second, last or the name of a parameter, got "dim"',
        ),
        (
            "operations/log_softmax.yaml",
            "shape: rows classes",
            "shape: square",
            "log_softmax.yaml $.inputs[0].shape: expected rows, rows classes, elements, rows features, "
            "classes features or 'rows, or rows classes when "
            'floating\', got "square"',
        ),
        (
            "operations/log_softmax.yaml",
            "    type: integer",
            "    type: choice",
            "log_softmax.yaml $.parameters.axis: expected choices exactly where type is choice, got null",
        ),
        (
            "operations/nll_loss.yaml",
            "    shape: classes\n",
            "",
            "nll_loss.yaml $.parameters.weight: expected a shape exactly where type is tensor, got null",
        ),
        (
            "operations/nll_loss.yaml",
            "ignored_by: ignore_index",
            "ignored_by: padding",
            'nll_loss.yaml $.inputs[1].ignored_by: expected the name of a parameter, got "padding"',
        ),
    ],
)
def test_a_broken_definition_is_an_error_with_its_place(
    spec: Path, file: str, old: str, new: str, message: str
) -> None:
    replace(spec / file, old, new)

    with pytest.raises(SpecError) as error:
        read_dialects(read_operations(spec), spec)

    assert message == re.sub(r"^([a-z_.]+):[0-9]+ ", r"\1 ", str(error.value))


def test_a_folder_without_operations_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"operations:1 \$: expected an operation, got an empty folder"):
        read_operations(tmp_path)


def test_a_workload_of_an_unknown_operation_is_an_error(spec: Path) -> None:
    replace(spec / "workloads" / "nll-loss-imagenet.yaml", "operation: nll_loss", "operation: nil_loss")

    with pytest.raises(SpecError, match=r"nll-loss-imagenet.yaml:2 \$.operation: expected one of .*, got \"nil_loss\""):
        read_workloads(spec)


def test_a_workload_must_fit_its_operation(spec: Path) -> None:
    replace(spec / "workloads" / "nll-loss-imagenet.yaml", "shape: [4096],", "shape: [4095],")

    with pytest.raises(SpecError, match=r"inputs.target: expected the shape \(4096,\), got \(4095,\)"):
        read_workloads(spec)


def test_every_operation_has_a_workload() -> None:
    assert {workload.operation for workload in read_workloads().values()} == set(read_operations())


@pytest.mark.parametrize("name", sorted(read_workloads()))
def test_bytes_are_inputs_read_and_results_written_once(name: str) -> None:
    workload = read_workloads()[name]

    assert (workload.value_bytes, workload.gradient_bytes) == bytes_that_move(workload)


def bytes_that_move(workload: Workload) -> tuple[int, int]:
    operation = read_operations()[workload.operation]
    width = WIDTH[workload.dtype]
    prediction = operation.differentiable[0]
    written = width * math.prod(workload.inputs[prediction].shape)
    read = {each: size_in_bytes(tensor, width) for each, tensor in workload.inputs.items()}
    shapes = {each: tensor.shape for each, tensor in workload.inputs.items()}
    result = width * math.prod(result_shape(operation, shapes, workload.parameters))
    if operation.name == "nll_loss":
        rows = math.prod(workload.inputs["target"].shape)
        return rows * width + read["target"] + result, read["target"] + result + written
    return sum(read.values()) + result, sum(read.values()) + result + written


def size_in_bytes(tensor: Tensor, width: int) -> int:
    return math.prod(tensor.shape) * (8 if tensor.kind == "integer" else width)


def test_the_committed_schemas_are_those_of_the_models() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in (SPEC / "schema").glob("*.schema.json")}

    assert schemas().items() <= committed.items()


def test_schemas_are_written_where_asked(tmp_path: Path) -> None:
    write_schemas(tmp_path / "schema")

    assert {path.name for path in (tmp_path / "schema").iterdir()} == set(schemas())


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        ("cases", "cases/*/*.yaml"),
        ("operation", "operations/*.yaml"),
        ("dialect", "dialects/*.yaml"),
        ("rules", "rules.yaml"),
        ("workload", "workloads/*.yaml"),
    ],
)
def test_every_file_of_the_spec_satisfies_its_schema(schema: str, pattern: str) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(schemas()[f"{schema}.schema.json"]))
    paths = sorted(SPEC.glob(pattern))
    errors = [error.message for path in paths for error in validator.iter_errors(read_document(path).data)]

    assert paths != []
    assert errors == []


def test_a_schema_refuses_a_misspelt_key() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(schemas()["cases.schema.json"]))

    assert not validator.is_valid({"since": "0.1", "cases": [{"name": "a", "why": "b", "input": {}}]})


def test_the_surface_of_the_package_needs_no_pydantic() -> None:
    code = "import sys, lossproof.spec; sys.exit('pydantic' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
