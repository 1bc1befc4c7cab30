"""What only the TensorFlow bridge has to get right; what all bridges do is in test_bridges.py."""

from __future__ import annotations

import importlib
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from lossproof.processes.wire import Array

tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed")


@pytest.fixture
def bridge() -> Any:
    module: Any = importlib.import_module("lossproof.bridges.tensorflow_bridge")
    module.start("cpu")
    return module


def given(bridge: Any, array: Array) -> Any:
    """The bridge's tensor in C order."""
    return bridge.from_buffer(array.dtype.name, list(array.shape), None, 0, bytearray(array.tobytes()))


def numbers(bridge: Any, answer: Any) -> list[float]:
    """The elements of a float64 answer in C order."""
    dtype, _, data = bridge.to_bytes(answer)

    assert dtype == "float64"
    elements: list[float] = np.frombuffer(data).tolist()
    return elements


def test_bfloat16_scalar_comes_out(bridge: Any) -> None:
    total = bridge.value(tf.reduce_sum, [given(bridge, np.array([1.0, 2.0], ml_dtypes.bfloat16))], {})

    assert ("bfloat16", (), ml_dtypes.bfloat16(3).tobytes()) == bridge.to_bytes(total)


def test_tensor_owns_its_elements(bridge: Any) -> None:
    buffer = bytearray(np.ones(64).tobytes())
    tensor = bridge.from_buffer("float64", [64], None, 0, buffer)
    buffer[:] = bytes(len(buffer))

    assert [1.0] * 64 == numbers(bridge, tensor)


def test_gradient_of_a_gathered_tensor_is_dense(bridge: Any) -> None:
    gradient = bridge.gradient(lambda x: tf.gather(x, [2, 0]), 0, None)

    pulled = bridge.value(gradient, [given(bridge, np.array([1.0, 2.0])), given(bridge, np.zeros(3))], {})

    assert [2.0, 0.0, 1.0] == numbers(bridge, pulled)


@pytest.mark.parametrize("transform", [None, "vmap", "jit"])
@pytest.mark.parametrize(("question", "taken"), [("gradient", 1), ("hessian", 2), ("tangent", 1)])
def test_derivative_by_an_input_that_is_ignored_is_zero(
    bridge: Any, question: str, taken: int, transform: str | None
) -> None:
    derivative = getattr(bridge, question)(lambda x, y: 2 * y, 0, transform)
    arrays = [given(bridge, np.ones((2, 3))) for _ in range(taken + 2)]

    assert [0.0] * 6 == numbers(bridge, bridge.value(derivative, arrays, {}))


def test_jit_is_compiled_by_xla(bridge: Any) -> None:
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits
    inputs = [given(bridge, np.array([7])), given(bridge, np.zeros((1, 3)))]

    with pytest.raises(tf.errors.InvalidArgumentError):
        bridge.value(loss, inputs, {})
    assert np.isnan(numbers(bridge, bridge.value(bridge.transformed(loss, "jit"), inputs, {}))).all()


def test_jit_takes_parameters_that_are_no_tensors_for_constants(bridge: Any) -> None:
    def scaled(x: Any, *, weight: Any, reduction: str) -> Any:
        assert not isinstance(weight, tf.__internal__.EagerTensor)
        return tf.reduce_sum(x * weight) if reduction == "sum" else x

    array = given(bridge, np.array([3.0]))
    compiled = bridge.transformed(scaled, "jit")

    assert [9.0] == numbers(bridge, bridge.value(compiled, [array], {"weight": array, "reduction": "sum"}))
    assert [3.0] == numbers(bridge, bridge.value(compiled, [array], {"weight": array, "reduction": "none"}))


@pytest.mark.parametrize("device", ["tpu", "cuda:99"])
def test_missing_device_is_a_plain_error(bridge: Any, device: str) -> None:
    with pytest.raises(RuntimeError, match="expected"):
        bridge.start(device)
