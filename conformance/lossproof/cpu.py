"""What the processor is, as far as results may depend on it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path

# Instruction sets by which libraries choose their kernels.
_X86 = ("sse4_2", "avx", "fma", "f16c", "avx2", "avx512f", "avx512bw", "avx512_bf16", "avx512_fp16", "amx_bf16")
_ARM = ("asimd", "asimdhp", "bf16", "sve", "sve2", "sme")


def cpu_model() -> str:
    """The processor's name, or its architecture where the system does not tell."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def cpu_features() -> list[str]:
    """Its instruction sets that matter to numerics, none where the system does not tell."""
    present = set((_cpuinfo().get("flags") or _cpuinfo().get("Features") or "").split())
    return [name for name in (*_X86, *_ARM) if name in present]


def _cpuinfo() -> Mapping[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}
