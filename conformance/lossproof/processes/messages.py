"""What host and worker say to each other: requests, replies, and how the host reads and writes their JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from lossproof.case import Scalar
from lossproof.paths import WORKER
from lossproof.processes.wire import Array, Encoded, decode

NO_REPLY = (KeyError, TypeError, ValueError, AttributeError, OSError, RecursionError)


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start: an adapter in some Python, or a program that speaks the protocol itself.

    `adapter` is {"path": …} or {"module": …}, with "function" and "as" for a single loss; None for a program.
    """

    operations: tuple[str, ...]
    adapter: Mapping[str, str] | None = None
    framework: str | None = None
    dialect: str | None = None
    device: str = "cpu"
    python_path: tuple[str, ...] = ()
    command: tuple[str, ...] = (sys.executable, str(WORKER))
    environment: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds until a start, the first golden of a process and any later one count as timed out.

    `fatal` is for a golden that is known to end its process, where waiting longer tells nothing. `memory` is how many
    bytes a process may take; None leaves that to what the machine has available.
    """

    start: float = 300.0
    first: float = 300.0
    golden: float = 60.0
    fatal: float = 10.0
    memory: int | None = None


@dataclass(frozen=True, slots=True)
class After:
    """The loss that the first input is sent through before it reaches the operation, inside the implementation."""

    operation: str
    parameters: Mapping[str, Scalar | Encoded]


@dataclass(frozen=True, slots=True)
class Request:
    """A golden to ask, or with `loops` a loop over it to time. Inputs and parameters are in the loss's own order.

    `which` is the position of the input that `question` differentiates for. `transform` names one of the framework's
    (vmap, jit, autocast). With `positions` only these elements of the answer, counted in C order, come back.
    """

    operation: str
    question: str
    inputs: tuple[Encoded, ...]
    parameters: Mapping[str, Scalar | Encoded]
    cotangent: Encoded | None = None
    which: int = 0
    loops: int | None = None
    direction: Encoded | None = None
    transform: str | None = None
    positions: tuple[int, ...] | None = None
    after: After | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """What an operation supports; None for parameters means all.

    `derivatives` holds the questions that the adapter answers by a function of its own, with its parameters.
    """

    parameters: tuple[str, ...] | None
    derivatives: Mapping[str, tuple[str, ...] | None]
    autodiff: bool


@dataclass(frozen=True, slots=True)
class Started:
    """A started implementation: what it is and what it offers."""

    framework: str
    dialect: str | None
    package: str
    package_version: str | None
    header: Mapping[str, Any]
    operations: Mapping[str, Offer]
    transforms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """Why an implementation did not start: something is not installed, or anything else."""

    kind: Literal["missing", "failed"]
    message: str
    details: str


@dataclass(frozen=True, slots=True, eq=False)  # arrays have no single equality
class Answered:
    """An answer. `array` is None where the answer is no array or number, and `reason` says why.

    `changed` names the inputs that the loss overwrote: parameters by name, inputs by position ("0"), "cotangent",
    "direction". Where elements were asked for, `array` holds these alone and `shape` is that of the whole answer.
    """

    array: Array | None
    reason: str
    type: str
    device: str | None
    changed: tuple[str, ...]
    seconds: float
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds that the loops took."""

    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Unsupported:
    """The implementation says that it does not offer this."""

    reason: str


@dataclass(frozen=True, slots=True)
class Raised:
    """The loss raised an exception."""

    type: str
    message: str
    traceback: str


@dataclass(frozen=True, slots=True)
class Crashed:
    """The process ended, or wrote what is no reply."""

    reason: str
    signal: str | None
    exit_code: int | None
    stderr: str


@dataclass(frozen=True, slots=True)
class TimedOut:
    """No reply within the limit."""

    seconds: float
    stderr: str


Reply = Answered | Timed | Unsupported | Raised | Crashed | TimedOut


def request_line(number: int, request: Request, carried: Callable[[Encoded], str]) -> bytes:
    """The request as the line that the worker reads; `carried` writes an array."""

    def parameters(stated: Mapping[str, Scalar | Encoded]) -> str:
        return ",".join(
            f"{json.dumps(name)}:{carried(value) if isinstance(value, Encoded) else _scalar(value)}"
            for name, value in stated.items()
        )

    line = (
        f'{{"id":{number},"command":"{"case" if request.loops is None else "bench"}",'
        f'"operation":"{request.operation}","question":"{request.question}",'
        f'"inputs":[{",".join(map(carried, request.inputs))}],"parameters":{{{parameters(request.parameters)}}},'
        f'"which":{request.which}'
    )
    if request.loops is not None:
        line += f',"loops":{request.loops}'
    if request.cotangent is not None:
        line += f',"cotangent":{carried(request.cotangent)}'
    if request.direction is not None:
        line += f',"direction":{carried(request.direction)}'
    if request.transform is not None:
        line += f',"transform":"{request.transform}"'
    if request.positions is not None:
        line += f',"positions":[{",".join(map(str, request.positions))}]'
    if request.after is not None:
        operation = request.after.operation
        line += f',"after":{{"operation":"{operation}","parameters":{{{parameters(request.after.parameters)}}}}}'
    return f"{line}}}\n".encode()


def parse_reply(line: bytes, number: int, shared: Path) -> Reply:
    """The outcome that a reply states. Raises one of NO_REPLY for what is none."""
    reply = json.loads(line)
    if reply["id"] != number:
        raise ValueError(f"expected the reply {number}, got {reply['id']}")
    match reply["outcome"]:
        case "answered" if "answer" not in reply:
            return Timed(tuple(map(float, reply["seconds"])))
        case "answered":
            answer = reply["answer"]
            return Answered(
                None if answer is None else decode(answer, shared),
                reply.get("reason", ""),
                str(reply["type"]),
                reply["device"],
                tuple(reply["changed"]),
                float(reply["seconds"]),
                tuple(map(int, reply["of"])) if "of" in reply else None,
            )
        case "unsupported":
            return Unsupported(str(reply["reason"]))
        case "raised":
            return Raised(str(reply["type"]), str(reply["message"]), str(reply["traceback"]))
        case other:
            raise ValueError(f"expected an outcome, got {other}")


def parse_start(line: bytes) -> Started | Failed:
    """What a reply to `start` states. Raises one of NO_REPLY for what is none."""
    reply = json.loads(line)
    if reply["id"] != 0:
        raise ValueError(f"expected the reply 0, got {reply['id']}")
    if not reply["ok"]:
        kind: Literal["missing", "failed"] = "missing" if reply["kind"] == "missing" else "failed"
        return Failed(kind, str(reply["message"]), str(reply["traceback"]))
    operations = {name: _parse_offer(offer) for name, offer in reply["operations"].items()}
    return Started(
        reply["framework"],
        reply["dialect"],
        reply["package"],
        reply["package_version"],
        reply["header"],
        operations,
        tuple(reply.get("transforms", ())),
    )


def _parse_offer(offer: Mapping[str, Any]) -> Offer:
    derivatives = {question: _names(names) for question, names in offer["derivatives"].items()}
    return Offer(_names(offer["parameters"]), derivatives, bool(offer["autodiff"]))


def _names(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _scalar(value: Scalar) -> str:
    """A parameter as JSON, which has no NaN and no infinity."""
    if isinstance(value, float) and not isfinite(value):
        return f'{{"number":"{value}"}}'
    return json.dumps(value)
