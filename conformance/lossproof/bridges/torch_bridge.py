"""torch tensors, on the CPU or a CUDA device: how they come in, go out and are differentiated."""

from __future__ import annotations

import ctypes
import math
import struct
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import torch

AUTODIFF = True

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
    if not buffer:
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


def gradient(
    function: Callable[..., Any], inputs: Sequence[Any], parameters: Mapping[str, Any], which: int, cotangent: Any
) -> Any:
    """The cotangent pulled back to the which-th input, by autograd; nothing else requires a gradient.

    An answer that does not depend on that input raises, as it does in training.
    """
    leaves: List[Any] = list(inputs)
    leaf = leaves[which] = inputs[which].detach().requires_grad_()
    answer = function(*leaves, **parameters)
    if not isinstance(answer, torch.Tensor):
        raise TypeError("expected a torch tensor to differentiate, got %s" % type(answer).__name__)
    (pulled,) = torch.autograd.grad(answer, leaf, cotangent.to(answer.dtype))
    if _device.type == "cuda":
        torch.cuda.synchronize(_device)
    return pulled


def device_of(answer: Any) -> str:
    """The device of a tensor, as torch writes it; a number is on the CPU."""
    return str(answer.device) if isinstance(answer, torch.Tensor) else "cpu"


def fingerprint(array: torch.Tensor) -> bytes:
    """The bytes of an input, to see whether it was overwritten."""
    return to_bytes(array)[2]
