"""tinygrad tensors: how they come in, go out and are differentiated."""

from __future__ import annotations

import importlib.metadata
import math
import os
import struct
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Sequence, Tuple

# Read at the import. PYTHON is the device of tinygrad that needs no compiler; whoever has one says DEV=CPU.
os.environ.setdefault("DEV", "PYTHON")

from tinygrad import Device, Tensor, TinyJit, dtypes

AUTODIFF = True
TRANSFORMS = ("jit",)

NAMES = ("float16", "bfloat16", "float32", "float64", "bool")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES: Dict[str, Any] = {name: getattr(dtypes, name) for name in NAMES + INTEGERS}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
DEVICES = {"cpu": ("PYTHON", "CPU"), "cuda": ("CUDA", "NV")}

# Elements: strided ones are picked one by one here, and PYTHON interprets the kernels, some seconds for this many.
LARGEST = {"PYTHON": 2**9}
LARGEST_COPY = 2**24


def start(device: str) -> Dict[str, Any]:
    """The facts for the header. Raises RuntimeError where the environment variable DEV chose another device."""
    if Device.DEFAULT.partition(":")[0] not in DEVICES.get(device, ()):
        raise RuntimeError("expected the device cpu or cuda, as chosen by DEV=%s, got %s" % (Device.DEFAULT, device))
    return {
        "framework": "tinygrad",
        "version": importlib.metadata.version("tinygrad"),
        "device": device_of(Tensor([0.0])),
        "threads": None,
        "flush_to_zero": flushes_to_zero(),
        "x64": True,
        "deterministic": None,
    }


def flushes_to_zero() -> bool:
    """Whether half of the smallest normal float32 is 0."""
    smallest = Tensor([2.0**-126] * 64, dtype=dtypes.float32)
    # Read on the host: a comparison with 0 may itself flush.
    return 0.0 in (smallest * 0.5).tolist()


def from_buffer(
    dtype: str, shape: Sequence[int], strides: Optional[Sequence[int]], offset: int, buffer: bytearray
) -> Tensor:
    """A tensor on the device. What is strided or misaligned becomes a C-ordered copy: tinygrad has no strides.

    Raises NotImplementedError where that copy would be huge.
    """
    if dtype not in DTYPES:
        raise NotImplementedError("tinygrad has no %s" % dtype)
    kind, count = DTYPES[dtype], math.prod(shape)
    if not count:
        return Tensor.zeros(tuple(shape), dtype=kind).contiguous().realize()
    if count > LARGEST.get(Device.DEFAULT, LARGEST_COPY):
        raise NotImplementedError("%d elements are too many for tinygrad's device %s" % (count, Device.DEFAULT))
    size = kind.itemsize
    if strides is None:
        data = bytes(buffer[offset : offset + count * size])
    else:
        data = b"".join(bytes(buffer[place : place + size]) for place in places(shape, strides, offset))
    return Tensor(data, dtype=kind).reshape(tuple(shape)).contiguous().realize()


def places(shape: Sequence[int], strides: Sequence[int], offset: int) -> Iterator[int]:
    """Where the elements of an array begin, in C order."""
    if not shape:
        yield offset
        return
    for index in range(shape[0]):
        yield from places(shape[1:], strides[1:], offset + index * strides[0])


def to_bytes(answer: Any) -> Tuple[str, Tuple[int, ...], bytes]:
    """Dtype, shape and the little-endian elements in C order. Raises TypeError for what is no tensor or number."""
    if isinstance(answer, Tensor):
        if answer.dtype not in DTYPE_NAMES:
            raise TypeError("expected a tensor of floats, integers or booleans, got %s" % answer.dtype)
        # Python's memoryview has no half dtypes.
        bits = answer.bitcast(dtypes.uint16) if answer.dtype in (dtypes.float16, dtypes.bfloat16) else answer
        return DTYPE_NAMES[answer.dtype], tuple(answer.shape), bytes(bits.contiguous().data())
    if isinstance(answer, float):
        return "float64", (), struct.pack("<d", answer)
    if isinstance(answer, int) and not isinstance(answer, bool) and -(2**63) <= answer < 2**63:
        return "int64", (), struct.pack("<q", answer)
    raise TypeError("expected a tinygrad tensor or a number, got %s" % type(answer).__name__)


def value(function: Callable[..., Any], inputs: Sequence[Any], parameters: Mapping[str, Any]) -> Any:
    """What the function answers, computed: tinygrad is lazy."""
    answer = function(*inputs, **parameters)
    return answer.contiguous().realize() if isinstance(answer, Tensor) else answer


def elements(answer: Any, positions: Sequence[int]) -> Tuple[Tuple[int, ...], Any]:
    """The shape of the answer, and its elements at these positions in C order; those past its end are left out.

    Raises TypeError for what is no tensor or number.
    """
    if not isinstance(answer, Tensor):
        to_bytes(answer)
        answer = Tensor(answer, dtype=dtypes.float64)
    inside = [place for place in positions if place < answer.numel()]
    if not inside:
        return tuple(answer.shape), Tensor([], dtype=answer.dtype)
    return tuple(answer.shape), answer.reshape(-1)[Tensor(inside, dtype=dtypes.int64)]


def gradient(function: Callable[..., Any], which: int, transform: Optional[str]) -> Callable[..., Any]:
    """Pulls a cotangent back to the which-th input, by reverse mode; the others are constants."""
    return pull_of(function, which) if transform is None else transformed(pull_of(function, which), transform)


def hessian(function: Callable[..., Any], which: int, transform: Optional[str]) -> Callable[..., Any]:
    """The derivative of the gradient along a direction of the which-th input: reverse mode twice."""
    pull = pull_of(function, which)

    def product(cotangent: Any, direction: Any, *inputs: Any, **parameters: Any) -> Any:
        return pull(cotangent, *inputs, **parameters).gradient(inputs[which], gradient=direction)[0]

    return product if transform is None else transformed(product, transform)


def tangent(function: Callable[..., Any], which: int, transform: Optional[str]) -> Callable[..., Any]:
    """Raises NotImplementedError: tinygrad has no forward mode."""
    raise NotImplementedError("tinygrad has no forward mode")


def pull_of(function: Callable[..., Any], which: int) -> Callable[..., Any]:
    """The gradient for the which-th input, of the cotangent, the inputs and the parameters."""

    def pull(cotangent: Any, *inputs: Any, **parameters: Any) -> Any:
        answer = function(*inputs, **parameters)
        if not isinstance(answer, Tensor):
            raise TypeError("expected a tinygrad tensor to differentiate, got %s" % type(answer).__name__)
        return answer.gradient(inputs[which], gradient=cotangent.cast(answer.dtype))[0]

    return pull


def transformed(function: Callable[..., Any], transform: str) -> Callable[..., Any]:  # noqa: ARG001  # there is one
    """The function through TinyJit, which runs what it captured from the third call on; parameters are constants."""

    def call(*arrays: Any, **parameters: Any) -> Any:
        def realized(*traced: Any) -> Any:
            return function(*traced, **parameters).contiguous().realize()

        compiled = TinyJit(realized)
        compiled(*arrays)
        compiled(*arrays)
        return compiled(*arrays)

    return call


def device_of(answer: Any) -> str:
    """The device of a tensor as tinygrad writes it, "PYTHON"; a number is where everything else is."""
    return str(answer.device) if isinstance(answer, Tensor) else str(Device.DEFAULT)


def fingerprint(array: Any) -> bytes:
    """The bytes of an input, to see whether it was overwritten."""
    return to_bytes(array)[2]
