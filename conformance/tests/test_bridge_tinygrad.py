"""What the tinygrad bridge has to get right: arrays without NumPy, on the device that needs no compiler."""

from __future__ import annotations

import importlib
import json
import os
from base64 import b64decode
from typing import Any

import numpy as np
import pytest

from lossproof.case import LAYOUTS
from lossproof.processes.wire import DTYPES, Array, encode

os.environ.setdefault("DEV", "PYTHON")  # as the bridge does, before tinygrad is imported
pytest.importorskip("tinygrad", reason="tinygrad is not installed")


@pytest.fixture
def bridge() -> Any:
    module: Any = importlib.import_module("lossproof.bridges.tinygrad_bridge")
    module.start("cpu")
    return module


def given(bridge: Any, array: Array) -> Any:
    """The bridge's tensor in C order."""
    return bridge.from_buffer(array.dtype.name, list(array.shape), None, 0, bytearray(array.tobytes()))


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_array_comes_out_as_it_went_in(bridge: Any, dtype: str) -> None:
    array = np.array([[0, 1, 3], [1, 0, 2]], DTYPES[dtype])

    assert (dtype, (2, 3), array.tobytes()) == bridge.to_bytes(given(bridge, array))


@pytest.mark.parametrize("shape", [(), (0, 3), (1,)])
def test_shape_is_kept(bridge: Any, shape: tuple[int, ...]) -> None:
    array = np.ones(shape, np.float32)

    assert ("float32", shape, array.tobytes()) == bridge.to_bytes(given(bridge, array))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_keeps_the_logical_array(bridge: Any, layout: str) -> None:
    array = np.array([[[1, 2, 3], [4, 5, 6]]] * 2, np.float64)
    sent = json.loads(f"{{{encode(array, layout).members}}}")

    given = bridge.from_buffer(
        sent["dtype"], sent["shape"], sent["strides"], sent["offset"], bytearray(b64decode(sent["data"]))
    )

    assert ("float64", (2, 2, 3), array.tobytes()) == bridge.to_bytes(given)


@pytest.mark.parametrize("transform", [None, "jit"])
def test_derivatives_are_those_of_the_function(bridge: Any, transform: str | None) -> None:
    x, cotangent, direction = [given(bridge, np.array(numbers)) for numbers in ([2.0, 3.0], [1.0, 1.0], [1.0, 1.0])]

    gradient = bridge.value(bridge.gradient(lambda x: x * x * x, 0, transform), [cotangent, x], {})
    hessian = bridge.value(bridge.hessian(lambda x: x * x * x, 0, transform), [cotangent, direction, x], {})

    assert [12.0, 27.0] == gradient.tolist()
    assert [12.0, 18.0] == hessian.tolist()


def test_what_takes_minutes_is_unsupported(bridge: Any) -> None:
    with pytest.raises(NotImplementedError, match="1000 elements are too many for tinygrad's device PYTHON"):
        given(bridge, np.ones(1000, np.float32))


@pytest.mark.parametrize("device", ["tpu", "cuda"])
def test_missing_device_is_a_plain_error(bridge: Any, device: str) -> None:
    with pytest.raises(RuntimeError, match="expected"):
        bridge.start(device)
