"""Timing a workload: the loop runs inside the worker, so that no time of the protocol is counted."""

from __future__ import annotations

import math
from dataclasses import replace

from lossproof.case import Question, Recipe, Tensor
from lossproof.processes.connect import Crashed, Raised, Request, Timed, TimedOut, Unsupported
from lossproof.session import Session
from lossproof.spec.golden import Golden, store
from lossproof.spec.operations import Operation
from lossproof.spec.shapes import result_shape
from lossproof.spec.workloads import Workload

# A clock that ticks every microsecond is then off by less than a thousandth.
ROUND = 0.02

_MOST_LOOPS = 1_000_000
_COTANGENT = Recipe("periodic", terms=(1.25, -0.5, 2.0))


class NotTimedError(Exception):
    """Why a workload has no time; `unsupported` where the implementation says that it does not offer it."""

    def __init__(self, reason: str, *, unsupported: bool = False) -> None:
        super().__init__(reason)
        self.unsupported = unsupported


def timed_request(session: Session, workload: Workload, operation: Operation, question: Question) -> Request:
    """The request that is looped over: `value` is the forward pass, `gradient` forward and backward.

    Raises NotTimedError where the adapter declares that it does not offer it.
    """
    golden = _golden(workload, operation, question)
    reason = session.declared_unsupported(golden)
    if reason:
        raise NotTimedError(reason, unsupported=True)
    return session.request(golden)


def seconds_per_call(session: Session, request: Request, loops: int) -> float:
    """The mean over a loop of calls, each waited for, in seconds; raises NotTimedError."""
    match session.reply(replace(request, loops=loops)):
        case Timed(seconds=seconds):
            return math.fsum(seconds) / loops
        case Unsupported(reason=reason):
            raise NotTimedError(reason, unsupported=True)
        case Raised(type=kind, message=message):
            raise NotTimedError(f"raised {kind}: {message}")
        case Crashed(reason=reason):
            raise NotTimedError(f"crashed: {reason}")
        case TimedOut(seconds=limit):
            raise NotTimedError(f"no reply within {limit:g} s for {loops} calls")
        case other:
            raise NotTimedError(f"answered {type(other).__name__} to a request for a time")


def loops_of_a_round(session: Session, request: Request) -> int:
    """How many calls take at least `ROUND` together; raises NotTimedError."""
    # The first call may compile, load and allocate.
    seconds_per_call(session, request, 1)
    loops = 1
    while loops < _MOST_LOOPS:
        taken = seconds_per_call(session, request, loops) * loops
        if taken >= ROUND:
            return loops
        # Ten times more at once is the most that so short a measurement is trusted for.
        loops = min(10 * loops, math.ceil(1.1 * loops * ROUND / taken)) if taken > 0 else 10 * loops
    return loops


def bytes_of(workload: Workload, question: Question) -> int:
    """Bytes that must move in a call: inputs read and results written once each."""
    return workload.value_bytes if question == "value" else workload.gradient_bytes


def workload_id(workload: Workload, question: Question) -> str:
    """Like the id of a golden: cross_entropy/cross-entropy-imagenet[float32-value]."""
    return f"{workload.operation}/{workload.name}[{workload.dtype}-{question}]"


def _golden(workload: Workload, operation: Operation, question: Question) -> Golden:
    """The workload as it is asked: a golden without answers."""
    shapes = {name: tensor.shape for name, tensor in workload.inputs.items()}
    shape = result_shape(operation, shapes, workload.parameters)
    return Golden(
        id=workload_id(workload, question),
        case=f"{workload.operation}/{workload.name}",
        operation=workload.operation,
        dtype=workload.dtype,
        question=question,
        kind="value",
        why=workload.why,
        inputs={name: store(tensor, workload.dtype) for name, tensor in workload.inputs.items()},
        parameters={
            name: store(value, workload.dtype) if isinstance(value, Tensor) else value
            for name, value in workload.parameters.items()
        },
        shape=shape,
        answers=(),
        cotangent=store(Tensor(shape, "floating", recipe=_COTANGENT), workload.dtype)
        if question == "gradient"
        else None,
    )
