"""PaddlePaddle tensors, on the CPU or a CUDA device: how they come in, go out and are differentiated."""

from __future__ import annotations

import struct
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

import numpy as np  # paddle depends on numpy
import paddle

AUTODIFF = True
TRANSFORMS = ("jit", "autocast")

NAMES = ("float16", "float32", "float64", "bool", "int8", "int16", "int32", "int64", "uint8")
DTYPES: Dict[str, np.dtype[Any]] = {name: np.dtype(name) for name in NAMES}
DTYPES["bfloat16"] = np.dtype("uint16")  # Paddle takes NumPy's uint16 for bfloat16, and gives it so.
DTYPE_NAMES = {getattr(paddle, name): name for name in DTYPES}
HALVES = ("float16", "bfloat16")
DETERMINISTIC = "FLAGS_cudnn_deterministic"

# The device that `start` was asked for: a worker serves one.
_device = "cpu"


def start(device: str) -> Dict[str, Any]:
    """Chooses the device ("cpu", "cuda", "cuda:1"); the facts for the header.

    Raises RuntimeError where it is missing.
    """
    global _device  # noqa: PLW0603  # one worker, one device
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda"):
        raise RuntimeError("expected the device cpu or cuda, got %s" % device)
    if kind == "cuda":
        seen = paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0
        if int(index or 0) >= seen:
            raise RuntimeError("expected a CUDA device, paddle %s sees %d" % (paddle.__version__, seen))
    _device = kind
    paddle.set_device("cpu" if kind == "cpu" else "gpu:%d" % int(index or 0))
    return {
        "framework": "paddle",
        "version": paddle.__version__,
        "device": device_of(paddle.zeros([])),
        "threads": None,
        "flush_to_zero": flushes_to_zero(),
        "x64": True,
        "deterministic": paddle.get_flags(DETERMINISTIC)[DETERMINISTIC] if kind == "cuda" else None,
    }


def flushes_to_zero() -> bool:
    """Whether half of the smallest normal float32 is 0, in a long operation or in a single one."""
    smallest = paddle.full([1024], 2.0**-126, "float32")
    # Read on the host: a comparison with 0 may itself flush.
    return bool(np.any((smallest * 0.5).numpy() == 0) or (smallest[0] * 0.5).numpy() == 0)


def from_buffer(
    dtype: str, shape: Sequence[int], strides: Optional[Sequence[int]], offset: int, buffer: bytearray
) -> Any:
    """A tensor on the device with the strides and offset (in bytes) of the buffer; it owns its memory.

    Raises NotImplementedError for what Paddle cannot hold or reckon with.
    """
    if dtype not in DTYPES:
        raise NotImplementedError("paddle has no %s" % dtype)
    if dtype in HALVES and _device == "cpu":
        raise NotImplementedError("paddle has no arithmetic in %s on the CPU" % dtype)
    kind = DTYPES[dtype]
    if strides is None or 0 in shape:
        count = int(np.prod(shape, dtype=np.int64))
        return paddle.to_tensor(np.frombuffer(buffer, kind, count, offset if count else 0).reshape(shape))
    if any(stride < 0 for stride in strides):
        raise NotImplementedError("paddle has no negative strides")
    if any(stride % kind.itemsize for stride in strides):
        raise NotImplementedError("paddle has no strides between elements")
    flat = paddle.to_tensor(np.frombuffer(bytes(buffer) + bytes(-len(buffer) % kind.itemsize), kind))
    return paddle.as_strided(flat, list(shape), [stride // kind.itemsize for stride in strides], offset)


def to_bytes(answer: Any) -> Tuple[str, Tuple[int, ...], bytes]:
    """Dtype, shape and the little-endian elements in C order. Raises TypeError for what is no tensor or number."""
    if isinstance(answer, paddle.Tensor):
        if answer.dtype not in DTYPE_NAMES:
            raise TypeError("expected a tensor of floats, integers or booleans, got %s" % answer.dtype)
        return DTYPE_NAMES[answer.dtype], tuple(answer.shape), answer.numpy().tobytes()
    if isinstance(answer, float):
        return "float64", (), struct.pack("<d", answer)
    if isinstance(answer, int) and not isinstance(answer, bool) and -(2**63) <= answer < 2**63:
        return "int64", (), struct.pack("<q", answer)
    raise TypeError("expected a paddle tensor or a number, got %s" % type(answer).__name__)


def value(function: Callable[..., Any], inputs: Sequence[Any], parameters: Mapping[str, Any]) -> Any:
    """What the function answers, once the device is done."""
    answer = function(*inputs, **parameters)
    if _device == "cuda":
        paddle.device.synchronize()
    return answer


def elements(answer: Any, positions: Sequence[int]) -> Tuple[Tuple[int, ...], Any]:
    """The shape of the answer, and its elements at these positions in C order; those past its end are left out.

    Raises TypeError for what is no tensor or number.
    """
    if not isinstance(answer, paddle.Tensor):
        to_bytes(answer)
        answer = paddle.to_tensor(answer, "float64")
    places = [place for place in positions if place < answer.size]
    flat = answer.detach().reshape([-1])
    return tuple(answer.shape), flat[paddle.to_tensor(places, "int64")] if places else flat[:0]


def gradient(function: Callable[..., Any], which: int, transform: Optional[str]) -> Callable[..., Any]:
    """Pulls a cotangent back to the which-th input, by autograd; nothing else requires a gradient.

    What is compiled or cast is the loss. An answer that does not depend on the input raises, as it does in training.
    """
    loss = function if transform is None else transformed(function, transform)

    def pull(cotangent: Any, *inputs: Any, **parameters: Any) -> Any:
        leaf, answer = traced(loss, which, inputs, parameters)
        return paddle.grad([answer], [leaf], [cotangent.astype(answer.dtype)])[0]

    return pull


def hessian(function: Callable[..., Any], which: int, transform: Optional[str]) -> Callable[..., Any]:
    """The derivative of the gradient along a direction of the which-th input: reverse mode twice."""
    loss = function if transform is None else transformed(function, transform)

    def product(cotangent: Any, direction: Any, *inputs: Any, **parameters: Any) -> Any:
        leaf, answer = traced(loss, which, inputs, parameters)
        (pulled,) = paddle.grad([answer], [leaf], [cotangent.astype(answer.dtype)], create_graph=True)
        return paddle.grad([pulled], [leaf], [direction])[0]

    return product


def tangent(function: Callable[..., Any], which: int, transform: Optional[str]) -> Callable[..., Any]:
    """Pushes a direction of the which-th input forward."""
    loss = function if transform is None else transformed(function, transform)

    def push(direction: Any, *inputs: Any, **parameters: Any) -> Any:
        def call(array: Any) -> Any:
            return loss(*inputs[:which], array, *inputs[which + 1 :], **parameters)

        return paddle.incubate.autograd.jvp(call, inputs[which], direction)[1]

    return push


def traced(
    function: Callable[..., Any], which: int, inputs: Sequence[Any], parameters: Mapping[str, Any]
) -> Tuple[Any, Any]:
    """The which-th input as a leaf of autograd's graph, and the answer."""
    leaf = inputs[which].detach()
    leaf.stop_gradient = False
    answer = function(*inputs[:which], leaf, *inputs[which + 1 :], **parameters)
    if not isinstance(answer, paddle.Tensor):
        raise TypeError("expected a paddle tensor to differentiate, got %s" % type(answer).__name__)
    return leaf, answer


def transformed(function: Callable[..., Any], transform: str) -> Callable[..., Any]:
    """The function through paddle.jit.to_static or paddle.amp.auto_cast."""
    return compiled(function) if transform == "jit" else autocast(function)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function through paddle.jit.to_static, as one graph; parameters are constants."""

    def call(*arrays: Any, **parameters: Any) -> Any:
        # Paddle compiles no function of any number of inputs; a list it takes.
        def captured(inputs: Any) -> Any:
            return function(*inputs, **parameters)

        return paddle.jit.to_static(captured, full_graph=True)(list(arrays))

    return call


def autocast(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function under paddle.amp.auto_cast to the inputs' own half dtype, else to bfloat16."""
    if _device == "cpu":
        raise NotImplementedError("paddle.amp.auto_cast has no effect on the CPU")

    def call(*arrays: Any, **parameters: Any) -> Any:
        halves = [DTYPE_NAMES[array.dtype] for array in arrays if DTYPE_NAMES[array.dtype] in HALVES]
        with paddle.amp.auto_cast(dtype=halves[0] if halves else "bfloat16"):
            return function(*arrays, **parameters)

    return call


def device_of(answer: Any) -> str:
    """The device of a tensor as Paddle writes it, "cpu" or "gpu:0"; a number is on the CPU."""
    return str(answer.place).partition("(")[2].rstrip(")") if isinstance(answer, paddle.Tensor) else "cpu"


def fingerprint(array: Any) -> bytes:
    """The bytes of an input, to see whether it was overwritten."""
    return to_bytes(array)[2]
