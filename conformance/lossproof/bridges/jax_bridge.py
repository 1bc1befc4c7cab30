"""JAX arrays: how they come in, go out and are differentiated."""

from __future__ import annotations

import os
import struct
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import jax
import jax.numpy as jnp
import numpy as np  # jax depends on numpy and ml_dtypes
from ml_dtypes import bfloat16

AUTODIFF = True

NAMES = ("float16", "float32", "float64", "bool")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES: Dict[str, np.dtype[Any]] = {name: np.dtype(name) for name in NAMES + INTEGERS}
DTYPES["bfloat16"] = np.dtype(bfloat16)
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}

# The device that `start` was asked for: a worker serves one.
_device: Any = None


def start(device: str) -> Dict[str, Any]:
    """Switches 64-bit types on, chooses the device ("cpu", "cuda:1", "tpu"); the facts for the header.

    Raises RuntimeError where the device is missing.
    """
    global _device  # noqa: PLW0603  # one worker, one device
    platform, _, index = device.partition(":")
    jax.config.update("jax_enable_x64", True)  # type: ignore[no-untyped-call]  # jax leaves it so
    # The CPU stays available beside an accelerator: callbacks and host arrays need it.
    jax.config.update("jax_platforms", "cpu" if platform == "cpu" else platform + ",cpu")  # type: ignore[no-untyped-call]  # jax leaves it so
    try:
        devices = jax.devices(platform)
    except RuntimeError as error:
        raise RuntimeError("expected a device %s, jax %s has none: %s" % (device, jax.__version__, error)) from None
    if int(index or 0) >= len(devices):
        raise RuntimeError("expected a device %s, jax %s sees %d" % (device, jax.__version__, len(devices)))
    _device = devices[int(index or 0)]
    jax.config.update("jax_default_device", _device)  # type: ignore[no-untyped-call]  # jax leaves it so
    return {
        "framework": "jax",
        "version": jax.__version__,
        "device": name_of(_device),
        "threads": None,
        "flush_to_zero": flushes_to_zero(),
        "x64": jnp.asarray(1.0).dtype == np.float64,
        "deterministic": "xla_gpu_deterministic_ops=true" in os.environ.get("XLA_FLAGS", ""),
        "device_name": _device.device_kind,
    }


def flushes_to_zero() -> bool:
    """Whether half of the smallest normal float32 is 0, in a long operation or in a single one."""
    smallest = jax.device_put(np.full(1024, np.finfo(np.float32).tiny), _device)
    # Read on the host: a comparison with 0 may itself flush.
    return bool(np.any(np.asarray(smallest * 0.5) == 0) or np.asarray(smallest[0] * 0.5) == 0)


def from_buffer(
    dtype: str, shape: Sequence[int], strides: Optional[Sequence[int]], offset: int, buffer: bytearray
) -> jax.Array:
    """An array on the device. JAX arrays have no strides: what is strided or misaligned becomes a C-ordered copy."""
    if dtype not in DTYPES:
        raise NotImplementedError("jax has no %s" % dtype)
    view: np.ndarray[Any, Any] = np.ndarray(shape, DTYPES[dtype], buffer, offset, strides)
    array: jax.Array = jax.device_put(view.copy(), _device)
    return array


def to_bytes(answer: Any) -> Tuple[str, Tuple[int, ...], bytes]:
    """Dtype, shape and the little-endian elements in C order. Raises TypeError for what is no array or number."""
    if isinstance(answer, jax.Array):
        array = np.asarray(answer)
        if array.dtype not in DTYPE_NAMES:
            raise TypeError("expected an array of floats, integers or booleans, got dtype %s" % array.dtype)
        return DTYPE_NAMES[array.dtype], array.shape, array.tobytes()
    if isinstance(answer, float):
        return "float64", (), struct.pack("<d", answer)
    if isinstance(answer, int) and not isinstance(answer, bool) and -(2**63) <= answer < 2**63:
        return "int64", (), struct.pack("<q", answer)
    raise TypeError("expected a jax array or a number, got %s" % type(answer).__name__)


def value(function: Callable[..., Any], inputs: Sequence[Any], parameters: Mapping[str, Any]) -> Any:
    """What the function answers, once the device is done."""
    return jax.block_until_ready(function(*inputs, **parameters))  # type: ignore[no-untyped-call]  # jax leaves it so


def gradient(
    function: Callable[..., Any], inputs: Sequence[Any], parameters: Mapping[str, Any], which: int, cotangent: Any
) -> Any:
    """The cotangent pulled back to the which-th input, by reverse mode; the others are constants."""

    def of_one(prediction: Any) -> Any:
        arguments: List[Any] = list(inputs)
        arguments[which] = prediction
        return function(*arguments, **parameters)

    answer, pull_back = jax.vjp(of_one, inputs[which])
    if not isinstance(answer, jax.Array):
        raise TypeError("expected a jax array to differentiate, got %s" % type(answer).__name__)
    (pulled,) = pull_back(cotangent.astype(answer.dtype))
    return jax.block_until_ready(pulled)  # type: ignore[no-untyped-call]  # jax leaves it so


def device_of(answer: Any) -> str:
    """The device of an array; a number is on the CPU."""
    if not isinstance(answer, jax.Array):
        return "cpu:0"
    return ",".join(sorted(name_of(device) for device in answer.devices()))


def name_of(device: Any) -> str:
    """A device as platform and number: "cpu:0"."""
    return "%s:%d" % (device.platform, device.id)


def fingerprint(array: jax.Array) -> bytes:
    """The bytes of an input, to see whether it was overwritten; raises where it was donated.

    Read through a copy: what has been read once is held by the host, which would forbid to donate it.
    """
    return np.asarray(array.copy()).tobytes()
