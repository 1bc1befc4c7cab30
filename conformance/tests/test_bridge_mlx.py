"""What the MLX bridge has to get right: it needs MLX, and nothing of NumPy's."""

from __future__ import annotations

import importlib
import json
from base64 import b64decode
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from lossproof.case import LAYOUTS
from lossproof.processes.wire import DTYPES, Array, encode

mx = pytest.importorskip("mlx.core", reason="mlx is not installed")


@pytest.fixture
def bridge() -> Any:
    module: Any = importlib.import_module("lossproof.bridges.mlx_bridge")
    module.start("cpu")
    return module


def given(bridge: Any, array: Array) -> Any:
    """The bridge's array in C order."""
    return bridge.from_buffer(array.dtype.name, list(array.shape), None, 0, bytearray(array.tobytes()))


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_array_comes_out_as_it_went_in(bridge: Any, dtype: str) -> None:
    array = np.array([[0, 1, 3], [1, 0, 2]], DTYPES[dtype])

    assert (dtype, (2, 3), array.tobytes()) == bridge.to_bytes(given(bridge, array))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "int64"])
def test_layout_keeps_the_logical_array(bridge: Any, layout: str, dtype: str) -> None:
    array = np.array([[[1, 2, 3], [4, 5, 6]]] * 2, DTYPES[dtype])
    sent = json.loads(f"{{{encode(array, layout).members}}}")

    given = bridge.from_buffer(
        sent["dtype"], sent["shape"], sent["strides"], sent["offset"], bytearray(b64decode(sent["data"]))
    )

    assert (dtype, (2, 2, 3), array.tobytes()) == bridge.to_bytes(given)


@pytest.mark.parametrize("transform", [None, "vmap", "jit"])
def test_derivatives_are_those_of_the_function(bridge: Any, transform: str | None) -> None:
    cube, (x, ones) = lambda x: x**3, (given(bridge, np.array([[2.0, 3.0]])), given(bridge, np.ones((1, 2))))

    gradient = bridge.value(bridge.gradient(cube, 0, transform), [ones, x], {})
    hessian = bridge.value(bridge.hessian(cube, 0, transform), [ones, ones, x], {})
    tangent = bridge.value(bridge.tangent(cube, 0, transform), [ones, x], {})

    assert [[12.0, 27.0]] == gradient.tolist() == tangent.tolist()
    assert [[12.0, 18.0]] == hessian.tolist()


def test_cotangent_is_cast_to_the_dtype_of_the_answer(bridge: Any) -> None:
    x = given(bridge, np.array([1.0, 2.0], np.float32))
    cotangent = given(bridge, np.array([3.0, 3.0], ml_dtypes.bfloat16))

    pulled = bridge.value(bridge.gradient(lambda x: x * 2, 0, None), [cotangent, x], {})

    assert "float32" == bridge.to_bytes(pulled)[0]
    assert [6.0, 6.0] == pulled.tolist()


@pytest.mark.parametrize("device", ["tpu", "gpu:99", "cpu:99"])
def test_missing_device_is_a_plain_error(bridge: Any, device: str) -> None:
    with pytest.raises(RuntimeError, match="expected"):
        bridge.start(device)
