"""What the Paddle bridge has to get right: dtypes and strides that Paddle lacks, and its own kind of bfloat16."""

from __future__ import annotations

import importlib
import json
from base64 import b64decode
from typing import Any

import numpy as np
import pytest

from lossproof.case import LAYOUTS
from lossproof.processes.wire import DTYPES, Array, encode

paddle = pytest.importorskip("paddle", reason="paddlepaddle is not installed")


@pytest.fixture
def bridge() -> Any:
    module: Any = importlib.import_module("lossproof.bridges.paddle_bridge")
    module.start("cpu")
    return module


def given(bridge: Any, array: Array) -> Any:
    """The bridge's tensor in C order."""
    return bridge.from_buffer(array.dtype.name, list(array.shape), None, 0, bytearray(array.tobytes()))


@pytest.mark.parametrize("dtype", ["float32", "float64", "bool", "int8", "int16", "int32", "int64", "uint8"])
def test_array_comes_out_as_it_went_in(bridge: Any, dtype: str) -> None:
    array = np.array([[0, 1, 3], [1, 0, 2]], DTYPES[dtype])

    assert (dtype, (2, 3), array.tobytes()) == bridge.to_bytes(given(bridge, array))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "uint16", "uint64"])
def test_missing_dtype_is_unsupported(bridge: Any, dtype: str) -> None:
    with pytest.raises(NotImplementedError, match=dtype):
        given(bridge, np.ones(2, DTYPES[dtype]))


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout != "reversed"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_layout_keeps_the_logical_array(bridge: Any, layout: str, dtype: str) -> None:
    array = np.array([[[1, 2, 3], [4, 5, 6]]] * 2, DTYPES[dtype])
    sent = json.loads(f"{{{encode(array, layout).members}}}")

    given = bridge.from_buffer(
        sent["dtype"], sent["shape"], sent["strides"], sent["offset"], bytearray(b64decode(sent["data"]))
    )

    assert (dtype, (2, 2, 3), array.tobytes()) == bridge.to_bytes(given)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of to_static, about itself
@pytest.mark.parametrize("transform", [None, "jit"])
def test_gradient_is_that_of_the_function(bridge: Any, transform: str | None) -> None:
    x, cotangent = given(bridge, np.array([2.0, 3.0])), given(bridge, np.array([1.0, 2.0]))

    pulled = bridge.value(bridge.gradient(lambda x: x * x * x, 0, transform), [cotangent, x], {})

    assert [12.0, 54.0] == pulled.tolist()


def test_autocast_that_has_no_effect_is_unsupported(bridge: Any) -> None:
    with pytest.raises(NotImplementedError, match="no effect on the CPU"):
        bridge.transformed(lambda x: x, "autocast")


def test_second_derivatives_are_those_of_the_function(bridge: Any) -> None:
    x, ones = given(bridge, np.array([2.0, 3.0])), given(bridge, np.ones(2))

    assert [12.0, 18.0] == bridge.value(bridge.hessian(lambda x: x * x * x, 0, None), [ones, ones, x], {}).tolist()
    assert [12.0, 27.0] == bridge.value(bridge.tangent(lambda x: x * x * x, 0, None), [ones, x], {}).tolist()


@pytest.mark.parametrize("device", ["tpu", "cuda:99"])
def test_missing_device_is_a_plain_error(bridge: Any, device: str) -> None:
    with pytest.raises(RuntimeError, match="expected"):
        bridge.start(device)
