"""Arrays as they travel between host and worker."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LINE_LIMIT = 65536  # bytes of a buffer; a larger one travels in a file

_FLOATS = ("float16", "float32", "float64", "bool")
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES: Mapping[str, np.dtype[Any]] = {
    **{name: np.dtype(name).newbyteorder("<") for name in _FLOATS + _INTEGERS},
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True, slots=True)
class Encoded:
    """An array ready to travel: its JSON members, and its buffer where that is too large for the line."""

    members: str
    buffer: bytes | None = None


def encode(array: Array, layout: str | None = None, copies: int = 1) -> Encoded:
    """The array in C order, or with the memory layout that is named; the logical array is the same in each.

    transposed: the last axis has the largest stride. channels_last: axis 1 has the smallest. reversed: the last axis
    runs backwards. sliced: every second element of a buffer twice as wide, with NaN or the dtype's largest integer
    between. expanded: stride 0 on the first axis, along which the array must be constant. misaligned: one byte after an
    aligned address. With `copies` an array whose first axis is 1 long arrives with this many of it, at stride 0.
    Raises ValueError where the array cannot be laid out so, TypeError for a dtype that does not travel.
    """
    name = _NAMES.get(array.dtype)
    if name is None:
        raise TypeError(f"expected a dtype that travels ({', '.join(DTYPES)}), got {array.dtype}")
    if copies != 1 and (layout is not None or array.shape[:1] != (1,)):
        raise ValueError(f"expected copies of a first axis of 1 in C order, got {array.shape} {layout or ''}")
    shape = array.shape if copies == 1 else (copies, *array.shape[1:])
    laid = _expanded(array) if copies != 1 else _LAYOUTS[layout](array) if layout else None
    head = f'"dtype":"{name}","shape":[{",".join(map(str, shape))}]'
    if laid is None:
        buffer = array.tobytes()
    else:
        buffer, strides, offset = laid
        head += f',"strides":[{",".join(map(str, strides))}],"offset":{offset}'
    if len(buffer) > LINE_LIMIT:
        return Encoded(head, buffer)
    return Encoded(f'{head},"data":"{b2a_base64(buffer, newline=False).decode()}"')


def decode(array: Mapping[str, Any], shared: Path) -> Array:
    """The array of a reply, in C order and read-only. A file that carries it is removed; it must lie in `shared`.

    Raises KeyError, TypeError, ValueError or OSError where the reply does not describe an array.
    """
    dtype, shape = DTYPES[array["dtype"]], tuple(array["shape"])
    data = a2b_base64(array["data"], strict_mode=True) if "data" in array else _take_file(Path(array["file"]), shared)
    decoded: Array = np.ndarray(shape, dtype, data)
    if decoded.nbytes != len(data):
        raise ValueError(f"expected {decoded.nbytes} bytes for {dtype} {shape}, got {len(data)}")
    return decoded


def _take_file(path: Path, shared: Path) -> bytes:
    if path.parent != shared:
        raise ValueError(f"expected a file in {shared}, got {path}")
    data = path.read_bytes()
    path.unlink()
    return data


_Laid = tuple[bytes, tuple[int, ...], int]


def _transposed(array: Array) -> _Laid:
    return array.tobytes(order="F"), np.ndarray(array.shape, array.dtype, order="F").strides, 0


def _channels_last(array: Array) -> _Laid:
    if array.ndim < 3:
        raise ValueError(f"expected three axes or more for channels_last, got the shape {array.shape}")
    moved = np.moveaxis(array, 1, -1)
    first, *middle, last = _c_strides(moved)
    return moved.tobytes(), (first, last, *middle), 0


def _reversed(array: Array) -> _Laid:
    if array.size == 0 or array.ndim == 0:
        return _plain(array)
    *others, last = _c_strides(array)
    return array[..., ::-1].tobytes(), (*others, -last), (array.shape[-1] - 1) * last


def _sliced(array: Array) -> _Laid:
    if array.ndim == 0:
        return _plain(array)
    floating = array.dtype.name in ("float16", "bfloat16", "float32", "float64")
    between = np.nan if floating else True if array.dtype == bool else np.iinfo(array.dtype).max
    wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), between, array.dtype)
    wide[..., ::2] = array
    *others, last = _c_strides(wide)
    return wide.tobytes(), (*others, 2 * last), 0


def _expanded(array: Array) -> _Laid:
    if array.ndim == 0 or array.shape[0] == 0:
        raise ValueError(f"expected a first axis to expand along, got the shape {array.shape}")
    first = array[:1].tobytes()
    if array.tobytes() != first * array.shape[0]:
        raise ValueError("expected an array that is constant along its first axis")
    return first, (0, *_c_strides(array)[1:]), 0


def _misaligned(array: Array) -> _Laid:
    return b"\xff" + array.tobytes(), _c_strides(array), 1


def _plain(array: Array) -> _Laid:
    return array.tobytes(), _c_strides(array), 0


def _c_strides(array: Array) -> tuple[int, ...]:
    return np.ndarray(array.shape, array.dtype).strides


_LAYOUTS = {
    "transposed": _transposed,
    "channels_last": _channels_last,
    "reversed": _reversed,
    "sliced": _sliced,
    "expanded": _expanded,
    "misaligned": _misaligned,
}
