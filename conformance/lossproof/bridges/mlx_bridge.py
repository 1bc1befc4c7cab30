"""MLX arrays, on the CPU or a GPU: how they come in, go out and are differentiated."""

from __future__ import annotations

import math
import struct
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

import mlx.core as mx

AUTODIFF = True
TRANSFORMS = ("vmap", "jit")

NAMES = ("float16", "bfloat16", "float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES: Dict[str, mx.Dtype] = {name: getattr(mx, name) for name in NAMES + INTEGERS}
DTYPES["bool"] = mx.bool_
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def start(device: str) -> Dict[str, Any]:
    """Makes the device ("cpu", "gpu", "gpu:1") MLX's default; the facts for the header.

    Raises RuntimeError where it is missing.
    """
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "gpu"):
        raise RuntimeError("expected the device cpu or gpu, got %s" % device)
    chosen = mx.gpu if kind == "gpu" else mx.cpu
    if not mx.is_available(chosen) or int(index or 0) >= mx.device_count(chosen):
        raise RuntimeError("expected a device %s, mlx %s has none" % (device, mx.__version__))
    mx.set_default_device(mx.Device(chosen, int(index or 0)))
    return {
        "framework": "mlx",
        "version": mx.__version__,
        "device": device_of(mx.zeros(())),
        "threads": None,
        "flush_to_zero": flushes_to_zero(),
        "x64": kind == "cpu",
        "deterministic": None,
        "device_name": mx.device_info(mx.default_device()).get("device_name"),
    }


def flushes_to_zero() -> bool:
    """Whether half of the smallest normal float32 is 0, in a long operation or in a single one."""
    smallest = mx.full((1024,), 2.0**-126)
    # Compared as bits: a comparison with 0 may itself flush.
    long, single = (smallest * 0.5).view(mx.uint32), (smallest[0] * 0.5).view(mx.uint32)
    return bool(mx.any(long == 0)) or bool(single == 0)


def from_buffer(
    dtype: str, shape: Sequence[int], strides: Optional[Sequence[int]], offset: int, buffer: bytearray
) -> mx.array:
    """An array with the strides of the buffer; what is misaligned becomes an aligned copy.

    Raises NotImplementedError for a dtype that MLX lacks on the device.
    """
    if dtype not in DTYPES or (dtype == "float64" and mx.default_device().type == mx.gpu):
        raise NotImplementedError("mlx has no %s on %s" % (dtype, device_of(None)))
    kind = DTYPES[dtype]
    if not math.prod(shape):
        return mx.zeros(shape, kind)
    skipped = offset % kind.size
    count = (len(buffer) - skipped) // kind.size
    flat = mx.array(memoryview(buffer)[skipped : skipped + count * kind.size]).view(kind)
    if strides is None:
        begin = offset // kind.size
        return flat[begin : begin + math.prod(shape)].reshape(shape)
    if any(stride % kind.size for stride in strides):
        raise NotImplementedError("mlx has no strides between elements")
    return mx.as_strided(flat, shape, [stride // kind.size for stride in strides], offset // kind.size)


def to_bytes(answer: Any) -> Tuple[str, Tuple[int, ...], bytes]:
    """Dtype, shape and the little-endian elements in C order. Raises TypeError for what is no array or number."""
    if isinstance(answer, mx.array):
        if answer.dtype not in DTYPE_NAMES:
            raise TypeError("expected an array of floats, integers or booleans, got %s" % answer.dtype)
        data = bytes(memoryview(mx.contiguous(answer).reshape(-1).view(mx.uint8))) if answer.size else b""
        return DTYPE_NAMES[answer.dtype], tuple(answer.shape), data
    if isinstance(answer, float):
        return "float64", (), struct.pack("<d", answer)
    if isinstance(answer, int) and not isinstance(answer, bool) and -(2**63) <= answer < 2**63:
        return "int64", (), struct.pack("<q", answer)
    raise TypeError("expected an mlx array or a number, got %s" % type(answer).__name__)


def value(function: Callable[..., Any], inputs: Sequence[Any], parameters: Mapping[str, Any]) -> Any:
    """What the function answers, computed: MLX is lazy."""
    answer = function(*inputs, **parameters)
    mx.eval(answer)
    return answer


def elements(answer: Any, positions: Sequence[int]) -> Tuple[Tuple[int, ...], Any]:
    """The shape of an answer, and its elements at these positions in C order; those past its end are left out.

    Raises TypeError for what is no array or number.
    """
    if not isinstance(answer, mx.array):
        to_bytes(answer)
        answer = mx.array(answer, mx.float64)
    places = [place for place in positions if place < answer.size]
    if not places:
        return tuple(answer.shape), mx.zeros((0,), answer.dtype)
    return tuple(answer.shape), mx.take(answer.reshape(-1), mx.array(places, mx.int64))


def gradient(function: Callable[..., Any], which: int, transform: Optional[str]) -> Callable[..., Any]:
    """Pulls a cotangent back to the which-th input, by reverse mode; the others are constants."""
    return pull_of(function, which) if transform is None else transformed(pull_of(function, which), transform)


def hessian(function: Callable[..., Any], which: int, transform: Optional[str]) -> Callable[..., Any]:
    """The derivative of the gradient along a direction of the which-th input: reverse mode twice."""
    pull = pull_of(function, which)

    def product(cotangent: Any, direction: Any, *inputs: Any, **parameters: Any) -> Any:
        def pulled(array: Any) -> Any:
            return pull(cotangent, *inputs[:which], array, *inputs[which + 1 :], **parameters)

        return mx.vjp(pulled, [inputs[which]], [direction])[1][0]

    return product if transform is None else transformed(product, transform)


def tangent(function: Callable[..., Any], which: int, transform: Optional[str]) -> Callable[..., Any]:
    """Pushes a direction of the which-th input forward."""

    def push(direction: Any, *inputs: Any, **parameters: Any) -> Any:
        return mx.jvp(of_one(function, which, inputs, parameters), [inputs[which]], [direction])[1][0]

    return push if transform is None else transformed(push, transform)


def pull_of(function: Callable[..., Any], which: int) -> Callable[..., Any]:
    """The gradient for the which-th input, of the cotangent, the inputs and the parameters."""

    def pull(cotangent: Any, *inputs: Any, **parameters: Any) -> Any:
        alone = of_one(function, which, inputs, parameters)
        # Casting the answer casts the cotangent the other way, and costs no second call to learn the dtype.
        return mx.vjp(lambda array: alone(array).astype(cotangent.dtype), [inputs[which]], [cotangent])[1][0]

    return pull


def of_one(
    function: Callable[..., Any], which: int, inputs: Sequence[Any], parameters: Mapping[str, Any]
) -> Callable[[Any], Any]:
    """The function of its which-th input alone."""

    def call(array: Any) -> Any:
        answer = function(*inputs[:which], array, *inputs[which + 1 :], **parameters)
        if not isinstance(answer, mx.array):
            raise TypeError("expected an mlx array to differentiate, got %s" % type(answer).__name__)
        return answer

    return call


def transformed(function: Callable[..., Any], transform: str) -> Callable[..., Any]:
    """The function through mx.vmap over the first axis of every input, or through mx.compile.

    Parameters are shared by vmap; those that are no arrays are constants for mx.compile.
    """
    return mapped(function) if transform == "vmap" else compiled(function)


def mapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of every slice along the first axis."""

    def call(*arrays: Any, **parameters: Any) -> Any:
        return mx.vmap(lambda *slices: function(*slices, **parameters))(*arrays)

    return call


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function through mx.compile."""

    # MLX keeps what it compiled by the function's identity: each golden's is its own.
    def call(*arrays: Any, **parameters: Any) -> Any:
        return function(*arrays, **parameters)

    return mx.compile(call)


def device_of(answer: Any) -> str:  # noqa: ARG001  # arrays have no device of their own
    """MLX's default device, on which everything runs: "cpu:0"."""
    device = mx.default_device()
    # Written as Device(cpu, 0), which alone tells its number.
    return "%s:%s" % (device.type.name, str(device).rpartition(", ")[2].rstrip(")"))


def fingerprint(array: mx.array) -> bytes:
    """The bytes of an input, to see whether it was overwritten."""
    return to_bytes(array)[2]
