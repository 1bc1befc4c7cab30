"""Goldens as files: written with a checksum, read one operation at a time."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lossproof.case import Number, Recipe, Tensor
from lossproof.materialise import materialise
from lossproof.numerics import FORMATS
from lossproof.paths import SPEC
from lossproof.spec.errors import SpecError

Json = dict[str, Any]

SPEC_VERSION = "0.2"
LARGEST_WHOLE = 512
_FORMAT = 2


@dataclass(frozen=True, slots=True)
class Golden:
    """A case made exact for one dtype and one question; `answers` hold one answer per combination of rule values.

    Tensors stay as the file has them until `array` decodes them. A relation has `calls` and no answers of its own; each
    of these is a golden whose first input goes through the operation `after` before, where that is stated. With
    `copies` the implementation gets each input that many times along its first axis, of length 1 here.
    """

    id: str
    case: str
    operation: str
    dtype: str
    question: str
    kind: str
    why: str
    inputs: Mapping[str, Json]
    parameters: Mapping[str, Any]
    shape: tuple[int, ...]
    answers: tuple[Json, ...]
    cotangent: Json | None = None
    direction: Json | None = None
    positions: tuple[int, ...] | None = None
    runs: tuple[tuple[int, int], ...] = ()
    relation: Json | None = None
    calls: tuple[Golden, ...] = ()
    after: str | None = None
    transform: str | None = None
    profile: str = "default"
    copies: int = 1
    flags: tuple[Json, ...] = ()
    source: Json | None = None

    @property
    def topic(self) -> str:
        """The second part of the id: the file that the case is written in."""
        return self.case.split("/")[1]

    @property
    def parts(self) -> tuple[Golden, ...]:
        """What is asked of an implementation: the calls of a relation, or the golden itself."""
        return self.calls or (self,)


def dump_goldens(operation: str, cases: Mapping[str, Json]) -> str:
    """Text of a golden file: a checksum of all that follows it, then a line for each case and dtype."""
    lines = [f'"format":{_FORMAT},"spec":"{SPEC_VERSION}","operation":"{operation}","cases":{{']
    for number, (name, case) in enumerate(cases.items()):
        head = {key: value for key, value in case.items() if key != "goldens"}
        lines.append(f'{_dumps(name)}:{_dumps(head)[:-1]},"goldens":{{')
        goldens = [f"{_dumps(dtype)}:{_dumps(golden)}" for dtype, golden in case["goldens"].items()]
        lines.append(",\n".join(goldens))
        lines.append("}}" + ("," if number + 1 < len(cases) else ""))
    lines.append("}}\n")
    body = "\n".join(lines)
    return f'{{"sha256":"{hashlib.sha256(body.encode()).hexdigest()}",\n{body}'


def golden_files(folder: Path = SPEC) -> Mapping[str, Path]:
    """Golden files by operation, sorted; raises SpecError where there are none."""
    paths = {path.stem: path for path in sorted((folder / "golden").glob("*.json"))}
    if not paths:
        raise SpecError(
            f"{folder / 'golden'}: expected golden files, found none; compile them with `lossproof spec compile`"
        )
    return paths


def load_goldens(path: Path) -> list[Golden]:
    """The goldens of one file, by case and dtype; raises SpecError where its checksum does not hold."""
    try:
        # As the bytes are: the checksum holds for line ends too.
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as why:
        raise SpecError(f"{path}: cannot be read ({why})") from why
    head, _, body = text.partition("\n")
    found = hashlib.sha256(body.encode()).hexdigest()
    if head != f'{{"sha256":"{found}",':
        raise SpecError(f"{path}:1 $.sha256: expected {found} (of what follows), got {head[:90]}; the file is damaged")
    data = json.loads(text)
    if data["format"] != _FORMAT:
        raise SpecError(
            f"{path} $.format: expected {_FORMAT}, got {data['format']}; another version of lossproof wrote it"
        )
    return [golden for name, case in data["cases"].items() for golden in goldens_of(name, case, data["operation"])]


def goldens_of(name: str, case: Json, operation: str) -> Iterator[Golden]:
    """The goldens of a case as a golden file holds it."""
    for dtype, stored in case["goldens"].items():
        for question, asked in stored.items():
            if question not in ("inputs", "parameters"):
                yield _golden(name, case, operation, dtype, question, stored, asked)


def _golden(name: str, case: Json, operation: str, dtype: str, question: str, stored: Json, asked: Json) -> Golden:
    return Golden(
        id=f"{name}[{dtype}-{question}]",
        case=name,
        operation=operation,
        dtype=dtype,
        question=question,
        kind=case["kind"],
        why=case["why"],
        inputs=stored["inputs"],
        parameters=stored["parameters"],
        shape=tuple(asked.get("shape", ())),
        answers=tuple(asked.get("answers", ())),
        cotangent=asked.get("cotangent"),
        direction=asked.get("direction"),
        positions=tuple(asked["positions"]) if "positions" in asked else None,
        runs=tuple((start, stop) for start, stop in asked.get("runs", ())),
        relation=case.get("relation"),
        calls=tuple(_call(name, case, operation, dtype, stored, call) for call in asked.get("calls", ())),
        after=stored.get("after"),
        transform=case.get("transform"),
        profile=case.get("profile", "default"),
        copies=case.get("copies", 1),
        flags=tuple(case.get("flags", ())),
        source=case.get("source"),
    )


def _call(name: str, case: Json, operation: str, dtype: str, stored: Json, call: Json) -> Golden:
    """One call of a relation: what it does not state is the case's."""
    whole = {**stored, **call}
    return _golden(name, case, call.get("operation", operation), dtype, call["question"], whole, call)


def array(stored: Mapping[str, Any]) -> npt.NDArray[Any]:
    """A tensor of a golden file as an array of its dtype, in C order."""
    dtype, shape = stored["dtype"], tuple(stored["shape"])
    if "bits" in stored:
        storage = FORMATS[dtype].storage
        words = np.frombuffer(bytes.fromhex(stored["bits"]), dtype=f">u{storage.itemsize}")
        return words.astype(f"<u{storage.itemsize}").view(storage).reshape(shape)
    if "values" in stored:
        return np.array(stored["values"], dtype=dtype).reshape(shape)
    floating = dtype in FORMATS
    number = float if floating else int
    recipe = Recipe(
        stored["recipe"],
        stored.get("seed", 0),
        stored.get("scale", 1.0),
        stored.get("below", 0),
        number(stored.get("value", 0)),
        tuple(number(term) for term in stored.get("terms", ())),
    )
    tensor = Tensor(shape, "floating" if floating else "integer", recipe=recipe, dtype=None if floating else dtype)
    return materialise(tensor, dtype)


def store(tensor: Tensor, dtype: str) -> Json:
    """A tensor as golden files have it, the inverse of `array`.

    Bits in hexadecimal, most significant first; integers as they are; a recipe where the tensor is large.
    """
    written: Json = {
        "dtype": tensor.dtype or "int64" if tensor.kind == "integer" else dtype,
        "shape": list(tensor.shape),
    }
    if tensor.layout:
        written["layout"] = tensor.layout
    if tensor.recipe and int(np.prod(tensor.shape)) > LARGEST_WHOLE:
        recipe = tensor.recipe
        return written | {"recipe": recipe.name, **_recipe_terms(recipe)}
    array = materialise(tensor, dtype)
    if tensor.kind == "integer":
        return written | {"values": array.ravel().tolist()}
    width = FORMATS[dtype].storage.itemsize
    words = np.ascontiguousarray(array).ravel().view(f"<u{width}").tolist()
    return written | {"bits": " ".join(f"{word:0{2 * width}x}" for word in words)}


def _recipe_terms(recipe: Recipe) -> Json:
    match recipe.name:
        case "fill":
            return {"value": _word(recipe.value)}
        case "periodic":
            return {"terms": [_word(term) for term in recipe.terms]}
        case "hash_index":
            return {"seed": recipe.seed, "below": recipe.below}
    return {"seed": recipe.seed, "scale": recipe.scale}


def _word(number: Number) -> Number | str:
    """A number as JSON can carry it: special values are strings."""
    return number if math.isfinite(number) else repr(float(number))


def _dumps(data: Any) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
