"""NumPy arrays: how they come in and go out; NumPy has no autodiff."""

from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

import numpy as np

AUTODIFF = False
TRANSFORMS: Tuple[str, ...] = ()

NAMES = ("float16", "float32", "float64", "bool")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES: Dict[str, np.dtype[Any]] = {name: np.dtype(name) for name in NAMES + INTEGERS}
try:
    import ml_dtypes

    DTYPES["bfloat16"] = np.dtype(ml_dtypes.bfloat16)
except ImportError:  # NumPy itself has no bfloat16: without ml_dtypes such goldens are unsupported.
    pass
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def start(device: str) -> Dict[str, Any]:
    """The facts for the header. Raises RuntimeError for any device but "cpu"."""
    if device != "cpu":
        raise RuntimeError("expected the device cpu (numpy has no other), got %s" % device)
    return {
        "framework": "numpy",
        "version": np.__version__,
        "device": "cpu",
        "threads": None,
        "flush_to_zero": flushes_to_zero(),
        "x64": True,
        "deterministic": None,
    }


def flushes_to_zero() -> bool:
    """Whether half of the smallest normal float32 is 0, in a long operation or in a single one."""
    smallest = np.full(1024, np.finfo(np.float32).tiny)
    half = np.float32(0.5)
    return bool(np.any(smallest * half == 0) or smallest[0] * half == 0)


def from_buffer(
    dtype: str, shape: Sequence[int], strides: Optional[Sequence[int]], offset: int, buffer: bytearray
) -> np.ndarray[Any, Any]:
    """A view of the buffer; strides and offset in bytes. Raises NotImplementedError for a dtype that is missing."""
    if dtype not in DTYPES:
        raise NotImplementedError("numpy has no %s here" % dtype)
    return np.ndarray(shape, DTYPES[dtype], buffer, offset, strides)


def to_bytes(answer: Any) -> Tuple[str, Tuple[int, ...], bytes]:
    """Dtype, shape and the little-endian elements in C order. Raises TypeError for what is no array or number."""
    if isinstance(answer, (np.ndarray, np.generic)):
        array = np.asarray(answer)
        if array.dtype not in DTYPE_NAMES:
            array = array.astype(array.dtype.newbyteorder("<"))
        if array.dtype not in DTYPE_NAMES:
            raise TypeError("expected an array of floats, integers or booleans, got dtype %s" % array.dtype)
        return DTYPE_NAMES[array.dtype], array.shape, array.tobytes()
    if isinstance(answer, float):
        return "float64", (), np.float64(answer).tobytes()
    if isinstance(answer, int) and not isinstance(answer, bool) and -(2**63) <= answer < 2**63:
        return "int64", (), np.int64(answer).tobytes()
    raise TypeError("expected a numpy array or a number, got %s" % type(answer).__name__)


def value(function: Callable[..., Any], inputs: Sequence[Any], parameters: Mapping[str, Any]) -> Any:
    """What the function answers."""
    return function(*inputs, **parameters)


def elements(answer: Any, positions: Sequence[int]) -> Tuple[Tuple[int, ...], Any]:
    """The shape of an answer, and its elements at these positions in C order; those past its end are left out.

    Raises TypeError for what is no array or number.
    """
    if not isinstance(answer, (np.ndarray, np.generic)):
        to_bytes(answer)
    array = np.atleast_1d(answer)
    places = np.array([place for place in positions if place < array.size], np.intp)
    # Not through a flat copy, which may not fit beside the array.
    return np.shape(answer), array[np.unravel_index(places, array.shape)]


def device_of(answer: Any) -> str:  # noqa: ARG001  # NumPy knows one device
    """Always "cpu"."""
    return "cpu"


def fingerprint(array: np.ndarray[Any, Any]) -> bytes:
    """The bytes of an input, to see whether it was overwritten."""
    return array.tobytes()
