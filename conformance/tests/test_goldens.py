"""The goldens in spec/golden: whole, decodable, complete for every dialect, and reproducible."""

from __future__ import annotations

import itertools
import math
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_goldens import SPEC as READ
from made_goldens import held

from lossproof.judge import kind_of, lawful_answer, stored_answer
from lossproof.numerics import DTYPES, FORMATS
from lossproof.paths import SPEC
from lossproof.spec.dialects import read_rules
from lossproof.spec.errors import SpecError
from lossproof.spec.golden import Golden, array, golden_files, load_goldens

pytestmark = pytest.mark.numbers

LOSSPROOF = Path(sys.executable).parent / "lossproof"
SMALLEST = min(golden_files().values(), key=lambda path: path.stat().st_size)
GOLDENS = {operation: load_goldens(path) for operation, path in golden_files().items()}
EVERY = [golden for goldens in GOLDENS.values() for golden in goldens]
BOUNDS = ("rounding", "underflow", "weakness")


def parts(goldens: list[Golden]) -> Iterator[Golden]:
    for golden in goldens:
        yield from golden.parts


def numbers(golden: Golden) -> Iterator[Mapping[str, Any]]:
    """Every set of values with bounds that a golden stores: of elements, of sums, of further lawful answers."""
    for answer in golden.answers:
        if "values" in answer:
            for each in (answer, *answer.get("also", ())):
                yield each
                if "sums" in each:
                    yield each["sums"]


def test_every_operation_has_goldens() -> None:
    assert set(READ.operations) == set(GOLDENS)


def test_ids_are_unique() -> None:
    ids = [golden.id for golden in EVERY]

    assert len(set(ids)) == len(ids) > 2000


@pytest.mark.parametrize("operation", GOLDENS)
def test_goldens_are_of_their_operation(operation: str) -> None:
    strangers = [
        golden.id
        for golden in GOLDENS[operation]
        if golden.operation != operation or not golden.id.startswith(f"{operation}/")
    ]

    assert [] == strangers


@pytest.mark.parametrize("operation", GOLDENS)
def test_every_dialect_finds_its_answer(operation: str) -> None:
    found = [
        stored_answer(golden, dialect.operations[golden.operation])
        for golden in parts(GOLDENS[operation])
        for dialect in READ.dialects.values()
        if golden.operation in dialect.operations
    ]

    assert all({"values", "raises", "undefined"} & answer.keys() for answer in found)


@pytest.mark.parametrize("operation", GOLDENS)
def test_every_combination_of_rules_finds_exactly_one_answer(operation: str) -> None:
    rules = {name: rule.values for name, rule in read_rules().items()}
    combinations = {
        name: [
            dict(zip(each.rules, values, strict=True))
            for values in itertools.product(*(rules[rule] for rule in each.rules))
        ]
        for name, each in READ.operations.items()
    }

    counts = {
        sum(all(chosen[name] == value for name, value in answer["rules"].items()) for answer in golden.answers)
        for golden in parts(GOLDENS[operation])
        for chosen in combinations[golden.operation]
    }

    assert {1} == counts


@pytest.mark.parametrize("operation", GOLDENS)
def test_home_goldens_are_hazards_only_for_a_stated_reason(operation: str) -> None:
    dialects = {name: READ.dialects[each.home_dialect] for name, each in READ.operations.items()}
    hazards = [golden for golden in GOLDENS[operation] if kind_of(golden, dialects) == "hazard" != golden.kind]

    reasons = [
        [lawful_answer(part, dialects[part.operation]).get("undefined", "") for part in golden.parts]
        for golden in hazards
    ]

    assert all(any(each) for each in reasons)


def test_cotangents_are_never_all_ones() -> None:
    ones = [
        golden.id
        for golden in EVERY
        if golden.cotangent is not None
        and (cotangent := array(golden.cotangent).astype(np.float64)).size
        and (cotangent == 1).all()
    ]

    assert [] == ones


def test_a_cotangent_has_the_shape_of_the_value() -> None:
    shapes = {golden.id: golden.shape for golden in EVERY if golden.question == "value"}

    odd = [
        golden.id
        for golden in EVERY
        if golden.cotangent is not None
        and (value := golden.id.replace("-gradient]", "-value]")) in shapes
        and tuple(golden.cotangent["shape"]) != shapes[value]
    ]

    assert [] == odd


def test_bounds_are_finite_and_not_negative_wherever_the_answer_is_finite() -> None:
    odd = [
        (golden.id, name)
        for golden in parts(EVERY)
        for each in numbers(golden)
        for name in BOUNDS
        for value, bound in zip(each["values"], each[name], strict=True)
        if math.isfinite(float(value)) and not 0 <= bound < math.inf
    ]

    assert [] == odd


def test_decimals_have_at_most_25_digits() -> None:
    longest = max(
        len(value.lstrip("-").split("E")[0].split("e")[0].replace(".", "").lstrip("0"))
        for golden in parts(EVERY)
        for each in numbers(golden)
        for value in each["values"]
    )

    assert 25 == longest


def test_values_fit_the_shape_or_the_probes() -> None:
    odd = [
        golden.id
        for golden in parts(EVERY)
        for answer in golden.answers
        if "values" in answer
        and len(answer["values"]) != (math.prod(golden.shape) if golden.positions is None else len(golden.positions))
    ]

    assert [] == odd


def test_runs_cover_large_answers_without_gaps() -> None:
    odd = []
    for golden in parts(EVERY):
        if golden.positions is not None and golden.copies == 1:
            stops = [0, *[stop for _, stop in golden.runs]]
            if [start for start, _ in golden.runs] != stops[:-1] or stops[-1] != math.prod(golden.shape):
                odd.append(golden.id)

    assert [] == odd


def test_tensors_decode_to_their_shape_and_dtype() -> None:
    odd = []
    for golden in parts(EVERY):
        tensors = [*golden.inputs.values(), *golden.parameters.values(), golden.cotangent]
        for stored in tensors:
            if isinstance(stored, dict):
                decoded = array(stored)
                if (list(decoded.shape), str(decoded.dtype)) != (stored["shape"], stored["dtype"]):
                    odd.append(golden.id)

    assert [] == odd


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_are_decoded_most_significant_first(dtype: str) -> None:
    values = held(dtype, [1.0, -2.5, 2.0**-20, math.inf, -0.0])
    words = values.astype(FORMATS[dtype].storage).view(f"u{FORMATS[dtype].storage.itemsize}").tolist()
    width = 2 * FORMATS[dtype].storage.itemsize

    decoded = array({"dtype": dtype, "shape": [5], "bits": " ".join(f"{word:0{width}x}" for word in words)})

    assert values.tolist() == decoded.astype(np.float64).tolist()
    assert math.copysign(1, float(decoded[4])) == -1


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace('"rounding":[', '"rounding":[9', 1),
        lambda text: text[:-2],
        lambda text: text + "\n",
        lambda text: text.replace("sha256", "sha255", 1),
        lambda text: text.split("\n", 1)[1],
        lambda text: "",
    ],
    ids=["a bound", "the end", "a line more", "the key", "the first line", "everything"],
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, damage: Any) -> None:
    damaged = tmp_path / SMALLEST.name
    damaged.write_bytes(damage(SMALLEST.read_text(encoding="utf-8")).encode())

    with pytest.raises(SpecError) as error:
        load_goldens(damaged)

    assert str(damaged) in str(error.value)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"missing\.json"):
        load_goldens(tmp_path / "missing.json")


def test_bytes_that_are_no_text_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "noise.json").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(SpecError, match=r"noise\.json"):
        load_goldens(tmp_path / "noise.json")


def test_a_folder_without_goldens_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="golden"):
        golden_files(tmp_path)


def test_an_operation_compiles_to_the_committed_file_byte_for_byte(tmp_path: Path) -> None:
    operation = SMALLEST.stem
    for name in ("operations", "dialects"):
        shutil.copytree(SPEC / name, tmp_path / name)
    shutil.copytree(SPEC / "cases" / operation, tmp_path / "cases" / operation)
    shutil.copy(SPEC / "rules.yaml", tmp_path)

    # In a process of its own: compiling forks, which this one must not where another test has imported JAX.
    subprocess.run([LOSSPROOF, "spec", "compile", "--folder", tmp_path], check=True, stdout=subprocess.DEVNULL)

    assert SMALLEST.read_bytes() == (tmp_path / "golden" / SMALLEST.name).read_bytes()
