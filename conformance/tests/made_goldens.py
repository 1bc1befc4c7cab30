"""Goldens made in tests: from an oracle's answer for chosen inputs, or from bare decimals and bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lossproof.numerics import FORMATS, round_to
from lossproof.oracle.certify import Asked, Certified, certify
from lossproof.processes.connect import Answered
from lossproof.spec.dialects import Dialect
from lossproof.spec.golden import Golden
from lossproof.spec.read import read_spec

SPEC = read_spec()


def made_dialect(rules: Mapping[str, str], operation: str = "made", **more: Any) -> Mapping[str, Dialect]:
    """A dialect with rules for one operation, beside the name of that."""
    stated = {"promises": (), "label_dtypes": ("int64",), **more}
    return {operation: Dialect("made", "Made.", ("https://x",), operations={operation: rules}, **stated)}


def home_rules(operation: str) -> Mapping[str, str]:
    """The rules of the operation's home dialect."""
    return SPEC.dialects[SPEC.operations[operation].home_dialect].operations[operation]


def held(dtype: str, numbers: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The numbers rounded to the dtype, as binary64 numbers."""
    return round_to(dtype, numbers).astype(np.float64)


def certified(
    operation: str,
    dtype: str,
    inputs: Mapping[str, npt.NDArray[Any]],
    parameters: Mapping[str, Any] | None = None,
    cotangent: npt.NDArray[np.float64] | None = None,
    *,
    question: str | None = None,
    direction: npt.NDArray[np.float64] | None = None,
    mapped: bool = False,
    copies: int = 1,
    **rules: str,
) -> Certified:
    """The oracle's answer under the home dialect's rules, or those stated; with a cotangent that for the gradient."""
    home = {**home_rules(operation), **rules}
    asked = Asked(
        operation,
        dtype,
        inputs,
        parameters or {},
        cotangent,
        question=question or ("value" if cotangent is None else "gradient"),
        direction=direction,
        mapped=mapped,
        copies=copies,
    )
    return certify(asked, home, {name: (value,) for name, value in home.items()})[0]


def answer_of(answer: Certified) -> dict[str, Any]:
    """An oracle's answer as a golden stores it."""
    assert answer.numbers is not None, answer.undefined or answer.raises
    numbers = answer.numbers
    return stored(numbers.values, numbers.rounding, numbers.underflow, numbers.weakness) | {
        "also": [stored(n.values, n.rounding, n.underflow, n.weakness) for n, _ in answer.alternatives]
    }


def stored(
    values: Sequence[str],
    rounding: Sequence[float] | float = 0.0,
    underflow: Sequence[float] | float = 0.0,
    weakness: Sequence[float] | float = 0.0,
) -> dict[str, Any]:
    """An answer as a golden file has it; a single bound holds for every element."""

    def each(bound: Sequence[float] | float) -> list[float]:
        return [float(bound)] * len(values) if isinstance(bound, int | float) else list(bound)

    return {
        "rules": {},
        "values": list(values),
        "rounding": each(rounding),
        "underflow": each(underflow),
        "weakness": each(weakness),
    }


def golden(dtype: str, *answers: dict[str, Any], **more: Any) -> Golden:
    """A golden with these answers; its shape is that of a vector of the first one's values unless stated."""
    shape = (len(answers[0].get("values", ())),) if answers else ()
    fields: dict[str, Any] = {
        "id": f"cross_entropy/made/golden[{dtype}-value]",
        "case": "cross_entropy/made/golden",
        "operation": "made",
        "dtype": dtype,
        "question": "value",
        "kind": "value",
        "why": "A test made it.",
        "inputs": {},
        "parameters": {},
        "shape": shape,
        "answers": answers,
    }
    return Golden(**(fields | more))


def answered(dtype: str, numbers: npt.ArrayLike, **more: Any) -> Answered:
    """A reply with an array of the dtype."""
    array = round_to(dtype, numbers) if dtype in FORMATS else np.asarray(numbers, dtype=dtype)
    fields: dict[str, Any] = {"reason": "", "type": "ndarray", "device": "cpu", "changed": (), "seconds": 0.0}
    return Answered(array=array, **(fields | more))
