"""torch tensors, on the CPU or a CUDA device: how they come in, go out and are differentiated."""

from __future__ import annotations

import ctypes
import importlib.util
import math
import os
import shutil
import struct
import sys
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

import torch

AUTODIFF = True
TRANSFORMS = ("vmap", "jit", "autocast")

NAMES = ("float16", "bfloat16", "float32", "float64", "bool")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES: Dict[str, torch.dtype] = {name: getattr(torch, name) for name in NAMES + INTEGERS}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}

# The device that `start` was asked for: a worker serves one.
_device = torch.device("cpu")


def start(device: str) -> Dict[str, Any]:
    """Chooses the device ("cpu", "cuda", "cuda:1"); the facts for the header.

    Raises RuntimeError where it is missing.
    """
    global _device  # noqa: PLW0603  # one worker, one device
    if device.partition(":")[0] not in ("cpu", "cuda"):
        raise RuntimeError("expected the device cpu or cuda, got %s" % device)
    chosen = torch.device(device)
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise RuntimeError("expected a CUDA device, torch %s sees %d" % (torch.__version__, torch.cuda.device_count()))
    if chosen.type == "cuda":
        chosen = torch.device("cuda", chosen.index or 0)
        # Triton launches its kernels on the current device, wherever their tensors are.
        torch.cuda.set_device(chosen)
    _device = chosen
    facts: Dict[str, Any] = {
        "framework": "torch",
        "version": torch.__version__,
        "device": device_of(torch.zeros((), device=_device)),
        "threads": torch.get_num_threads(),
        "flush_to_zero": flushes_to_zero(),
        "x64": True,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }
    if chosen.type == "cuda":
        facts["device_name"] = torch.cuda.get_device_name(_device)
        facts["cuda"] = torch.version.cuda
        facts["tf32"] = torch.backends.cuda.matmul.allow_tf32
    return facts


def flushes_to_zero() -> bool:
    """Whether half of the smallest normal float32 is 0, in a long operation or in a single one."""
    smallest = torch.full((1024,), torch.finfo(torch.float32).tiny, device=_device)
    return bool(torch.any(smallest * 0.5 == 0)) or bool(smallest[0] * 0.5 == 0)


def from_buffer(
    dtype: str, shape: Sequence[int], strides: Optional[Sequence[int]], offset: int, buffer: bytearray
) -> torch.Tensor:
    """A tensor on the device with the strides and offset (in bytes) of the buffer; it owns its memory.

    Raises NotImplementedError for what torch cannot hold: negative strides, and misaligned tensors on CUDA.
    """
    if dtype not in DTYPES:
        raise NotImplementedError("torch has no %s" % dtype)
    kind = DTYPES[dtype]
    if not math.prod(shape):
        if _device.type == "cuda":
            # Nothing is copied: this is what raises where an earlier call has broken the device.
            torch.cuda.synchronize(_device)
        return torch.empty(shape, dtype=kind, device=_device)
    # A copy: frombuffer aligns to no more than bytearray does, and its storage cannot be resized.
    if strides is None and not offset:
        return torch.frombuffer(buffer, dtype=kind).to(_device, copy=True).reshape(shape)

    steps = steps_of(strides, kind.itemsize)
    skipped = offset % kind.itemsize
    if skipped and _device.type != "cpu":
        raise NotImplementedError("torch has no misaligned tensors on %s" % _device.type)
    flat = torch.frombuffer(buffer, dtype=kind, offset=skipped, count=(len(buffer) - skipped) // kind.itemsize)
    if not skipped:
        flat = flat.to(_device, copy=True)
    if steps is None:
        begin = offset // kind.itemsize
        return flat[begin : begin + math.prod(shape)].reshape(shape)
    return flat.as_strided(tuple(shape), steps, offset // kind.itemsize)


def steps_of(strides: Optional[Sequence[int]], itemsize: int) -> Optional[Tuple[int, ...]]:
    """Strides in elements."""
    if strides is None:
        return None
    if any(stride < 0 for stride in strides):
        raise NotImplementedError("torch has no negative strides")
    if any(stride % itemsize for stride in strides):
        raise NotImplementedError("torch has no strides between elements")
    return tuple(stride // itemsize for stride in strides)


def to_bytes(answer: Any) -> Tuple[str, Tuple[int, ...], bytes]:
    """Dtype, shape and the little-endian elements in C order. Raises TypeError for what is no tensor or number."""
    if isinstance(answer, torch.Tensor):
        if answer.dtype not in DTYPE_NAMES:
            raise TypeError("expected a tensor of floats, integers or booleans, got %s" % answer.dtype)
        # .numpy() has no bfloat16, and torch may be installed without NumPy.
        tensor = answer.detach().cpu().contiguous()
        size = tensor.numel() * tensor.element_size()
        return (
            DTYPE_NAMES[tensor.dtype],
            tuple(tensor.shape),
            ctypes.string_at(tensor.data_ptr(), size) if size else b"",
        )
    if isinstance(answer, float):
        return "float64", (), struct.pack("<d", answer)
    if isinstance(answer, int) and not isinstance(answer, bool) and -(2**63) <= answer < 2**63:
        return "int64", (), struct.pack("<q", answer)
    raise TypeError("expected a torch tensor or a number, got %s" % type(answer).__name__)


def value(function: Callable[..., Any], inputs: Sequence[Any], parameters: Mapping[str, Any]) -> Any:
    """What the function answers, once the device is done."""
    answer = function(*inputs, **parameters)
    if _device.type == "cuda":
        torch.cuda.synchronize(_device)
    return answer


def elements(answer: Any, positions: Sequence[int]) -> Tuple[Tuple[int, ...], Any]:
    """The shape of an answer, and its elements at these positions in C order; those past its end are left out.

    Raises TypeError for what is no tensor or number.
    """
    if not isinstance(answer, torch.Tensor):
        to_bytes(answer)
        answer = torch.tensor(answer, dtype=torch.float64)
    tensor = answer if answer.dim() else answer.reshape(1)
    places = torch.tensor([place for place in positions if place < tensor.numel()], dtype=torch.int64)
    # Not through a flat copy, which may not fit beside the tensor.
    return tuple(answer.shape), tensor[torch.unravel_index(places, tensor.shape)]


def gradient(function: Callable[..., Any], which: int, transform: Optional[str]) -> Callable[..., Any]:
    """Pulls a cotangent back to the which-th input, by autograd; nothing else requires a gradient.

    What is compiled or cast is the loss, what is mapped is its gradient. An answer that does not depend on the input
    raises, as it does in training.
    """
    if transform == "vmap":
        return mapped(pull_of(function, which))
    loss = function if transform is None else transformed(function, transform)

    def pull(cotangent: Any, *inputs: Any, **parameters: Any) -> Any:
        leaf, answer = traced(loss, which, inputs, parameters)
        return torch.autograd.grad(answer, leaf, cotangent.to(answer.dtype))[0]

    return pull


def hessian(function: Callable[..., Any], which: int, transform: Optional[str]) -> Callable[..., Any]:
    """The derivative of the gradient along a direction of the which-th input: reverse mode twice."""
    if transform in ("vmap", "jit"):
        # What torch.compile has compiled it differentiates only once; both take functions of torch.func.
        return transformed(product_of(function, which), transform)
    loss = function if transform is None else transformed(function, transform)

    def product(cotangent: Any, direction: Any, *inputs: Any, **parameters: Any) -> Any:
        leaf, answer = traced(loss, which, inputs, parameters)
        (pulled,) = torch.autograd.grad(answer, leaf, cotangent.to(answer.dtype), create_graph=True)
        return torch.autograd.grad(pulled, leaf, direction)[0]

    return product


def tangent(function: Callable[..., Any], which: int, transform: Optional[str]) -> Callable[..., Any]:
    """Pushes a direction of the which-th input forward."""
    loss = autocast(function) if transform == "autocast" else function

    def push(direction: Any, *inputs: Any, **parameters: Any) -> Any:
        return torch.func.jvp(of_one(loss, which, inputs, parameters), (inputs[which],), (direction,))[1]

    return transformed(push, transform) if transform in ("vmap", "jit") else push


def traced(
    function: Callable[..., Any], which: int, inputs: Sequence[Any], parameters: Mapping[str, Any]
) -> Tuple[torch.Tensor, torch.Tensor]:
    """The which-th input as a leaf of autograd's graph, and the answer."""
    leaf = inputs[which].detach().requires_grad_()
    answer = of_one(function, which, inputs, parameters)(leaf)
    if not isinstance(answer, torch.Tensor):
        raise TypeError("expected a torch tensor to differentiate, got %s" % type(answer).__name__)
    return leaf, answer


def pull_of(function: Callable[..., Any], which: int) -> Callable[..., Any]:
    """The gradient for the which-th input, of the cotangent, the inputs and the parameters, for torch.func."""

    def pull(cotangent: Any, *inputs: Any, **parameters: Any) -> Any:
        answer, pull_back, *_ = torch.func.vjp(of_one(function, which, inputs, parameters), inputs[which])
        return pull_back(cotangent.to(answer.dtype))[0]

    return pull


def product_of(function: Callable[..., Any], which: int) -> Callable[..., Any]:
    """The derivative of the gradient along a direction, for torch.func."""
    pull = pull_of(function, which)

    def product(cotangent: Any, direction: Any, *inputs: Any, **parameters: Any) -> Any:
        def pulled(array: Any) -> Any:
            return pull(cotangent, *inputs[:which], array, *inputs[which + 1 :], **parameters)

        return torch.func.vjp(pulled, inputs[which])[1](direction)[0]

    return product


def of_one(
    function: Callable[..., Any], which: int, inputs: Sequence[Any], parameters: Mapping[str, Any]
) -> Callable[[Any], Any]:
    """The function of its which-th input alone."""

    def call(array: Any) -> Any:
        return function(*inputs[:which], array, *inputs[which + 1 :], **parameters)

    return call


def transformed(function: Callable[..., Any], transform: str) -> Callable[..., Any]:
    """The function through torch.func.vmap over the first axis of every input, torch.compile or torch.autocast."""
    return {"vmap": mapped, "jit": compiled, "autocast": autocast}[transform](function)


def mapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of every slice along the first axis; parameters are shared."""

    def call(*arrays: Any, **parameters: Any) -> Any:
        return torch.func.vmap(lambda *slices: function(*slices, **parameters))(*arrays)

    return call


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function through torch.compile with its default backend. NotImplementedError where that cannot compile."""
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if _device.type == "cpu" and shutil.which(compiler) is None:
        raise NotImplementedError("torch.compile needs a C++ compiler, found no %s" % compiler)
    if _device.type == "cuda" and importlib.util.find_spec("triton") is None:
        raise NotImplementedError("torch.compile needs triton on %s, found none" % _device.type)
    # After some shapes of one piece of code torch gives up and runs it as it is: each function is compiled anew.
    torch.compiler.reset()

    # A function of torch itself would not be compiled.
    def call(*arrays: Any, **parameters: Any) -> Any:
        return function(*arrays, **parameters)

    return torch.compile(call)


def autocast(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function under torch.autocast to the inputs' own half dtype, else to bfloat16."""

    def call(*arrays: Any, **parameters: Any) -> Any:
        halves = [array.dtype for array in arrays if array.dtype in (torch.bfloat16, torch.float16)]
        with torch.autocast(_device.type, dtype=halves[0] if halves else torch.bfloat16):
            return function(*arrays, **parameters)

    return call


def device_of(answer: Any) -> str:
    """The device of a tensor, as torch writes it; a number is on the CPU."""
    return str(answer.device) if isinstance(answer, torch.Tensor) else "cpu"


def fingerprint(array: torch.Tensor) -> bytes:
    """The bytes of an input, to see whether it was overwritten."""
    return to_bytes(array)[2]
