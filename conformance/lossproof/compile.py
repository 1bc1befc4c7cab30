"""Compiling cases into goldens: exact inputs, certified answers, error bounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lossproof.case import Case, Question, Recipe, Scalar, Tensor
from lossproof.materialise import materialise
from lossproof.oracle.certify import Asked, Certified, Numbers, Probes, Sums, certify
from lossproof.spec.cases import read_cases
from lossproof.spec.dialects import Dialect, read_dialects, read_rules
from lossproof.spec.golden import LARGEST_WHOLE, dump_goldens, store
from lossproof.spec.operations import Operation, read_operations
from lossproof.spec.shapes import result_shape

Json = dict[str, Any]

_PROBES_BY_HASH = 24
_RUNS = 128
_SHORTEST_RUN = 32
_BLOCK_EDGES = (31, 32, 33, 63, 64, 127, 128, 129, 255, 256, 257, 511, 512, 1023, 1024, 2047, 2048, 4095, 4096, 32767)
# Never all ones, and of both signs: a backward that ignores its incoming gradient must not pass.
_SCALAR_COTANGENT = 1.25
_COTANGENTS = (1.25, -0.5, 2.0, 0.75, -1.5, 0.375, -0.875)


def compile_spec(folder: Path) -> Mapping[str, str]:
    """Text of each golden file by operation, from the cases in a spec folder; raises SpecError on a broken spec."""
    operations, cases = read_operations(folder), read_cases(folder)
    dialects, rules = read_dialects(operations, folder), read_rules(folder)
    choices = {name: tuple(rule.values) for name, rule in rules.items()}
    tasks = [
        (case, operations[case.operation], dialects[operations[case.operation].home_dialect], choices) for case in cases
    ]
    with ProcessPoolExecutor() as pool:
        compiled = list(pool.map(_compile_case, tasks, chunksize=4))
    return {name: dump_goldens(name, _of(name, cases, compiled)) for name in operations}


def _of(name: str, cases: Sequence[Case], compiled: Sequence[Json]) -> dict[str, Json]:
    return {case.id: entry for case, entry in zip(cases, compiled, strict=True) if case.operation == name}


def _compile_case(task: tuple[Case, Operation, Dialect, Mapping[str, Sequence[str]]]) -> Json:
    case, operation, dialect, choices = task
    entry: Json = {"kind": case.kind, "why": case.why, "since": case.since}
    if case.flags:
        entry["flags"] = [
            {"bug": flag.bug, "link": flag.link} if flag.link else {"bug": flag.bug} for flag in case.flags
        ]
    if case.source:
        entry["source"] = {"title": case.source.title, **({"link": case.source.link} if case.source.link else {})}
    if case.relation:
        entry["relation"] = case.relation
    entry["goldens"] = {dtype: _compile_dtype(case, operation, dialect, choices, dtype) for dtype in case.dtypes}
    return entry


def _compile_dtype(
    case: Case, operation: Operation, dialect: Dialect, choices: Mapping[str, Sequence[str]], dtype: str
) -> Json:
    golden: Json = {
        "inputs": {name: store(tensor, dtype) for name, tensor in case.inputs.items()},
        "parameters": _parameters(case.parameters, dtype),
    }
    if case.kind == "raises":
        return golden | {"value": {"answers": [{"rules": {}, "raises": case.why}]}}
    home = dialect.operations[operation.name]
    if case.calls:
        parts = [
            {"parameters": _parameters(call, dtype), **_question(case, operation, home, choices, dtype, "value", call)}
            for call in case.calls
        ]
        return golden | {"relation": {"calls": parts}}
    for question in case.questions:
        golden[question] = _question(case, operation, home, choices, dtype, question, case.parameters)
    return golden


def _question(
    case: Case,
    operation: Operation,
    home: Mapping[str, str],
    choices: Mapping[str, Sequence[str]],
    dtype: str,
    question: Question,
    parameters: Mapping[str, Scalar | Tensor],
) -> Json:
    shape = result_shape(operation, {name: tensor.shape for name, tensor in case.inputs.items()}, parameters)
    compiled: Json = {}
    cotangent = None
    if question == "gradient":
        stated = case.cotangent or _default_cotangent(shape)
        compiled["cotangent"] = store(stated, dtype)
        cotangent = materialise(stated, dtype).astype(np.float64)
        shape = case.inputs[operation.differentiable[0]].shape
    compiled["shape"] = list(shape)
    probes = _probes(int(np.prod(shape)))
    if probes:
        compiled |= {"positions": list(probes.positions), "runs": [list(run) for run in probes.runs]}
    asked = Asked(
        operation.name,
        dtype,
        {name: _numbers(tensor, dtype) for name, tensor in case.inputs.items()},
        {n: _numbers(value, dtype) if isinstance(value, Tensor) else value for n, value in parameters.items()},
        cotangent,
        probes,
    )
    compiled["answers"] = [_answer(answer) for answer in certify(asked, home, choices)]
    return compiled


def _default_cotangent(shape: tuple[int, ...]) -> Tensor:
    if not shape:
        return Tensor((), "floating", values=(_SCALAR_COTANGENT,))
    return Tensor(shape, "floating", recipe=Recipe("periodic", terms=_COTANGENTS))


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
