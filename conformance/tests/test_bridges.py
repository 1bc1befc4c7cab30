"""Bridges: arrays in and out, answers that are no arrays, gradients."""

from __future__ import annotations

import ast
import importlib
import json
from base64 import b64decode
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from lossproof.bridges import numpy_bridge
from lossproof.case import LAYOUTS
from lossproof.paths import BRIDGES, WORKER
from lossproof.wire import DTYPES, Array, encode


def started(framework: str) -> Any:
    """The framework's bridge, on the CPU."""
    pytest.importorskip(framework, reason=f"{framework} is not installed")
    module: Any = importlib.import_module(f"lossproof.bridges.{framework}_bridge")
    module.start("cpu")
    return module


@pytest.fixture(params=["numpy", "torch", "jax"])
def bridge(request: pytest.FixtureRequest) -> Any:
    return started(request.param)


@pytest.fixture
def torch_bridge() -> Any:
    return started("torch")


@pytest.fixture
def jax_bridge() -> Any:
    return started("jax")


def laid_out(bridge: Any, array: Array, layout: str) -> Any:
    """The bridge's array of what travels with the layout."""
    sent = json.loads(f"{{{encode(array, layout).members}}}")
    buffer = bytearray(b64decode(sent["data"]))
    return bridge.from_buffer(sent["dtype"], sent["shape"], sent["strides"], sent["offset"], buffer)


def given(bridge: Any, array: Array) -> Any:
    """The bridge's array in C order."""
    return bridge.from_buffer(array.dtype.name, list(array.shape), None, 0, bytearray(array.tobytes()))


@pytest.mark.parametrize("path", [WORKER, *sorted(BRIDGES.glob("*.py"))], ids=lambda path: path.stem)
def test_file_parses_on_python_3_9(path: Any) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))

    assert isinstance(tree, ast.Module)


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_array_comes_out_as_it_went_in(bridge: Any, dtype: str) -> None:
    array = np.array([[0, 1, 3], [1, 0, 2]], DTYPES[dtype])

    assert (dtype, (2, 3), array.tobytes()) == bridge.to_bytes(given(bridge, array))


@pytest.mark.parametrize("shape", [(), (0, 3), (3, 0), (1,), (2, 1, 3)])
def test_shape_is_kept(bridge: Any, shape: tuple[int, ...]) -> None:
    array = np.ones(shape, np.float32)

    assert ("float32", shape, array.tobytes()) == bridge.to_bytes(given(bridge, array))


def test_subnormal_and_special_bits_survive(bridge: Any) -> None:
    array = np.array([5e-324, -0.0, np.inf, -np.inf, np.nan])

    assert array.tobytes() == bridge.to_bytes(given(bridge, array))[2]


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout != "reversed"])
@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "int64"])
def test_layout_keeps_the_logical_array(bridge: Any, layout: str, dtype: str) -> None:
    array = np.array([[1, 2, 3], [1, 2, 3]], DTYPES[dtype])

    assert (dtype, (2, 3), array.tobytes()) == bridge.to_bytes(laid_out(bridge, array, layout))


@pytest.mark.parametrize("bridge", ["numpy", "jax"], indirect=True)
def test_reversed_array_is_read_backwards(bridge: Any) -> None:
    array = np.array([[1, 2, 3], [4, 5, 6]], np.float32)

    assert ("float32", (2, 3), array.tobytes()) == bridge.to_bytes(laid_out(bridge, array, "reversed"))


def test_torch_says_that_it_has_no_negative_strides(torch_bridge: Any) -> None:
    with pytest.raises(NotImplementedError, match="negative strides"):
        laid_out(torch_bridge, np.ones((2, 3), np.float32), "reversed")


@pytest.mark.parametrize("bridge", ["numpy", "torch"], indirect=True)
@pytest.mark.parametrize("layout", ["transposed", "sliced", "expanded"])
def test_strides_are_those_of_the_layout(bridge: Any, layout: str) -> None:
    array = laid_out(bridge, np.ones((2, 3), np.float64), layout)
    strides = array.strides if bridge is numpy_bridge else tuple(8 * stride for stride in array.stride())

    assert {"transposed": (8, 16), "sliced": (48, 16), "expanded": (0, 8)}[layout] == strides


@pytest.mark.parametrize("bridge", ["numpy", "torch"], indirect=True)
def test_misaligned_array_is_misaligned(bridge: Any) -> None:
    array = laid_out(bridge, np.ones((2, 3), np.float64), "misaligned")
    address = array.ctypes.data if bridge is numpy_bridge else array.data_ptr()

    assert address % 8 == 1


def test_python_float_is_a_float64(bridge: Any) -> None:
    assert ("float64", (), np.float64(0.1).tobytes()) == bridge.to_bytes(0.1)


def test_python_integer_is_an_int64(bridge: Any) -> None:
    assert ("int64", (), np.int64(-3).tobytes()) == bridge.to_bytes(-3)


@pytest.mark.parametrize("answer", [None, True, "0.5", [0.5], 2**63, 1j])
def test_what_is_no_array_is_a_type_error(bridge: Any, answer: object) -> None:
    with pytest.raises(TypeError, match=type(answer).__name__):
        bridge.to_bytes(answer)


def test_complex_array_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="complex128"):
        numpy_bridge.to_bytes(np.ones(2, complex))


def test_big_endian_array_is_turned() -> None:
    assert ("float32", (1,), np.float32(1.5).tobytes()) == numpy_bridge.to_bytes(np.array([1.5], ">f4"))


def test_header_names_framework_and_device(bridge: Any) -> None:
    header = bridge.start("cpu")
    array = given(bridge, np.ones(2, np.float32))

    assert bridge.__name__.endswith(f".{header['framework']}_bridge")
    assert header["device"] == bridge.device_of(array)
    assert isinstance(header["flush_to_zero"], bool)


@pytest.mark.parametrize("device", ["tpu", "cuda:99"])
def test_missing_device_is_a_plain_error(bridge: Any, device: str) -> None:
    with pytest.raises(RuntimeError, match="expected"):
        bridge.start(device)


def test_fingerprint_sees_an_overwritten_element(bridge: Any) -> None:
    before = bridge.fingerprint(given(bridge, np.array([1.0, 2.0])))
    after = bridge.fingerprint(given(bridge, np.array([1.0, 3.0])))

    assert before != after


def test_numpy_has_no_gradient() -> None:
    with pytest.raises(NotImplementedError, match="no autodiff"):
        numpy_bridge.gradient(lambda x: x, [np.ones(2)], {}, 0, np.ones(2))


def weighed(p: Any, q: Any, *, power: int) -> Any:
    return p * q**power


@pytest.mark.parametrize("bridge", ["torch", "jax"], indirect=True)
@pytest.mark.parametrize(("which", "expected"), [(0, [8.0, 54.0]), (1, [24.0, 162.0])])
def test_gradient_pulls_the_cotangent_back_to_one_input(bridge: Any, which: int, expected: list[float]) -> None:
    inputs = [given(bridge, np.array(values)) for values in ([2.0, 3.0], [2.0, 3.0])]
    cotangent = given(bridge, np.array([1.0, 2.0]))

    gradient = bridge.gradient(weighed, inputs, {"power": 3}, which, cotangent)

    assert np.array(expected).tobytes() == bridge.to_bytes(gradient)[2]


@pytest.mark.parametrize("bridge", ["torch", "jax"], indirect=True)
def test_cotangent_is_cast_to_the_dtype_of_the_answer(bridge: Any) -> None:
    logits = given(bridge, np.array([1.0, 2.0], ml_dtypes.bfloat16))
    one = given(bridge, np.array([1.0], np.float64))
    cotangent = given(bridge, np.array(3.0, ml_dtypes.bfloat16))

    gradient = bridge.gradient(lambda x, one: (x * one).sum(), [logits, one], {}, 0, cotangent)

    assert ("bfloat16", (2,), np.array([3.0, 3.0], ml_dtypes.bfloat16).tobytes()) == bridge.to_bytes(gradient)


def test_torch_answer_that_ignores_its_input_raises(torch_bridge: Any) -> None:
    torch = pytest.importorskip("torch")

    with pytest.raises(RuntimeError, match="does not require grad"):
        torch_bridge.gradient(lambda x: torch.zeros(()), [torch.ones(2)], {}, 0, torch.ones(()))


def test_donated_jax_array_has_no_fingerprint_any_more(jax_bridge: Any) -> None:
    array = given(jax_bridge, np.ones(4, np.float32))
    jax_bridge.fingerprint(array)
    array.delete()

    with pytest.raises(RuntimeError, match="deleted"):
        jax_bridge.fingerprint(array)
