"""JAX arrays: how they come in, go out and are differentiated."""

from __future__ import annotations

import math
import os
import struct
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

import jax
import jax.numpy as jnp
import numpy as np  # jax depends on numpy and ml_dtypes
from ml_dtypes import bfloat16

AUTODIFF = True
TRANSFORMS = ("vmap", "jit")

NAMES = ("float16", "float32", "float64", "bool")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES: Dict[str, np.dtype[Any]] = {name: np.dtype(name) for name in NAMES + INTEGERS}
DTYPES["bfloat16"] = np.dtype(bfloat16)
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}

LARGEST_COPY = 2**31  # elements

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
    """An array on the device. JAX arrays have no strides: what is strided or misaligned becomes a C-ordered copy.

    Raises NotImplementedError where that copy would be huge.
    """
    if dtype not in DTYPES:
        raise NotImplementedError("jax has no %s" % dtype)
    if math.prod(shape) > LARGEST_COPY:
        raise NotImplementedError("jax has no strides, and a copy of %d elements is not made" % math.prod(shape))
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


def elements(answer: Any, positions: Sequence[int]) -> Tuple[Tuple[int, ...], Any]:
    """The shape of an answer, and its elements at these positions in C order; those past its end are left out.

    Raises TypeError for what is no array or number.
    """
    if not isinstance(answer, jax.Array):
        to_bytes(answer)
    array = jnp.atleast_1d(answer)
    places = np.array([place for place in positions if place < array.size], np.intp)
    return np.shape(answer), array[np.unravel_index(places, array.shape)]


def gradient(function: Callable[..., Any], which: int, transform: Optional[str]) -> Callable[..., Any]:
    """Pulls a cotangent back to the which-th input, by reverse mode; the others are constants."""
    return pull_of(function, which) if transform is None else transformed(pull_of(function, which), transform)


def hessian(function: Callable[..., Any], which: int, transform: Optional[str]) -> Callable[..., Any]:
    """The derivative of the gradient along a direction of the which-th input: forward mode over reverse mode."""
    pull = pull_of(function, which)

    def product(cotangent: Any, direction: Any, *inputs: Any, **parameters: Any) -> Any:
        def pulled(array: Any) -> Any:
            return pull(cotangent, *inputs[:which], array, *inputs[which + 1 :], **parameters)

        return jax.jvp(pulled, (inputs[which],), (direction,))[1]

    return product if transform is None else transformed(product, transform)


def tangent(function: Callable[..., Any], which: int, transform: Optional[str]) -> Callable[..., Any]:
    """Pushes a direction of the which-th input forward."""

    def push(direction: Any, *inputs: Any, **parameters: Any) -> Any:
        answer, pushed = jax.jvp(of_one(function, which, inputs, parameters), (inputs[which],), (direction,))
        check_array(answer)
        return pushed

    return push if transform is None else transformed(push, transform)


def pull_of(function: Callable[..., Any], which: int) -> Callable[..., Any]:
    """The gradient for the which-th input, of the cotangent, the inputs and the parameters."""

    def pull(cotangent: Any, *inputs: Any, **parameters: Any) -> Any:
        answer, pull_back = jax.vjp(of_one(function, which, inputs, parameters), inputs[which])
        check_array(answer)
        return pull_back(cotangent.astype(answer.dtype))[0]

    return pull


def of_one(
    function: Callable[..., Any], which: int, inputs: Sequence[Any], parameters: Mapping[str, Any]
) -> Callable[[Any], Any]:
    """The function of its which-th input alone."""

    def call(array: Any) -> Any:
        return function(*inputs[:which], array, *inputs[which + 1 :], **parameters)

    return call


def check_array(answer: Any) -> None:
    """Raises TypeError for what cannot be differentiated."""
    if not isinstance(answer, jax.Array):
        raise TypeError("expected a jax array to differentiate, got %s" % type(answer).__name__)


def transformed(function: Callable[..., Any], transform: str) -> Callable[..., Any]:
    """The function through jax.vmap over the first axis of every input, or through jax.jit.

    Parameters are shared by vmap; those that are no arrays are static for jit.
    """
    return mapped(function) if transform == "vmap" else compiled(function)


def mapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of every slice along the first axis."""

    def call(*arrays: Any, **parameters: Any) -> Any:
        return jax.vmap(lambda *slices: function(*slices, **parameters))(*arrays)

    return call


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled for each shape and each value of the parameters that are no arrays."""

    def traced(static: Tuple[Tuple[str, Any], ...], named: Mapping[str, Any], *arrays: Any) -> Any:
        return function(*arrays, **dict(static), **named)

    jitted = jax.jit(traced, static_argnums=0)

    def call(*arrays: Any, **parameters: Any) -> Any:
        named = {name: value for name, value in parameters.items() if isinstance(value, jax.Array)}
        static = tuple((name, value) for name, value in parameters.items() if name not in named)
        return jitted(static, named, *arrays)

    return call


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
