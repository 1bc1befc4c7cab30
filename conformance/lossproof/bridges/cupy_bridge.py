"""CuPy arrays, on a CUDA device: how they come in and go out; CuPy has no autodiff."""

from __future__ import annotations

import math
import os
import struct
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

import cupy as cp
import numpy as np  # cupy depends on numpy

AUTODIFF = False
TRANSFORMS: Tuple[str, ...] = ()

NAMES = ("float16", "float32", "float64", "bool")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES: Dict[str, np.dtype[Any]] = {name: np.dtype(name) for name in NAMES + INTEGERS}
try:
    import ml_dtypes

    DTYPES["bfloat16"] = np.dtype(ml_dtypes.bfloat16)
except ImportError:  # CuPy takes bfloat16 from ml_dtypes: without it such goldens are unsupported.
    pass
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}

# The device that `start` was asked for: a worker serves one.
_device: Any = None


def start(device: str) -> Dict[str, Any]:
    """Makes the device ("cuda", "cuda:1") current; the facts for the header.

    Raises RuntimeError where it is missing.
    """
    global _device  # noqa: PLW0603  # one worker, one device
    platform, _, index = device.partition(":")
    if platform != "cuda":
        raise RuntimeError("expected the device cuda (cupy has no other), got %s" % device)
    seen, reason = count_devices()
    if int(index or 0) >= seen:
        raise RuntimeError("expected a CUDA device, cupy %s sees %d%s" % (cp.__version__, seen, reason))
    _device = cp.cuda.Device(int(index or 0))
    _device.use()
    if not takes_bfloat16():
        DTYPES.pop("bfloat16", None)
    version = cp.cuda.runtime.runtimeGetVersion()
    return {
        "framework": "cupy",
        "version": cp.__version__,
        "device": name_of(_device),
        "threads": None,
        "flush_to_zero": flushes_to_zero(),
        "x64": True,
        "deterministic": None,
        "device_name": cp.cuda.runtime.getDeviceProperties(_device.id)["name"].decode(),
        "cuda": "%d.%d" % (version // 1000, version % 1000 // 10),
        "tf32": os.environ.get("CUPY_TF32", "0") == "1",
    }


def count_devices() -> Tuple[int, str]:
    """How many devices CUDA sees, and where it sees none, why."""
    try:
        return cp.cuda.runtime.getDeviceCount(), ""
    except RuntimeError as error:
        return 0, ": %s" % error


def takes_bfloat16() -> bool:
    """Whether this CuPy computes with bfloat16: since version 14, where its CUDA compiler knows it (12.2)."""
    if "bfloat16" not in DTYPES:
        return False
    try:
        ones = cp.asarray(np.ones(1, DTYPES["bfloat16"]))
        return bool((ones + ones).dtype == DTYPES["bfloat16"])
    except Exception:  # Each version refuses it in a way of its own.
        return False


def flushes_to_zero() -> bool:
    """Whether half of the smallest normal float32 is 0, in a long operation or in a single one."""
    smallest = cp.asarray(np.full(1024, np.finfo(np.float32).tiny))
    half = np.float32(0.5)
    # Read on the host: a comparison with 0 may itself flush.
    return bool(np.any((smallest * half).get() == 0) or (smallest[:1] * half).get()[0] == 0)


def from_buffer(
    dtype: str, shape: Sequence[int], strides: Optional[Sequence[int]], offset: int, buffer: bytearray
) -> Any:
    """An array on the device with the strides and offset (in bytes) of the buffer.

    Raises NotImplementedError for elements that are not aligned, which CUDA cannot read, and for a missing dtype.
    """
    if dtype not in DTYPES:
        raise NotImplementedError("cupy has no %s here" % dtype)
    kind = DTYPES[dtype]
    if not math.prod(shape):
        return cp.empty(tuple(shape), kind)
    # One misaligned read ends the CUDA context, and with it the process.
    if offset % kind.itemsize:
        raise NotImplementedError("cupy has no misaligned arrays on cuda")
    if any(stride % kind.itemsize for stride in strides or ()):
        raise NotImplementedError("cupy has no strides between elements")
    flat = cp.asarray(np.frombuffer(buffer, np.uint8))
    return cp.ndarray(tuple(shape), kind, flat.data + offset, None if strides is None else tuple(strides))


def to_bytes(answer: Any) -> Tuple[str, Tuple[int, ...], bytes]:
    """Dtype, shape and the little-endian elements in C order. Raises TypeError for what is no array or number."""
    if isinstance(answer, cp.ndarray):
        if answer.dtype not in DTYPE_NAMES:
            raise TypeError("expected an array of floats, integers or booleans, got dtype %s" % answer.dtype)
        return DTYPE_NAMES[answer.dtype], answer.shape, answer.get().tobytes()
    if isinstance(answer, float):
        return "float64", (), struct.pack("<d", answer)
    if isinstance(answer, int) and not isinstance(answer, bool) and -(2**63) <= answer < 2**63:
        return "int64", (), struct.pack("<q", answer)
    raise TypeError("expected a cupy array or a number, got %s" % type(answer).__name__)


def value(function: Callable[..., Any], inputs: Sequence[Any], parameters: Mapping[str, Any]) -> Any:
    """What the function answers, once the device is done."""
    answer = function(*inputs, **parameters)
    _device.synchronize()
    return answer


def elements(answer: Any, positions: Sequence[int]) -> Tuple[Tuple[int, ...], Any]:
    """The shape of an answer, and its elements at these positions in C order; those past its end are left out.

    Raises TypeError for what is no array or number.
    """
    if not isinstance(answer, cp.ndarray):
        to_bytes(answer)
        answer = cp.asarray(np.float64(answer))
    places = [np.unravel_index(place, answer.shape) for place in positions if place < answer.size]
    # Views of one element each, and not an index on the device, whose arithmetic may have 32 bits.
    chosen = [answer[(*map(int, place), ...)] for place in places]
    return answer.shape, cp.stack(chosen) if chosen else cp.empty(0, answer.dtype)


def device_of(answer: Any) -> str:
    """The device of an array; a number is on the CPU."""
    return name_of(answer.device) if isinstance(answer, cp.ndarray) else "cpu"


def name_of(device: Any) -> str:
    """A device as platform and number: "cuda:0"."""
    return "cuda:%d" % device.id


def fingerprint(array: Any) -> bytes:
    """The bytes of an input, to see whether it was overwritten."""
    return to_bytes(array)[2]
