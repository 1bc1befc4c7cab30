"""Answers a host's questions about one adapter, as JSON lines over stdin and stdout."""

from __future__ import annotations

import ast
import faulthandler
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import os
import platform
import select
import signal
import sys
import threading
import traceback
from binascii import a2b_base64, b2a_base64
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import perf_counter
from types import ModuleType
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Protocol, Sequence, Tuple

# Stand-alone: the standard library only, Python 3.9 and later, run by path in the implementation's own Python.

OWN_FOLDER = os.path.dirname(os.path.realpath(__file__))
BRIDGES = os.path.join(OWN_FOLDER, "bridges")
LINE_LIMIT = 65536
TEXT_LIMIT = 4000

Loss = Callable[..., Any]
Arrays = List[Tuple[object, Any]]

# What a derivative takes before the inputs, and how an adapter names it after its loss.
TAKES = {"value": (), "gradient": ("cotangent",), "hessian": ("cotangent", "direction"), "tangent": ("direction",)}
ENDINGS = {"gradient": "_vjp", "hessian": "_hvp", "tangent": "_jvp"}


class Bridge(Protocol):
    """How arrays of one framework come in, go out and are differentiated; `bridges/<framework>_bridge.py`."""

    AUTODIFF: bool
    TRANSFORMS: Tuple[str, ...]

    def start(self, device: str) -> Dict[str, Any]:
        """Configures the framework; header facts. RuntimeError, in plain words, where the device is missing."""

    def from_buffer(
        self, dtype: str, shape: Sequence[int], strides: Optional[Sequence[int]], offset: int, buffer: bytearray
    ) -> Any:
        """An array over the buffer, strides and offset in bytes; NotImplementedError where the framework has none."""

    def to_bytes(self, answer: Any) -> Tuple[str, Tuple[int, ...], bytes]:
        """Dtype, shape and little-endian elements in C order. TypeError for what is no array or number."""

    def value(self, function: Loss, inputs: Sequence[Any], parameters: Mapping[str, Any]) -> Any:
        """The answer, once it is there."""

    def elements(self, answer: Any, positions: Sequence[int]) -> Tuple[Tuple[int, ...], Any]:
        """The shape of the answer, and its elements at these positions in C order; those past its end are left out."""

    def device_of(self, answer: Any) -> str:
        """The device of an answer, written as in the header."""

    def fingerprint(self, array: Any) -> bytes:
        """The bytes of an input."""

    def transformed(self, function: Loss, transform: str) -> Loss:
        """The function through one of TRANSFORMS. NotImplementedError where that cannot be had."""

    # Only with AUTODIFF: functions as an adapter may define them itself: cotangent, direction and inputs by position,
    # parameters by keyword. Transformed is the loss or its derivative, as users of the framework combine the two.

    def gradient(self, function: Loss, which: int, transform: Optional[str]) -> Loss:
        """Pulls a cotangent, cast to the dtype of the answer, back to the which-th input."""

    def hessian(self, function: Loss, which: int, transform: Optional[str]) -> Loss:
        """The derivative of `gradient` along a direction of the which-th input."""

    def tangent(self, function: Loss, which: int, transform: Optional[str]) -> Loss:
        """Pushes a direction of the which-th input forward."""


@dataclass(frozen=True)
class Offered:
    """A loss of the adapter, and its derivatives of the adapter's own by the question that they answer."""

    loss: Loss
    derivatives: Mapping[str, Loss]


@dataclass(frozen=True)
class Session:
    """A started adapter: its bridge, the operations that it offers, and the folder that is shared with the host."""

    framework: str
    bridge: Bridge
    operations: Mapping[str, Offered]
    shared: Optional[str]


def main() -> None:
    """Serves until the host says stop or closes stdin."""
    requests, replies = take_streams()
    faulthandler.enable(all_threads=False)
    leave_with_the_host(replies)
    # Python puts the folder of the script first, where case.py, spec or reports would shadow somebody's modules.
    sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry) != OWN_FOLDER]
    serve(requests, replies)


def take_streams() -> Tuple[int, int]:
    """Moves the protocol to private descriptors, so that what an adapter prints or reads cannot break it."""
    requests, replies = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, replies


def leave_with_the_host(replies: int) -> None:
    """Ends the process once nobody reads its replies, also while a loss never returns."""

    def wait() -> None:
        poll = select.poll()
        poll.register(replies, 0)
        poll.poll()
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def serve(requests: int, replies: int) -> None:
    """Answers request by request; each reply is written at once, so that no later crash can lose it."""
    session: Optional[Session] = None
    for line in lines(requests):
        request = json.loads(line)
        command = request["command"]
        if command == "case" and session:
            reply = answer_case(session, request)
        elif command == "bench" and session:
            reply = answer_bench(session, request)
        elif command == "start":
            session, facts = start(request)
            reply = json.dumps({"id": request["id"], **facts}) + "\n"
        elif command == "stop":
            write(replies, '{"id":%d,"ok":true}\n' % request["id"])
            return
        else:
            raise SystemExit("expected start, then case, bench or stop, got %s" % command)
        write(replies, reply)


def lines(descriptor: int) -> Iterator[bytes]:
    """The lines that arrive; several that were sent together cost one read."""
    pieces: List[bytes] = []
    while True:
        chunk = os.read(descriptor, 1 << 18)
        if not chunk:
            return
        pieces.append(chunk)
        if b"\n" in chunk:
            *complete, rest = b"".join(pieces).split(b"\n")
            pieces = [rest]
            yield from complete


def write(descriptor: int, text: str) -> None:
    """Writes all of `text`."""
    data = text.encode()
    while data:
        data = data[os.write(descriptor, data) :]


# --- start


def start(request: Mapping[str, Any]) -> Tuple[Optional[Session], Dict[str, Any]]:
    """Loads bridge and adapter. The reply says what is offered, or why it cannot be."""
    try:
        return load_session(request)
    except ModuleNotFoundError as error:
        return None, {"ok": False, "kind": "missing", "message": text_of(error), "traceback": trace_of(error)}
    except BaseException as error:
        message = text_of(error) if isinstance(error, RuntimeError) else "%s: %s" % (name_of(error), text_of(error))
        return None, {"ok": False, "kind": "failed", "message": message, "traceback": trace_of(error)}


def load_session(request: Mapping[str, Any]) -> Tuple[Session, Dict[str, Any]]:
    """The session and the facts about it; raises whatever bridge or adapter raise."""
    place = request["adapter"]
    sys.path[:0] = request.get("python_path", [])
    # The bridge comes first where that is possible: a framework is configured before the adapter makes its constants.
    framework = request.get("framework") or stated_framework(place)
    started = start_bridge(framework, request["device"]) if framework else None
    module = load_adapter(place)
    framework = framework or str(getattr(module, "framework", "numpy"))
    bridge, header = started or start_bridge(framework, request["device"])
    operations = find_operations(module, place, request["operations"])
    package = getattr(module, "package", framework)
    session = Session(framework, bridge, operations, request.get("shared"))
    facts = {
        "ok": True,
        "framework": framework,
        "dialect": request.get("dialect") or getattr(module, "dialect", None),
        "package": package,
        "package_version": version_of(package),
        "header": {"python": platform.python_version(), "system": platform.system(), **header},
        "transforms": list(bridge.TRANSFORMS),
        "operations": {name: offer(offered, bridge) for name, offered in operations.items()},
    }
    return session, facts


def stated_framework(place: Mapping[str, str]) -> Optional[str]:
    """The adapter's `framework = "…"`, read without running it; None where it is not written so plainly."""
    path = place["path"] if "path" in place else source_of(place["module"])
    if path is None or not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        tree = ast.parse(file.read(), path)
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if "framework" in names and isinstance(node.value.value, str):
                return node.value.value
    return None


def source_of(module: str) -> Optional[str]:
    """The source file of a module that is not inside a package; to find others would run the package."""
    spec = importlib.util.find_spec(module) if "." not in module else None
    return spec.origin if spec else None


def start_bridge(framework: str, device: str) -> Tuple[Bridge, Dict[str, Any]]:
    """The framework's bridge, configured for the device, and the facts that it states."""
    path = os.path.join(BRIDGES, framework + "_bridge.py")
    if not os.path.isfile(path):
        known = sorted(name[: -len("_bridge.py")] for name in os.listdir(BRIDGES) if name.endswith("_bridge.py"))
        raise RuntimeError("expected a framework that has a bridge (%s), got %r" % (", ".join(known), framework))
    bridge: Any = load_file("lossproof_%s_bridge" % framework, path)
    return bridge, bridge.start(device)


def load_adapter(place: Mapping[str, str]) -> ModuleType:
    """The adapter's module. A file finds those beside it, but only what is found nowhere else."""
    if "module" in place:
        return importlib.import_module(place["module"])
    if not os.path.isfile(place["path"]):
        raise RuntimeError("expected a Python file, found none at %s" % place["path"])
    sys.path.append(os.path.dirname(os.path.abspath(place["path"])))
    return load_file("lossproof_adapter", place["path"])


def load_file(name: str, path: str) -> ModuleType:
    """Runs a Python file as the module `name`."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RuntimeError("expected a Python file, got %s" % path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def find_operations(module: ModuleType, place: Mapping[str, str], operations: Sequence[str]) -> Dict[str, Offered]:
    """The losses that the module offers, by operation."""
    names = {operation: operation for operation in operations}
    if "function" in place:
        if not callable(getattr(module, place["function"], None)):
            raise RuntimeError("expected a function %s in %s, found none" % (place["function"], module.__name__))
        names = {place["as"]: place["function"]}
    losses = {operation: getattr(module, name, None) for operation, name in names.items()}
    return {
        operation: Offered(loss, find_derivatives(module, names[operation]))
        for operation, loss in losses.items()
        if callable(loss)
    }


def find_derivatives(module: ModuleType, loss: str) -> Dict[str, Loss]:
    """The derivatives of a loss that the module defines itself, by the question that they answer."""
    named = {question: getattr(module, loss + ending, None) for question, ending in ENDINGS.items()}
    prefix = loss + ENDINGS["gradient"] + "_"
    named.update(
        {"gradient-" + name[len(prefix) :]: getattr(module, name) for name in dir(module) if name.startswith(prefix)}
    )
    return {question: derivative for question, derivative in named.items() if callable(derivative)}


def offer(offered: Offered, bridge: Bridge) -> Dict[str, Any]:
    """What an operation supports."""
    return {
        "parameters": parameters_of(offered.loss),
        "derivatives": {question: parameters_of(own) for question, own in offered.derivatives.items()},
        "autodiff": bridge.AUTODIFF,
    }


def parameters_of(function: Loss) -> Optional[List[str]]:
    """Names that may be passed by keyword; None for all. Positional ones without a default are the inputs."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [
        parameter.name
        for parameter in parameters
        if parameter.kind is parameter.KEYWORD_ONLY
        or (parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.default is not parameter.empty)
    ]


def version_of(package: str) -> Optional[str]:
    """The installed version of a distribution; None where none has that name."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


# --- case and bench


def answer_case(session: Session, request: Mapping[str, Any]) -> str:
    """The reply to one golden."""
    number, positions = request["id"], request.get("positions")
    fingerprint = session.bridge.fingerprint
    try:
        ask, arrays = prepare(session, request)
    except NotImplementedError as error:
        return unsupported(number, error)
    if positions is not None:
        # Inputs may be expanded to more elements than memory holds.
        arrays = []
    before = [fingerprint(array) for _, array in arrays]
    try:
        began = perf_counter()
        answer = ask()
        seconds = perf_counter() - began
    except NotImplementedError as error:
        return unsupported(number, error)
    except BaseException as error:
        return raised(number, error)
    pairs = zip(arrays, before)  # noqa: B905  # strict= came with Python 3.10
    changed = [name for (name, array), old in pairs if overwritten(fingerprint, array, old)]
    return answered(session, number, answer, positions, changed, seconds)


def answer_bench(session: Session, request: Mapping[str, Any]) -> str:
    """The reply to a loop over one golden: the seconds that all its calls took together."""
    number, loops = request["id"], request["loops"]
    try:
        ask, _ = prepare(session, request)
    except NotImplementedError as error:
        return unsupported(number, error)
    try:
        began = perf_counter()
        for _ in range(loops):
            ask()
        seconds = perf_counter() - began
    except NotImplementedError as error:
        return unsupported(number, error)
    except BaseException as error:
        return raised(number, error)
    return '{"id":%d,"outcome":"answered","seconds":[%r]}\n' % (number, seconds)


def prepare(session: Session, request: Mapping[str, Any]) -> Tuple[Callable[[], Any], Arrays]:
    """The call that a request asks for, and every array that it reads, by position or name.

    Raises NotImplementedError for what is not offered. What else is raised here is no fault of the loss and ends the
    worker: a golden that must raise may not pass by it.
    """
    bridge, question = session.bridge, request["question"]
    call = function_of(session, request)
    inputs = [array_of(bridge, array) for array in request["inputs"]]
    parameters = {name: parameter_of(bridge, value) for name, value in request["parameters"].items()}
    taken = [(name, array_of(bridge, request[name])) for name in TAKES[question.partition("-")[0]]]
    arrays: Arrays = list(enumerate(inputs))
    arrays += [(name, parameters[name]) for name, value in request["parameters"].items() if is_array(value)]
    arrays += taken
    arguments = [array for _, array in taken] + inputs
    return lambda: bridge.value(call, arguments, parameters), arrays


def function_of(session: Session, request: Mapping[str, Any]) -> Loss:
    """What answers the question, of all that the question takes, the inputs and the parameters."""
    bridge, question, transform = session.bridge, request["question"], request.get("transform")
    if transform is not None and transform not in bridge.TRANSFORMS:
        raise NotImplementedError("%s has no %s" % (session.framework, transform))
    offered = operation_of(session, request["operation"])
    if "after" in request:
        offered = composed(session, request, offered)
    own = offered.loss if question == "value" else offered.derivatives.get(question)
    if own is None and not bridge.AUTODIFF:
        missing = (question, request["operation"], name_of_derivative(question))
        raise NotImplementedError("no %s: %s has no %s, and its framework no autodiff" % missing)
    if transform is None and (own is not None or question == "gradient"):
        return own or bridge.gradient(offered.loss, request["which"], None)

    what = transform or question
    with optional(what):
        if own is not None:
            function = bridge.transformed(own, what)
        else:
            derivative = {"hessian": bridge.hessian, "tangent": bridge.tangent}.get(question, bridge.gradient)
            function = derivative(offered.loss, request["which"], transform)

    def attempt(*arrays: Any, **parameters: Any) -> Any:
        with optional(what):
            return function(*arrays, **parameters)

    return attempt


@contextmanager
def optional(what: str) -> Iterator[None]:
    """What a loss need not be made for: an exception says that it is not, and becomes a NotImplementedError.

    A loss that is right by itself may look at values, which vmap and jit forbid, or have a gradient written by hand,
    which is not differentiated any further.
    """
    try:
        yield
    except NotImplementedError:
        raise
    except Exception as error:
        reason = "no %s: %s: %s" % (what, name_of(error), text_of(error).strip().partition("\n")[0])
        raise NotImplementedError(reason) from error


def operation_of(session: Session, operation: str) -> Offered:
    """The adapter's loss for an operation."""
    if operation not in session.operations:
        raise NotImplementedError("%s is not offered" % operation)
    return session.operations[operation]


def composed(session: Session, request: Mapping[str, Any], second: Offered) -> Offered:
    """The loss of what the first input becomes by another loss, and its gradient where either has one of its own."""
    bridge, question, which = session.bridge, request["question"], request["which"]
    first = operation_of(session, request["after"]["operation"])
    stated = {name: parameter_of(bridge, value) for name, value in request["after"]["parameters"].items()}

    def both(array: Any, *others: Any, **parameters: Any) -> Any:
        return second.loss(first.loss(array, **stated), *others, **parameters)

    pull_first, pull_second = first.derivatives.get("gradient"), second.derivatives.get(question)
    if not question.startswith("gradient") or (pull_first is None and pull_second is None):
        return Offered(both, {})
    if bridge.AUTODIFF:
        pull_first = pull_first or bridge.gradient(first.loss, 0, None)
        pull_second = pull_second or bridge.gradient(second.loss, which, None)
    if pull_first is None or pull_second is None:
        return Offered(both, {})
    return Offered(both, {question: chained(pull_second, first.loss, pull_first, which, stated)})


def chained(pull_second: Loss, first: Loss, pull_first: Loss, which: int, stated: Mapping[str, Any]) -> Loss:
    """The gradient of the second loss of the first, by the chain rule where it is that for the first input."""

    def pull(cotangent: Any, array: Any, *others: Any, **parameters: Any) -> Any:
        pulled = pull_second(cotangent, first(array, **stated), *others, **parameters)
        return pulled if which else pull_first(pulled, array, **stated)

    return pull


def name_of_derivative(question: str) -> str:
    """What an adapter calls its own answer to the question, after the name of the loss."""
    kind, dash, name = question.partition("-")
    return ENDINGS[kind] + dash.replace("-", "_") + name


def array_of(bridge: Bridge, array: Mapping[str, Any]) -> Any:
    """The framework's array of what travelled."""
    if "data" in array:
        buffer = bytearray(a2b_base64(array["data"]))
    else:
        buffer = bytearray(array["size"])
        with open(array["file"], "rb", buffering=0) as file:
            missing = memoryview(buffer)
            while missing:
                read = file.readinto(missing)
                if not read:
                    raise EOFError("expected %d bytes in %s" % (array["size"], array["file"]))
                missing = missing[read:]
    return bridge.from_buffer(array["dtype"], array["shape"], array.get("strides"), array.get("offset", 0), buffer)


def parameter_of(bridge: Bridge, value: Any) -> Any:
    """A parameter as the loss gets it."""
    if not isinstance(value, dict):
        return value
    return float(value["number"]) if "number" in value else array_of(bridge, value)


def is_array(value: Any) -> bool:
    """Whether a parameter travels as an array."""
    return isinstance(value, dict) and "number" not in value


def overwritten(fingerprint: Callable[[Any], bytes], array: Any, before: bytes) -> bool:
    """Whether an input no longer holds what it held; one that cannot be read any more was given away."""
    try:
        return fingerprint(array) != before
    except Exception:
        return True


# --- replies


def answered(
    session: Session,
    number: int,
    answer: Any,
    positions: Optional[Sequence[int]],
    changed: Sequence[Any],
    seconds: float,
) -> str:
    """The reply that carries an answer, or some elements of it; null, with the reason, if it is no array or number."""
    kind = json.dumps(type(answer).__name__)
    names = json.dumps([str(name) for name in changed]) if changed else "[]"
    whole = ""
    try:
        device = session.bridge.device_of(answer)
        if positions is not None:
            shape, answer = session.bridge.elements(answer, positions)
            whole = ',"of":[%s]' % ",".join(map(str, shape))
        dtype, shape, data = session.bridge.to_bytes(answer)
    except Exception as error:
        reason = json.dumps(text_of(error))
        reply = (
            '{"id":%d,"outcome":"answered","answer":null,"reason":%s,"type":%s,"device":null,"changed":%s,"seconds":%r}'
        )
        return reply % (number, reason, kind, names, seconds) + "\n"
    array = '{"dtype":"%s","shape":[%s],%s}' % (dtype, ",".join(map(str, shape)), carried(session, number, data))
    reply = '{"id":%d,"outcome":"answered","answer":%s,"type":%s,"device":"%s","changed":%s,"seconds":%r%s}\n'
    return reply % (number, array, kind, device, names, seconds, whole)


def carried(session: Session, number: int, data: bytes) -> str:
    """The JSON members that carry a buffer: in the line, or in a file of the shared folder where it is large."""
    if len(data) > LINE_LIMIT and session.shared:
        path = os.path.join(session.shared, "answer-%d" % number)
        try:
            with open(path, "wb", buffering=0) as file:
                left = memoryview(data)
                while left:
                    left = left[file.write(left) or 0 :]
            return '"file":%s,"size":%d' % (json.dumps(path), len(data))
        except OSError:
            # The folder may be full: the line always works.
            with suppress(OSError):
                os.unlink(path)
    return '"data":"%s"' % b2a_base64(data, newline=False).decode()


def unsupported(number: int, error: BaseException) -> str:
    """The reply to a golden that the implementation does not offer."""
    return json.dumps({"id": number, "outcome": "unsupported", "reason": text_of(error)}) + "\n"


def raised(number: int, error: BaseException) -> str:
    """The reply to a golden whose call raised."""
    facts = {"type": name_of(error), "message": text_of(error), "traceback": trace_of(error)}
    return json.dumps({"id": number, "outcome": "raised", **facts}) + "\n"


def name_of(error: BaseException) -> str:
    """The name of an exception's class."""
    return type(error).__name__


def text_of(error: BaseException) -> str:
    """The message of an exception, at most a page; its __str__ may itself be at fault."""
    try:
        return str(error)[:TEXT_LIMIT]
    except Exception:
        return "(its message cannot be made)"


def trace_of(error: BaseException) -> str:
    """The end of an exception's traceback, without the frames of worker and bridge."""
    trace = error.__traceback__
    while trace and os.path.dirname(os.path.realpath(trace.tb_frame.f_code.co_filename)) in (OWN_FOLDER, BRIDGES):
        trace = trace.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, trace))[-TEXT_LIMIT:]
    except Exception:
        return ""


if __name__ == "__main__":
    main()
