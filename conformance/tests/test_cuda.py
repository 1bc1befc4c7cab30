"""A run on a GPU, where there is one, and what is said where there is none."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needs import needs

from lossproof.processes.connect import Answered, Launch, Request, Worker
from lossproof.processes.wire import encode

LOSSPROOF = Path(sys.executable).parent / "lossproof"


def run_on_cuda(folder: Path, name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LOSSPROOF, "run", name, "--device", "cuda", "--cases", "cross_entropy/published/*", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )


def lines_of(finished: subprocess.CompletedProcess[str], kind: str) -> list[dict[str, Any]]:
    lines = map(json.loads, finished.stdout.splitlines())
    return [line for line in lines if line["type"] == kind]


def sees_a_gpu(expression: str) -> bool:
    """Whether the expression holds, asked of a process of its own: JAX takes most of a GPU's memory and keeps it."""
    framework = expression.partition(".")[0]
    asked = subprocess.run(
        [sys.executable, "-c", f"import sys, {framework}; sys.exit(not {expression})"],
        capture_output=True,
        timeout=120,
        check=False,
    )
    return asked.returncode == 0


@pytest.mark.parametrize(
    ("name", "expression", "otherwise", "device"),
    [
        pytest.param(
            "torch_eager", "torch.cuda.is_available()", "is False", "cuda:0", marks=needs("torch"), id="torch"
        ),
        # JAX calls the platform of CUDA devices gpu.
        pytest.param("jax_eager", "jax.devices('cuda')", "raises", "gpu:0", marks=needs("jax"), id="jax"),
    ],
)
def test_published_goldens_pass_on_a_gpu(
    tmp_path: Path, name: str, expression: str, otherwise: str, device: str
) -> None:
    if not sees_a_gpu(expression):
        pytest.skip(f"no CUDA device: {expression} {otherwise}")

    finished = run_on_cuda(tmp_path, name, "--json")

    assert (0, "") == (finished.returncode, finished.stderr), finished.stdout
    assert "cuda" == lines_of(finished, "run")[0]["device"]
    assert device == lines_of(finished, "implementation")[0]["header"]["device"]
    assert {"accurate", "stable"} >= {record["outcome"] for record in lines_of(finished, "record")}


SQUARES = "def cross_entropy(x, y): return (x**2 * y).sum()\n"


@pytest.mark.parametrize(
    ("framework", "expression", "otherwise"),
    [
        pytest.param("torch", "torch.cuda.is_available()", "is False", marks=needs("torch")),
        pytest.param("jax", "jax.devices('cuda')", "raises", marks=needs("jax")),
    ],
)
def test_derivatives_and_transforms_on_a_gpu(
    adapter: Callable[[str], Path], framework: str, expression: str, otherwise: str
) -> None:
    if not sees_a_gpu(expression):
        pytest.skip(f"no CUDA device: {expression} {otherwise}")
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


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("numpy_reference", r"expected the device cpu \(numpy has no other\), got cuda"),
        pytest.param("torch_eager", r"expected a CUDA device, torch \S+ sees 0", marks=needs("torch")),
        pytest.param("jax_eager", r"expected a device cuda, jax \S+ has none: ", marks=needs("jax")),
    ],
)
def test_a_missing_gpu_is_told(tmp_path: Path, name: str, told: str) -> None:
    finished = run_on_cuda(tmp_path, name, "--json", CUDA_VISIBLE_DEVICES="")

    (subject,) = lines_of(finished, "implementation")
    assert (3, "") == (finished.returncode, finished.stderr)
    assert re.match(told, subject["failed"]), subject["failed"]
