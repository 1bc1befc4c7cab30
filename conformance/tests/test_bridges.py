"""Bridges: arrays in and out, answers that are no arrays, gradients."""

from __future__ import annotations

import ast
import importlib
import json
import shutil
from base64 import b64decode
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from lossproof.bridges import numpy_bridge
from lossproof.case import LAYOUTS
from lossproof.paths import BRIDGES, WORKER
from lossproof.processes.wire import DTYPES, Array, encode

# Forward mode and torch.compile load parts of torch that torch itself has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")


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
    array = np.array([[[1, 2, 3], [4, 5, 6]]] * 2, DTYPES[dtype])

    assert (dtype, (2, 2, 3), array.tobytes()) == bridge.to_bytes(laid_out(bridge, array, layout))


@pytest.mark.parametrize("bridge", ["numpy", "jax"], indirect=True)
def test_reversed_array_is_read_backwards(bridge: Any) -> None:
    array = np.array([[1, 2, 3], [4, 5, 6]], np.float32)

    assert ("float32", (2, 3), array.tobytes()) == bridge.to_bytes(laid_out(bridge, array, "reversed"))


def test_torch_says_that_it_has_no_negative_strides(torch_bridge: Any) -> None:
    with pytest.raises(NotImplementedError, match="negative strides"):
        laid_out(torch_bridge, np.ones((2, 3), np.float32), "reversed")


@pytest.mark.parametrize("bridge", ["numpy", "torch"], indirect=True)
@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("transposed", (8, 16, 48)),
        ("channels_last", (96, 8, 24)),
        ("sliced", (192, 64, 16)),
        ("expanded", (0, 32, 8)),
    ],
)
def test_strides_are_those_of_the_layout(bridge: Any, layout: str, expected: tuple[int, ...]) -> None:
    array = laid_out(bridge, np.ones((2, 3, 4), np.float64), layout)
    strides = array.strides if bridge is numpy_bridge else tuple(8 * stride for stride in array.stride())

    assert expected == strides


def test_torch_takes_channels_last_for_its_own_memory_format(torch_bridge: Any) -> None:
    torch = pytest.importorskip("torch")
    tensor = laid_out(torch_bridge, np.ones((2, 3, 4, 5), np.float64), "channels_last")

    assert tensor.is_contiguous(memory_format=torch.channels_last)


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


@pytest.mark.parametrize(
    ("shape", "positions", "expected"),
    [((2, 3), [5, 0, 2], [5.0, 0.0, 2.0]), ((2, 3), [6], []), ((), [0], [0.0]), ((0, 3), [0], []), ((2, 3), [], [])],
)
def test_elements_are_counted_in_c_order(
    bridge: Any, shape: tuple[int, ...], positions: list[int], expected: list[float]
) -> None:
    array = given(bridge, np.arange(np.prod(shape, dtype=int), dtype=np.float64).reshape(shape))

    whole, elements = bridge.elements(array, positions)

    assert (shape, np.array(expected).tobytes()) == (whole, bridge.to_bytes(elements)[2])


def test_number_is_its_only_element(bridge: Any) -> None:
    whole, elements = bridge.elements(0.5, [0])

    assert ((), np.array([0.5]).tobytes()) == (whole, bridge.to_bytes(elements)[2])


def test_list_has_no_elements(bridge: Any) -> None:
    with pytest.raises(TypeError, match="list"):
        bridge.elements([0.5], [0])


def weighed(p: Any, q: Any, *, power: int) -> Any:
    return p * q**power


def derived(bridge: Any, question: str, which: int, transform: str | None, *arrays: Array) -> Array:
    """What the bridge derives from p q^3, for the which-th of these; arrays as the question takes them."""
    function = getattr(bridge, question)(weighed, which, transform)
    answer = bridge.value(function, [given(bridge, array) for array in arrays], {"power": 3})
    dtype, shape, data = bridge.to_bytes(answer)
    return np.frombuffer(data, DTYPES[dtype]).reshape(shape)


P, Q = np.array([1.0, 3.0]), np.array([2.0, 1.0])
COTANGENT, DIRECTION = np.array([1.0, 2.0]), np.array([1.0, -1.0])
DERIVATIVES = [
    ("gradient", 0, (COTANGENT,), [8.0, 2.0]),
    ("gradient", 1, (COTANGENT,), [12.0, 18.0]),
    ("hessian", 0, (COTANGENT, DIRECTION), [0.0, 0.0]),
    ("hessian", 1, (COTANGENT, DIRECTION), [12.0, -36.0]),
    ("tangent", 0, (DIRECTION,), [8.0, -1.0]),
    ("tangent", 1, (DIRECTION,), [12.0, -9.0]),
]


@pytest.mark.parametrize("bridge", ["torch", "jax"], indirect=True)
@pytest.mark.parametrize(
    ("question", "which", "taken", "expected"), [d for d in DERIVATIVES if d[:2] != ("hessian", 0)]
)
def test_derivative_is_that_for_one_input(
    bridge: Any, question: str, which: int, taken: tuple[Array, ...], expected: list[float]
) -> None:
    assert expected == derived(bridge, question, which, None, *taken, P, Q).tolist()


@pytest.mark.parametrize("bridge", ["torch", "jax"], indirect=True)
@pytest.mark.parametrize(("question", "which", "taken", "expected"), DERIVATIVES)
def test_derivative_is_mapped_slice_by_slice(
    bridge: Any, question: str, which: int, taken: tuple[Array, ...], expected: list[float]
) -> None:
    twice = [np.stack([array, array[::-1]]) for array in (*taken, P, Q)]

    assert [expected, expected[::-1]] == derived(bridge, question, which, "vmap", *twice).tolist()


@pytest.mark.parametrize(("question", "which", "taken", "expected"), DERIVATIVES)
def test_jax_compiles_derivatives(
    jax_bridge: Any, question: str, which: int, taken: tuple[Array, ...], expected: list[float]
) -> None:
    assert expected == derived(jax_bridge, question, which, "jit", *taken, P, Q).tolist()


@pytest.mark.parametrize(("question", "which", "taken", "expected"), [DERIVATIVES[1], DERIVATIVES[3], DERIVATIVES[5]])
def test_torch_compiles_derivatives(
    torch_bridge: Any, question: str, which: int, taken: tuple[Array, ...], expected: list[float]
) -> None:
    if shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler: no g++")

    assert expected == derived(torch_bridge, question, which, "jit", *taken, P, Q).tolist()


def test_torch_without_a_compiler_says_so(torch_bridge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")

    with pytest.raises(NotImplementedError, match=r"needs a C\+\+ compiler, found no no-such-compiler"):
        torch_bridge.transformed(weighed, "jit")


@pytest.mark.parametrize(("question", "which", "taken", "expected"), [DERIVATIVES[1], DERIVATIVES[3], DERIVATIVES[5]])
def test_torch_differentiates_under_autocast(
    torch_bridge: Any, question: str, which: int, taken: tuple[Array, ...], expected: list[float]
) -> None:
    assert expected == derived(torch_bridge, question, which, "autocast", *taken, P, Q).tolist()


@pytest.mark.parametrize(
    ("dtype", "product"), [("float16", "float16"), ("bfloat16", "bfloat16"), ("float32", "bfloat16")]
)
def test_autocast_multiplies_matrices_in_the_half_dtype(torch_bridge: Any, dtype: str, product: str) -> None:
    matrix = given(torch_bridge, np.ones((2, 2), DTYPES[dtype]))
    cast = torch_bridge.transformed(lambda a: a @ a, "autocast")

    assert product == torch_bridge.to_bytes(torch_bridge.value(cast, [matrix], {}))[0]


@pytest.mark.parametrize("bridge", ["torch", "jax"], indirect=True)
@pytest.mark.parametrize("transform", [None, "vmap"])
def test_cotangent_is_cast_to_the_dtype_of_the_answer(bridge: Any, transform: str | None) -> None:
    logits = given(bridge, np.array([[1.0, 2.0]], ml_dtypes.bfloat16))
    one = given(bridge, np.array([[1.0]], np.float64))
    cotangent = given(bridge, np.array([3.0], ml_dtypes.bfloat16))

    gradient = bridge.gradient(lambda x, one: (x * one).sum(-1), 0, transform)
    pulled = bridge.value(gradient, [cotangent, logits, one], {})

    assert ("bfloat16", (1, 2), np.array([[3.0, 3.0]], ml_dtypes.bfloat16).tobytes()) == bridge.to_bytes(pulled)


@pytest.mark.parametrize("bridge", ["torch", "jax"], indirect=True)
def test_array_parameter_is_shared_by_vmap(bridge: Any) -> None:
    mapped = bridge.transformed(lambda x, *, weight: (x * weight).sum(), "vmap")
    arrays = [given(bridge, np.array([[1.0, 2.0], [3.0, 4.0]]))]

    answer = bridge.value(mapped, arrays, {"weight": given(bridge, np.array([1.0, 10.0]))})

    assert np.array([21.0, 43.0]).tobytes() == bridge.to_bytes(answer)[2]


def test_jit_traces_parameters_that_are_arrays(jax_bridge: Any) -> None:
    jax = pytest.importorskip("jax")

    def check(x: Any, *, weight: Any, reduction: str) -> Any:
        assert reduction == "sum"
        assert isinstance(weight, jax.core.Tracer)
        return x * weight

    array = given(jax_bridge, np.array([3.0]))
    compiled = jax_bridge.transformed(check, "jit")

    answer = jax_bridge.value(compiled, [array], {"weight": array, "reduction": "sum"})

    assert np.array([9.0]).tobytes() == jax_bridge.to_bytes(answer)[2]


def test_torch_answer_that_ignores_its_input_raises(torch_bridge: Any) -> None:
    torch = pytest.importorskip("torch")
    gradient = torch_bridge.gradient(lambda x: torch.zeros(()), 0, None)

    with pytest.raises(RuntimeError, match="does not require grad"):
        gradient(torch.ones(()), torch.ones(2))


def test_donated_jax_array_has_no_fingerprint_any_more(jax_bridge: Any) -> None:
    array = given(jax_bridge, np.ones(4, np.float32))
    jax_bridge.fingerprint(array)
    array.delete()

    with pytest.raises(RuntimeError, match="deleted"):
        jax_bridge.fingerprint(array)
