"""TensorFlow tensors, on the CPU or a CUDA device: how they come in, go out and are differentiated."""

from __future__ import annotations

import math
import os
import struct
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

# The C++ side reads this as it is imported: what it has to say would fill the standard error of every worker.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # tensorflow depends on numpy and ml_dtypes
import tensorflow as tf
from ml_dtypes import bfloat16

AUTODIFF = True
TRANSFORMS = ("vmap", "jit")

NAMES = ("float16", "float32", "float64", "bool")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES: Dict[str, np.dtype[Any]] = {name: np.dtype(name) for name in NAMES + INTEGERS}
DTYPES["bfloat16"] = np.dtype(bfloat16)
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}

LARGEST_COPY = 2**31  # elements


def start(device: str) -> Dict[str, Any]:
    """Hides every device but one ("cpu", "cuda", "cuda:1"); the facts for the header.

    Raises RuntimeError where it is missing.
    """
    platform, _, index = device.partition(":")
    if platform not in ("cpu", "cuda"):
        raise RuntimeError("expected the device cpu or cuda, got %s" % device)
    cards = tf.config.list_physical_devices("GPU")
    if platform == "cuda" and int(index or 0) >= len(cards):
        raise RuntimeError("expected a CUDA device, tensorflow %s sees %d" % (tf.__version__, len(cards)))
    chosen = [cards[int(index or 0)]] if platform == "cuda" else []
    # TensorFlow puts everything on a card that it sees, and takes all of its memory.
    tf.config.set_visible_devices(chosen, "GPU")
    for card in chosen:
        tf.config.experimental.set_memory_growth(card, True)
    facts: Dict[str, Any] = {
        "framework": "tensorflow",
        "version": tf.__version__,
        "device": device_of(tf.zeros(())),
        "threads": stated_threads(),
        "flush_to_zero": flushes_to_zero(),
        "x64": True,
        "deterministic": os.environ.get("TF_DETERMINISTIC_OPS") == "1",
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") == "1",
    }
    if chosen:
        facts["device_name"] = tf.config.experimental.get_device_details(chosen[0]).get("device_name")
        facts["cuda"] = tf.sysconfig.get_build_info().get("cuda_version")
        facts["tf32"] = tf.config.experimental.tensor_float_32_execution_enabled()
    return facts


def stated_threads() -> Optional[int]:
    """The threads of one operation; None where TensorFlow takes as many as there are cores."""
    threads = int(tf.config.threading.get_intra_op_parallelism_threads())
    return threads or int(os.environ.get("TF_NUM_INTRAOP_THREADS", "0")) or None


def flushes_to_zero() -> bool:
    """Whether half of the smallest normal float32 is 0, in a long operation or in a single one."""
    smallest = tf.constant(np.full(1024, np.finfo(np.float32).tiny))
    # Read on the host: a comparison with 0 may itself flush.
    return bool(np.any((smallest * 0.5).numpy() == 0) or (smallest[0] * 0.5).numpy() == 0)


def from_buffer(
    dtype: str, shape: Sequence[int], strides: Optional[Sequence[int]], offset: int, buffer: bytearray
) -> Any:
    """A tensor on the device. TensorFlow has no strides: what is strided or misaligned becomes a C-ordered copy.

    Raises NotImplementedError where that copy would be huge.
    """
    if dtype not in DTYPES:
        raise NotImplementedError("tensorflow has no %s" % dtype)
    if math.prod(shape) > LARGEST_COPY:
        raise NotImplementedError("tensorflow has no strides, and a copy of %d elements is not made" % math.prod(shape))
    view: np.ndarray[Any, Any] = np.ndarray(shape, DTYPES[dtype], buffer, offset, strides)
    return tf.constant(view)


def to_bytes(answer: Any) -> Tuple[str, Tuple[int, ...], bytes]:
    """Dtype, shape and the little-endian elements in C order. Raises TypeError for what is no tensor or number."""
    if isinstance(answer, tf.Tensor):
        # np.asarray alone refuses a bfloat16 scalar.
        array = np.asarray(answer.numpy())
        if array.dtype not in DTYPE_NAMES:
            raise TypeError("expected a tensor of floats, integers or booleans, got %s" % answer.dtype.name)
        return DTYPE_NAMES[array.dtype], array.shape, array.tobytes()
    if isinstance(answer, float):
        return "float64", (), struct.pack("<d", answer)
    if isinstance(answer, int) and not isinstance(answer, bool) and -(2**63) <= answer < 2**63:
        return "int64", (), struct.pack("<q", answer)
    raise TypeError("expected a tensorflow tensor or a number, got %s" % type(answer).__name__)


def value(function: Callable[..., Any], inputs: Sequence[Any], parameters: Mapping[str, Any]) -> Any:
    """What the function answers, once the device is done."""
    answer = function(*inputs, **parameters)
    if tf.config.get_visible_devices("GPU"):
        tf.test.experimental.sync_devices()
    return answer


def elements(answer: Any, positions: Sequence[int]) -> Tuple[Tuple[int, ...], Any]:
    """The shape of the answer, and its elements at these positions in C order; those past its end are left out.

    Raises TypeError for what is no tensor or number.
    """
    if not isinstance(answer, tf.Tensor):
        to_bytes(answer)
        answer = tf.constant(answer, tf.float64)
    # A tensor is C-ordered: to flatten it copies nothing.
    flat = tf.reshape(answer, [-1])
    places = np.array([place for place in positions if place < math.prod(answer.shape)], np.int64)
    return tuple(answer.shape), tf.gather(flat, places)


def gradient(function: Callable[..., Any], which: int, transform: Optional[str]) -> Callable[..., Any]:
    """Pulls a cotangent back to the which-th input, by a GradientTape that watches nothing else."""
    return pull_of(function, which) if transform is None else transformed(pull_of(function, which), transform)


def hessian(function: Callable[..., Any], which: int, transform: Optional[str]) -> Callable[..., Any]:
    """The derivative of the gradient along a direction of the which-th input: forward mode over reverse mode."""
    pull = pull_of(function, which)

    def product(cotangent: Any, direction: Any, *inputs: Any, **parameters: Any) -> Any:
        def pulled(*arrays: Any) -> Any:
            return pull(cotangent, *arrays, **parameters)

        return pushed(pulled, which, direction, inputs, {})

    return product if transform is None else transformed(product, transform)


def tangent(function: Callable[..., Any], which: int, transform: Optional[str]) -> Callable[..., Any]:
    """Pushes a direction of the which-th input forward."""

    def push(direction: Any, *inputs: Any, **parameters: Any) -> Any:
        return pushed(function, which, direction, inputs, parameters)

    return push if transform is None else transformed(push, transform)


def pull_of(function: Callable[..., Any], which: int) -> Callable[..., Any]:
    """The gradient for the which-th input, of the cotangent, the inputs and the parameters.

    It is 0 where the answer does not depend on that input.
    """

    def pull(cotangent: Any, *inputs: Any, **parameters: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs[which])
            answer = function(*inputs, **parameters)
        check_tensor(answer)
        pulled = tape.gradient(
            answer,
            inputs[which],
            output_gradients=tf.cast(cotangent, answer.dtype),
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        # The gradient of a gathered tensor comes as rows and their places.
        return tf.convert_to_tensor(pulled)

    return pull


def pushed(
    function: Callable[..., Any],
    which: int,
    direction: Any,
    inputs: Sequence[Any],
    parameters: Mapping[str, Any],
) -> Any:
    """The direction of the which-th input, pushed forward through the function; 0 where the answer ignores it."""
    with tf.autodiff.ForwardAccumulator(inputs[which], direction) as accumulator:
        answer = function(*inputs, **parameters)
    check_tensor(answer)
    return accumulator.jvp(answer, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def check_tensor(answer: Any) -> None:
    """Raises TypeError for what cannot be differentiated."""
    if not isinstance(answer, tf.Tensor):
        raise TypeError("expected a tensorflow tensor to differentiate, got %s" % type(answer).__name__)


def transformed(function: Callable[..., Any], transform: str) -> Callable[..., Any]:
    """The function through tf.vectorized_map over the first axis of every input, or compiled by XLA.

    Parameters are shared by vmap; those that are no tensors are static for jit.
    """
    return mapped(function) if transform == "vmap" else compiled(function)


def mapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of every slice along the first axis."""

    def call(*arrays: Any, **parameters: Any) -> Any:
        return tf.vectorized_map(lambda slices: function(*slices, **parameters), arrays)

    return call


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function through tf.function(jit_compile=True), for each shape and each parameter that is no tensor."""

    def call(*arrays: Any, **parameters: Any) -> Any:
        return function(*arrays, **parameters)

    jitted: Callable[..., Any] = tf.function(call, jit_compile=True)
    return jitted


def device_of(answer: Any) -> str:
    """The device of a tensor as kind and number, "CPU:0"; a number is on the CPU."""
    return answer.device.rpartition("device:")[2] if isinstance(answer, tf.Tensor) else "CPU:0"


def fingerprint(array: Any) -> bytes:
    """The bytes of an input, to see whether it was overwritten."""
    return to_bytes(array)[2]
