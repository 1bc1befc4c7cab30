"""What the CuPy bridge makes of a buffer: on a GPU by CuPy, and anywhere by NumPy in its place."""

from __future__ import annotations

import importlib.util
import json
import sys
from base64 import b64decode
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lossproof.case import LAYOUTS
from lossproof.paths import BRIDGES
from lossproof.processes.wire import DTYPES, Array, encode

HELD = [layout for layout in LAYOUTS if layout != "misaligned"]


@dataclass(frozen=True)
class Pointer:
    """A place in a buffer, as cupy.cuda.MemoryPointer: offsets are added to it."""

    buffer: Any
    offset: int = 0

    def __add__(self, offset: int) -> Pointer:
        return Pointer(self.buffer, self.offset + offset)


class HostArray(np.ndarray):
    """A NumPy array that is made, read and asked for its device as CuPy's are."""

    def __new__(cls, shape: Any, dtype: Any = float, memptr: Pointer | None = None, strides: Any = None) -> HostArray:
        place = memptr or Pointer(None)
        return super().__new__(cls, shape, dtype, place.buffer, place.offset, strides)

    @property
    def data(self) -> Pointer:  # type: ignore[override]  # NumPy's is a memoryview
        return Pointer(self.view(np.ndarray))

    @property
    def device(self) -> Any:
        return SimpleNamespace(id=0)

    def get(self) -> Array:
        return np.array(self.view(np.ndarray))


def numpy_as_cupy() -> Any:
    """A module with what the bridge uses of CuPy, on one device that is none."""
    module: Any = ModuleType("cupy")
    module.__version__ = "0"
    module.ndarray = HostArray
    module.asarray = lambda array: np.asarray(array).view(HostArray)
    module.empty = HostArray
    module.stack = lambda arrays: np.stack(arrays).view(HostArray)
    module.cuda = SimpleNamespace(
        Device=lambda number: SimpleNamespace(id=number, use=lambda: None, synchronize=lambda: None),
        runtime=SimpleNamespace(
            getDeviceCount=lambda: 1,
            getDeviceProperties=lambda number: {"name": b"none"},
            runtimeGetVersion=lambda: 12090,
        ),
    )
    return module


def loaded() -> Any:
    """The bridge, as the worker loads it: anew, with whatever is called cupy now."""
    spec = importlib.util.spec_from_file_location("lossproof_cupy_bridge", BRIDGES / "cupy_bridge.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def on_a_gpu() -> Any:
    """The bridge on CuPy itself; skips where it is not installed or sees no device."""
    pytest.importorskip("cupy", reason="cupy is not installed")
    bridge = loaded()
    if not bridge.count_devices()[0]:
        pytest.skip(f"no CUDA device{bridge.count_devices()[1]}")
    return bridge


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    """NumPy in the place of CuPy."""
    module = numpy_as_cupy()
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


@pytest.fixture(params=["in its place", "on a GPU"])
def bridge(request: pytest.FixtureRequest) -> Any:
    if request.param == "in its place":
        request.getfixturevalue("cupy")
    bridge = loaded() if request.param == "in its place" else on_a_gpu()
    bridge.start("cuda")
    return bridge


def laid_out(bridge: Any, array: Array, layout: str) -> Any:
    """The bridge's array of what travels with the layout."""
    sent = json.loads(f"{{{encode(array, layout).members}}}")
    buffer = bytearray(b64decode(sent["data"]))
    return bridge.from_buffer(sent["dtype"], sent["shape"], sent["strides"], sent["offset"], buffer)


def given(bridge: Any, array: Array) -> Any:
    """The bridge's array in C order."""
    return bridge.from_buffer(array.dtype.name, list(array.shape), None, 0, bytearray(array.tobytes()))


def test_what_stands_for_cupy_has_nothing_that_cupy_lacks() -> None:
    cupy = pytest.importorskip("cupy", reason="cupy is not installed")
    stand_in = numpy_as_cupy()
    pairs = [
        (stand_in, cupy),
        (stand_in.cuda.runtime, cupy.cuda.runtime),
        (stand_in.cuda.Device(0), cupy.cuda.Device),
        (HostArray, cupy.ndarray),
    ]

    assert [] == [name for ours, theirs in pairs for name in vars(ours) if not hasattr(theirs, name)]


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_array_comes_out_as_it_went_in(bridge: Any, dtype: str) -> None:
    array = np.array([[0, 1, 3], [1, 0, 2]], DTYPES[dtype])

    assert (dtype, (2, 3), array.tobytes()) == bridge.to_bytes(given(bridge, array))


@pytest.mark.parametrize("shape", [(), (0, 3), (3, 0), (1,), (2, 1, 3)])
def test_shape_is_kept(bridge: Any, shape: tuple[int, ...]) -> None:
    array = np.ones(shape, np.float32)

    assert ("float32", shape, array.tobytes()) == bridge.to_bytes(given(bridge, array))


@pytest.mark.parametrize("layout", HELD)
@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "int64", "bool"])
def test_layout_keeps_the_logical_array(bridge: Any, layout: str, dtype: str) -> None:
    array = np.array([[[1, 0, 1], [0, 1, 1]]] * 2, DTYPES[dtype])

    assert (dtype, (2, 2, 3), array.tobytes()) == bridge.to_bytes(laid_out(bridge, array, layout))


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        ("transposed", (8, 16, 48)),
        ("channels_last", (96, 8, 24)),
        ("sliced", (192, 64, 16)),
        ("expanded", (0, 32, 8)),
        ("reversed", (96, 32, -8)),
    ],
)
def test_strides_are_those_of_the_layout(bridge: Any, layout: str, expected: tuple[int, ...]) -> None:
    assert expected == laid_out(bridge, np.ones((2, 3, 4), np.float64), layout).strides


def test_what_cuda_cannot_read_is_unsupported(bridge: Any) -> None:
    with pytest.raises(NotImplementedError, match="no misaligned arrays"):
        laid_out(bridge, np.ones((2, 3), np.float64), "misaligned")
    with pytest.raises(NotImplementedError, match="no strides between elements"):
        bridge.from_buffer("float64", [2], [12], 0, bytearray(20))


def test_a_byte_is_never_misaligned(bridge: Any) -> None:
    array = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)

    assert ("uint8", (2, 3), array.tobytes()) == bridge.to_bytes(laid_out(bridge, array, "misaligned"))


def test_numbers_are_answers(bridge: Any) -> None:
    assert ("float64", (), np.float64(0.1).tobytes()) == bridge.to_bytes(0.1)
    assert ("int64", (), np.int64(-3).tobytes()) == bridge.to_bytes(-3)


@pytest.mark.parametrize("answer", [None, True, "0.5", [0.5], 2**63, 1j, np.float32(1), np.ones(2)])
def test_what_is_no_array_of_cupy_is_a_type_error(bridge: Any, answer: object) -> None:
    with pytest.raises(TypeError, match=type(answer).__name__):
        bridge.to_bytes(answer)


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


def test_value_is_what_the_function_answers(bridge: Any) -> None:
    x = given(bridge, np.array([1.0, 2.0]))

    answer = bridge.value(lambda x, *, factor: factor * x, [x], {"factor": 3.0})

    assert np.array([3.0, 6.0]).tobytes() == bridge.to_bytes(answer)[2]


def test_header_names_framework_and_device(bridge: Any) -> None:
    header = bridge.start("cuda:0")
    array = given(bridge, np.ones(2, np.float32))

    assert ("cupy", "cuda:0", "cuda:0") == (header["framework"], header["device"], bridge.device_of(array))
    assert "cpu" == bridge.device_of(0.5)
    assert isinstance(header["flush_to_zero"], bool)


def test_version_of_cuda_is_written_as_its_toolkit_writes_it(cupy: Any) -> None:
    header = loaded().start("cuda")

    assert ("12.9", "none") == (header["cuda"], header["device_name"])


@pytest.mark.parametrize(
    ("device", "told"),
    [
        ("cpu", r"expected the device cuda \(cupy has no other\), got cpu"),
        ("tpu", "expected the device cuda"),
        ("cuda:99", r"expected a CUDA device, cupy \S+ sees \d+$"),
    ],
)
def test_missing_device_is_a_plain_error(bridge: Any, device: str, told: str) -> None:
    with pytest.raises(RuntimeError, match=told):
        bridge.start(device)


def test_missing_driver_is_a_plain_error(cupy: Any) -> None:
    def fail() -> int:
        raise RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")

    cupy.cuda.runtime.getDeviceCount = fail

    with pytest.raises(RuntimeError, match="expected a CUDA device, cupy 0 sees 0: cudaErrorInsufficientDriver"):
        loaded().start("cuda")


def test_cupy_that_refuses_bfloat16_has_none(cupy: Any) -> None:
    def asarray(array: Array) -> Any:
        if array.dtype == DTYPES["bfloat16"]:
            raise ValueError("Unsupported dtype bfloat16")
        return array.view(HostArray)

    cupy.asarray = asarray
    bridge = loaded()
    bridge.start("cuda")

    with pytest.raises(NotImplementedError, match="cupy has no bfloat16 here"):
        given(bridge, np.ones(2, DTYPES["bfloat16"]))


def test_fingerprint_sees_an_overwritten_element(bridge: Any) -> None:
    array = given(bridge, np.array([1.0, 2.0]))
    before = bridge.fingerprint(array)
    array[1] = 3.0

    assert before != bridge.fingerprint(array)
