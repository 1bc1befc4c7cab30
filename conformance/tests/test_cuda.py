"""A run on a GPU, where there is one, and what is said where there is none."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needs import needs

from lossproof.processes.connect import Answered, Launch, Request, Worker
from lossproof.processes.wire import encode

LOSSPROOF = Path(sys.executable).parent / "lossproof"


PUBLISHED = "cross_entropy/published/*"
TORCH_SEES_ONE = "torch.cuda.is_available()"
JAX_SEES_ONE = "jax.devices('cuda')"
CUPY_SEES_ONE = "cupy.cuda.is_available()"


@dataclass(frozen=True)
class OnCuda:
    """A run on a GPU, the expression that holds where its framework sees one, and how the framework names it.

    What the adapter does not offer of these cases, such as gradients, is `unsupported`.
    """

    run: tuple[str, ...]
    sees_one: str
    device: str
    cases: str = PUBLISHED
    unsupported: bool = False


def run_on_cuda(
    folder: Path, *arguments: str, cases: str = PUBLISHED, **environment: str
) -> subprocess.CompletedProcess[str]:
    # Where Triton interprets, nothing runs on the GPU.
    inherited = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    return subprocess.run(
        [LOSSPROOF, "run", *arguments, "--device", "cuda", "--cases", cases],
        cwd=folder,
        env={**inherited, **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )


def lines_of(finished: subprocess.CompletedProcess[str], kind: str) -> list[dict[str, Any]]:
    lines = map(json.loads, finished.stdout.splitlines())
    return [line for line in lines if line["type"] == kind]


def skip_without_a_gpu(expression: str) -> None:
    """Skips where the expression does not hold, asked of a process: JAX takes most of a GPU's memory and keeps it."""
    framework = expression.partition(".")[0]
    asked = subprocess.run(
        [sys.executable, "-c", f"import {framework}; assert {expression}, '{framework} sees none'"],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    if asked.returncode:
        pytest.skip(f"no CUDA device: {asked.stderr.strip().splitlines()[-1]}")


@pytest.mark.parametrize(
    "on",
    [
        pytest.param(OnCuda(("torch_eager",), TORCH_SEES_ONE, "cuda:0"), marks=needs("torch")),
        pytest.param(OnCuda(("torch_compile",), TORCH_SEES_ONE, "cuda:0"), marks=[needs("torch"), needs("triton")]),
        # JAX calls the platform of CUDA devices gpu.
        pytest.param(OnCuda(("jax_eager",), JAX_SEES_ONE, "gpu:0"), marks=needs("jax")),
        pytest.param(OnCuda(("jax_jit",), JAX_SEES_ONE, "gpu:0"), marks=needs("jax")),
        pytest.param(
            OnCuda(("liger_functional",), TORCH_SEES_ONE, "cuda:0", unsupported=True), marks=needs("liger_kernel")
        ),
        pytest.param(
            OnCuda(
                ("cut_cross_entropy_compile",),
                TORCH_SEES_ONE,
                "cuda:0",
                cases="linear_cross_entropy/plain/*",
                unsupported=True,
            ),
            marks=needs("cut_cross_entropy"),
        ),
        pytest.param(
            OnCuda(("array_api_losses", "--framework", "torch"), TORCH_SEES_ONE, "cuda:0"),
            marks=[needs("array_api_compat"), needs("torch")],
        ),
        pytest.param(
            OnCuda(("array_api_losses", "--framework", "jax"), JAX_SEES_ONE, "gpu:0"),
            marks=[needs("array_api_compat"), needs("jax")],
        ),
        pytest.param(
            OnCuda(("array_api_losses", "--framework", "cupy"), CUPY_SEES_ONE, "cuda:0", unsupported=True),
            marks=[needs("array_api_compat"), needs("cupy")],
        ),
    ],
    ids=lambda on: "-".join(on.run).replace("---framework", ""),
)
def test_goldens_pass_on_a_gpu(tmp_path: Path, on: OnCuda) -> None:
    skip_without_a_gpu(on.sees_one)

    finished = run_on_cuda(tmp_path, *on.run, "--json", cases=on.cases)

    assert (0, "") == (finished.returncode, finished.stderr), finished.stdout
    assert "cuda" == lines_of(finished, "run")[0]["device"]
    assert on.device == lines_of(finished, "implementation")[0]["header"]["device"]
    outcomes = {record["outcome"] for record in lines_of(finished, "record")}
    assert {"accurate", "stable"} >= outcomes - ({"unsupported"} if on.unsupported else set())


SQUARES = "def cross_entropy(x, y): return (x**2 * y).sum()\n"


@pytest.mark.parametrize(
    ("framework", "sees_one"),
    [
        pytest.param("torch", TORCH_SEES_ONE, marks=needs("torch")),
        pytest.param("jax", JAX_SEES_ONE, marks=needs("jax")),
    ],
)
def test_derivatives_and_transforms_on_a_gpu(adapter: Callable[[str], Path], framework: str, sees_one: str) -> None:
    skip_without_a_gpu(sees_one)
    x, y, direction = (encode(np.array(numbers)) for numbers in ([[1.0, 2.0]], [[3.0, 3.0]], [[3.0, 4.0]]))
    two, twos = encode(np.array(2.0)), encode(np.array([2.0]))
    requests = [
        Request("cross_entropy", "gradient", (x, y), {}, two),
        Request("cross_entropy", "gradient-y", (x, y), {}, two, 1),
        Request("cross_entropy", "hessian", (x, y), {}, two, direction=direction),
        Request("cross_entropy", "tangent", (x, y), {}, direction=direction),
        Request("cross_entropy", "hessian", (x, y), {}, twos, direction=direction, transform="vmap"),
        Request("cross_entropy", "gradient", (x, y), {}, two, transform="jit"),
        Request("cross_entropy", "gradient", (x, y), {}, two, positions=(1,)),
    ]
    expected = [[[12.0, 24.0]], [[2.0, 8.0]], [[36.0, 48.0]], 66.0, [[36.0, 48.0]], [[12.0, 24.0]], [24.0]]

    path = adapter(f'framework = "{framework}"\n{SQUARES}')
    with Worker(Launch(("cross_entropy",), {"path": str(path)}, device="cuda")) as worker:
        replies = list(worker.ask(requests))

    assert expected == [
        reply.array.tolist() if isinstance(reply, Answered) and reply.array is not None else reply for reply in replies
    ]


@needs("cupy")
def test_gradients_of_cupy_are_those_of_the_adapter(adapter: Callable[[str], Path]) -> None:
    skip_without_a_gpu(CUPY_SEES_ONE)
    x, y, two = (encode(np.array(numbers)) for numbers in ([[1.0, 2.0]], [[3.0, 3.0]], 2.0))
    requests = [
        Request("cross_entropy", "value", (x, y), {}),
        Request("cross_entropy", "gradient", (x, y), {}, two),
        Request("cross_entropy", "gradient", (x, y), {}, two, positions=(1,)),
    ]

    path = adapter(f'framework = "cupy"\n{SQUARES}def cross_entropy_vjp(c, x, y): return c * 2 * x * y\n')
    with Worker(Launch(("cross_entropy",), {"path": str(path)}, device="cuda")) as worker:
        replies = list(worker.ask(requests))

    assert [15.0, [[12.0, 24.0]], [24.0]] == [
        reply.array.tolist() if isinstance(reply, Answered) and reply.array is not None else reply for reply in replies
    ]


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (["numpy_reference"], r"expected the device cpu \(numpy has no other\), got cuda"),
        pytest.param(["torch_eager"], r"expected a CUDA device, torch \S+ sees 0", marks=needs("torch")),
        pytest.param(["jax_eager"], r"expected a device cuda, jax \S+ has none: ", marks=needs("jax")),
        pytest.param(
            ["array_api_losses", "--framework", "cupy"],
            r"expected a CUDA device, cupy \S+ sees 0: cuda",
            marks=needs("cupy"),
        ),
    ],
)
def test_a_missing_gpu_is_told(tmp_path: Path, run: list[str], told: str) -> None:
    finished = run_on_cuda(tmp_path, *run, "--json", CUDA_VISIBLE_DEVICES="")

    (subject,) = lines_of(finished, "implementation")
    assert (3, "") == (finished.returncode, finished.stderr)
    assert re.match(told, subject["failed"]), subject["failed"]
