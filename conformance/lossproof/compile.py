"""Compiling cases into goldens: exact inputs, certified answers, error bounds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lossproof.case import Call, Case, Question, Recipe, Relation, Scalar, Tensor
from lossproof.materialise import materialise
from lossproof.oracle.certify import Asked, Certified, Numbers, Probes, Sums, certify
from lossproof.spec.cases import read_cases
from lossproof.spec.dialects import Dialect, read_dialects, read_rules
from lossproof.spec.errors import SpecError
from lossproof.spec.golden import LARGEST_WHOLE, Golden, dump_goldens, goldens_of, store
from lossproof.spec.operations import Operation, read_operations
from lossproof.spec.shapes import answer_shape

Json = dict[str, Any]

_PROBES_BY_HASH = 24
_RUNS = 128
_SHORTEST_RUN = 32
_BLOCK_EDGES = (31, 32, 33, 63, 64, 127, 128, 129, 255, 256, 257, 511, 512, 1023, 1024, 2047, 2048, 4095, 4096, 32767)
# Never all ones, and of both signs: a backward that ignores its incoming gradient must not pass.
_SCALAR_COTANGENT = 1.25
_COTANGENTS = (1.25, -0.5, 2.0, 0.75, -1.5, 0.375, -0.875)
_DIRECTIONS = (0.5, -1.25, 0.75, 1.0, -0.625)


@dataclass(frozen=True)
class Sources:
    """What the oracle needs beside a case: operations, dialects, and the values of each rule."""

    operations: Mapping[str, Operation]
    dialects: Mapping[str, Dialect]
    choices: Mapping[str, Sequence[str]]

    def home(self, operation: str) -> Mapping[str, str]:
        """The rules of an operation's home dialect."""
        return self.dialects[self.operations[operation].home_dialect].operations[operation]


def read_sources(folder: Path) -> Sources:
    """The sources of a spec folder; raises SpecError."""
    operations = read_operations(folder)
    choices = {name: tuple(rule.values) for name, rule in read_rules(folder).items()}
    return Sources(operations, read_dialects(operations, folder), choices)


def compile_spec(folder: Path) -> Mapping[str, str]:
    """Text of each golden file by operation, from the cases in a spec folder; raises SpecError on a broken spec."""
    sources, cases = read_sources(folder), read_cases(folder)
    with ProcessPoolExecutor() as pool:
        compiled = list(pool.map(_compile_case, cases, itertools.repeat(sources), chunksize=4))
    return {name: dump_goldens(name, _of(name, cases, compiled)) for name in sources.operations}


def compile_one(case: Case, sources: Sources) -> list[Golden]:
    """The goldens of one case, as a golden file would hold them."""
    return list(goldens_of(case.id, _compile_case(case, sources), case.operation))


def _of(name: str, cases: Sequence[Case], compiled: Sequence[Json]) -> dict[str, Json]:
    return {case.id: entry for case, entry in zip(cases, compiled, strict=True) if case.operation == name}


def _compile_case(case: Case, sources: Sources) -> Json:
    entry: Json = {"kind": case.kind, "why": case.why, "since": case.since}
    if case.flags:
        entry["flags"] = [_stated(bug=flag.bug, link=flag.link) for flag in case.flags]
    if case.source:
        entry["source"] = _stated(title=case.source.title, link=case.source.link)
    if case.relation:
        entry["relation"] = _relation(case.relation)
    entry |= _stated(
        transform=case.transform,
        profile=case.profile if case.profile != "default" else None,
        copies=case.copies if case.copies > 1 else None,
    )
    entry["goldens"] = {dtype: _compile_dtype(case, sources, dtype) for dtype in case.dtypes}
    return entry


def _relation(relation: Relation) -> Json:
    return {
        "name": relation.name,
        **_stated(coefficients=list(relation.coefficients), order=list(relation.order), promise=relation.promise),
        **({"axis": relation.axis} if relation.order else {}),
    }


def _stated(**keys: Any) -> Json:
    """The keys that say something."""
    return {key: value for key, value in keys.items() if value}


def _compile_dtype(case: Case, sources: Sources, dtype: str) -> Json:
    golden: Json = {
        "inputs": {name: store(tensor, dtype) for name, tensor in case.inputs.items()},
        "parameters": _parameters(case.parameters, dtype),
    }
    if case.kind == "raises":
        return golden | {"value": {"answers": [{"rules": {}, "raises": case.why}]}}
    if case.relation:
        calls = [_compile_call(case, call, sources, dtype) for call in case.relation.calls]
        return golden | {"relation": {"calls": calls}}
    for question in case.questions:
        golden[question] = _question(case, case.call, sources, dtype, question)
    return golden


def _compile_call(case: Case, call: Call, sources: Sources, dtype: str) -> Json:
    """A call of a relation: what differs from the case, and what must come out."""
    question = case.questions[0]
    inputs = {name: store(tensor, dtype) for name, tensor in call.inputs.items()} if call.inputs != case.inputs else {}
    return {
        **_stated(operation=call.operation if call.operation != case.operation else None, after=call.after),
        **_stated(inputs=inputs),
        "parameters": _parameters(call.parameters, dtype),
        "question": question,
        **_question(case, call, sources, dtype, question),
    }


def _question(case: Case, call: Call, sources: Sources, dtype: str, question: Question) -> Json:
    call = _composed(call, sources.operations)
    operation = sources.operations[call.operation]
    shapes = {name: _shape(tensor, case) for name, tensor in call.inputs.items()}
    slices = {name: shape[1:] for name, shape in shapes.items()} if case.transform == "vmap" else shapes
    leading = next(iter(shapes.values()))[:1] if case.transform == "vmap" else ()
    shape = leading + answer_shape(operation, question, slices, call.parameters)
    compiled: Json = {}
    asked = Asked(
        operation.name,
        dtype,
        {name: _numbers(tensor, dtype) for name, tensor in call.inputs.items()},
        {n: _numbers(value, dtype) if isinstance(value, Tensor) else value for n, value in call.parameters.items()},
        question=question,
        mapped=case.transform == "vmap",
        copies=case.copies,
    )
    if question not in ("value", "tangent"):
        of_one = {name: tensor.shape for name, tensor in call.inputs.items()} if case.copies > 1 else slices
        stated = call.cotangent or _default_cotangent(
            leading + answer_shape(operation, "value", of_one, call.parameters)
        )
        compiled["cotangent"] = store(stated, dtype)
        asked = replace(asked, cotangent=materialise(stated, dtype).astype(np.float64))
    if question in ("hessian", "tangent"):
        stated = case.direction or _default_direction(shapes[operation.differentiable[0]])
        compiled["direction"] = store(stated, dtype)
        asked = replace(asked, direction=materialise(stated, dtype).astype(np.float64))
    compiled["shape"] = list(shape)
    probes = _probes(math.prod(shape)) if case.copies == 1 else _probes_of_copies(shape)
    if probes:
        compiled |= _stated(positions=list(probes.positions), runs=[list(run) for run in probes.runs])
        asked = replace(asked, probes=_in_one_copy(probes, shape) if case.copies > 1 else probes)
    compiled["answers"] = [_answer(answer) for answer in certify(asked, sources.home(operation.name), sources.choices)]
    return compiled


def _composed(call: Call, operations: Mapping[str, Operation]) -> Call:
    """The one operation that a call through two of them amounts to, by the same reference algorithm."""
    if call.after is None:
        return call
    for operation in operations.values():
        if operation.composition == (call.operation, call.after):
            inputs = dict(zip(operation.input_names, call.inputs.values(), strict=True))
            return replace(call, operation=operation.name, inputs=inputs, after=None)
    raise SpecError(f"expected operations of which one is the composition, got {call.operation} after {call.after}")


def _shape(tensor: Tensor, case: Case) -> tuple[int, ...]:
    return (case.copies, *tensor.shape[1:]) if case.copies > 1 else tensor.shape


def _default_cotangent(shape: tuple[int, ...]) -> Tensor:
    if not shape:
        return Tensor((), "floating", values=(_SCALAR_COTANGENT,))
    return Tensor(shape, "floating", recipe=Recipe("periodic", terms=_COTANGENTS))


def _default_direction(shape: tuple[int, ...]) -> Tensor:
    return Tensor(shape, "floating", recipe=Recipe("periodic", terms=_DIRECTIONS))


def _probes_of_copies(shape: tuple[int, ...]) -> Probes | None:
    """Of equal rows: the first, the last, and rows beside the places where 32-bit offsets overflow."""
    size = math.prod(shape)
    if size <= LARGEST_WHOLE:
        return None
    probes = _probes(size)
    assert probes is not None
    edges = [edge + step for edge in (2**31, 2**32) for step in (-2, -1, 0, 1) if edge + step < size]
    return Probes(sorted({*probes.positions, *edges}), ())


def _in_one_copy(probes: Probes, shape: tuple[int, ...]) -> Probes:
    """The same elements where there is one copy."""
    row = math.prod(shape[1:])
    return Probes([position % row for position in probes.positions], ())


def _probes(size: int) -> Probes | None:
    """Of a large result: the ends, edges of blocks from either end, hashed positions; sums of runs that cover all."""
    if size <= LARGEST_WHOLE:
        return None
    edges = [edge for edge in _BLOCK_EDGES if edge < size]
    hashed = [(i * 2654435769 % 2**32) * size >> 32 for i in range(1, _PROBES_BY_HASH + 1)]
    positions = sorted({0, 1, size - 1, size - 2, *edges, *(size - 1 - edge for edge in edges), *hashed})
    runs = min(_RUNS, size // _SHORTEST_RUN)
    stops = sorted({size * part // runs for part in range(1, runs + 1)} | {size - 128, size - 16})
    return Probes(positions, list(zip([0, *stops[:-1]], stops, strict=True)))


def _numbers(tensor: Tensor, dtype: str) -> npt.NDArray[Any]:
    array = materialise(tensor, dtype)
    return array if tensor.kind == "integer" else array.astype(np.float64)


def _parameters(parameters: Mapping[str, Scalar | Tensor], dtype: str) -> Json:
    return {name: store(value, dtype) if isinstance(value, Tensor) else value for name, value in parameters.items()}


def _answer(answer: Certified) -> Json:
    written: Json = {"rules": dict(answer.rules)}
    if answer.raises is not None:
        return written | {"raises": answer.raises}
    if answer.undefined is not None:
        return written | {"undefined": answer.undefined}
    assert answer.numbers is not None
    written |= {"bits": answer.bits, **_written(answer.numbers, answer.sums)}
    if answer.alternatives:
        written["also"] = [_written(numbers, sums) for numbers, sums in answer.alternatives]
    return written


def _written(numbers: Numbers, sums: Sums | None) -> Json:
    written: Json = _columns(numbers)
    if sums:
        written["sums"] = _columns(sums.numbers) | {"ulps": _plain(sums.ulps)}
    return written


def _columns(numbers: Numbers) -> Json:
    return {
        "values": list(numbers.values),
        "rounding": _plain(numbers.rounding),
        "underflow": _plain(numbers.underflow),
        "weakness": _plain(numbers.weakness),
    }


def _plain(bounds: Iterable[float]) -> list[float]:
    return [int(bound) if bound == int(bound) and bound < 1e15 else bound for bound in bounds]
