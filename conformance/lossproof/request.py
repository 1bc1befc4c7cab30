"""What is asked of an implementation: a golden as a request, and why it is not asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lossproof.memory import available_memory
from lossproof.numerics import FORMATS
from lossproof.processes.messages import After, Offer, Request
from lossproof.processes.wire import Encoded, encode
from lossproof.spec.dialects import Dialect
from lossproof.spec.golden import Golden, array
from lossproof.spec.operations import Operation, Parameter
from lossproof.spec.shapes import class_axis

Offers = Mapping[str, Offer]
Operations = Mapping[str, Operation]


def unsupported(golden: Golden, operations: Operations, offers: Offers, dialects: Mapping[str, Dialect]) -> str:
    """Why a golden is not asked, by the signatures that an adapter offers; "" where it is."""
    for name in (golden.operation, golden.after):
        if name is not None and name not in offers:
            return f"{name} is not offered"
    offer, operation = offers[golden.operation], operations[golden.operation]
    if golden.question != "value" and golden.question not in offer.derivatives and not offer.autodiff:
        return f"offers no {golden.question}: neither automatic differentiation nor a function of its own"
    missing = missing_memory(golden, available_memory()) if golden.copies > 1 else ""
    if missing:
        return missing
    known, rules = _known_parameters(golden, offer), dialects[golden.operation].operations[golden.operation]
    for name, value in golden.parameters.items():
        if known is not None and name not in known and not _is_default(value, operation.parameters[name], rules):
            return f"has no parameter {name}"
    return ""


def request(golden: Golden, operations: Operations, offers: Offers, loops: int | None = None) -> Request:
    """The request for a golden: exactly the parameters that it states, less those that are not known."""
    operation, known = operations[golden.operation], _known_parameters(golden, offers[golden.operation])
    return Request(
        golden.operation,
        golden.question,
        tuple(_encoded(golden.inputs[name], golden.copies) for name in operation.input_names),
        {
            name: _encoded(value) if isinstance(value, dict) else value
            for name, value in golden.parameters.items()
            if known is None or name in known
        },
        _encoded(golden.cotangent, golden.copies if golden.cotangent["shape"] else 1) if golden.cotangent else None,
        operation.position(golden.question),
        loops,
        _encoded(golden.direction) if golden.direction else None,
        golden.transform,
        golden.positions if golden.copies > 1 else None,
        _after(golden, operations),
    )


def missing_memory(golden: Golden, available: int | None) -> str:
    """Why a huge golden does not fit into so many bytes; "" where it does, or nobody knows how many there are."""
    if available is None:
        return ""
    # Copies of a row take no memory. Whoever answers makes the log-probabilities and one temporary of their size, and
    # for a gradient two more.
    largest = max(golden.copies * math.prod(stored["shape"]) for stored in golden.inputs.values())
    needed = largest * FORMATS[golden.dtype].storage.itemsize * (2 if golden.question == "value" else 4)
    if available >= needed:
        return ""
    return f"needs {needed / 2**30:.0f} GiB of memory, {available / 2**30:.0f} are available"


def _after(golden: Golden, operations: Mapping[str, Operation]) -> After | None:
    """The operation that the first input goes through before, along the axis of the classes."""
    if golden.after is None:
        return None
    name = operations[golden.after].class_axis
    first = operations[golden.operation].input_names[0]
    axis = class_axis(operations[golden.operation], len(golden.inputs[first]["shape"]), golden.parameters)
    return After(golden.after, {name: axis} if name in operations[golden.after].parameters and name else {})


def _is_default(value: Any, parameter: Parameter, rules: Mapping[str, str]) -> bool:
    """Whether leaving the parameter out means the same: a rule default_<parameter> of the dialect has the first say."""
    if isinstance(value, dict):
        return False
    stated = rules.get(f"default_{parameter.name}")
    return str(value).lower() == stated if stated is not None else value == parameter.default


def _encoded(stored: Mapping[str, Any], copies: int = 1) -> Encoded:
    return encode(array(stored), stored.get("layout"), copies)


def _known_parameters(golden: Golden, offer: Offer) -> Sequence[str] | None:
    return offer.derivatives.get(golden.question, offer.parameters)
