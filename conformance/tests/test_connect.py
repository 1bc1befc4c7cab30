"""The host's side: what is sent and what becomes of it, and programs that do not speak the protocol."""

from __future__ import annotations

import json
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import ml_dtypes
import numpy as np
import pytest
from traces import children, leaving_none, shared_folders

from lossproof.case import LAYOUTS
from lossproof.paths import PACKAGE
from lossproof.processes.connect import (
    After,
    Answered,
    Crashed,
    Failed,
    Launch,
    Limits,
    Offer,
    Raised,
    Reply,
    Request,
    Started,
    Timed,
    TimedOut,
    Unsupported,
    Worker,
)
from lossproof.processes.wire import DTYPES, Array, encode

FAKES = Path(__file__).parent / "fakes"
REQUEST_SCHEMA = json.loads((PACKAGE / "protocol" / "request.schema.json").read_text())
LIMITS = Limits(start=60.0, first=1.5, golden=1.0)

Write = Callable[[str], Path]


@pytest.fixture(autouse=True)
def shared_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with leaving_none(tmp_path, monkeypatch) as shared:
        yield shared


def fake(name: str) -> Worker:
    return of(FAKES / f"{name}.py")


def of(path: Path, limits: Limits = LIMITS) -> Worker:
    return Worker(Launch(("cross_entropy",), {"path": str(path)}), limits)


def program(tmp_path: Path, source: str) -> Worker:
    """A program of its own that speaks the protocol, or tries to."""
    path = tmp_path / "port.py"
    path.write_text(source)
    return Worker(Launch(("cross_entropy",), command=(sys.executable, str(path))), LIMITS)


def request(first: float = 1.0, **more: Any) -> Request:
    plain = Request("cross_entropy", "value", (encode(np.array([[first, 2.0]])), encode(np.array([0]))), {})
    return replace(plain, **more)


def shown(outcome: Reply) -> object:
    """What a test compares: the number that was answered, or why there is none."""
    match outcome:
        case Answered():
            return None if outcome.array is None else outcome.array.tolist()
        case Crashed():
            return outcome.reason
        case other:
            return type(other)


def test_start_returns_what_is_offered(adapter: Write) -> None:
    path = adapter('dialect = "torch"\ndef cross_entropy(logits, target, *, weight=None): ...\n')
    with of(path) as worker:
        started = worker.start()

    assert isinstance(started, Started)
    assert ("numpy", "torch", np.__version__) == (started.framework, started.dialect, started.package_version)
    assert {"cross_entropy": Offer(("weight",), {}, False)} == started.operations


def test_start_without_the_package_is_missing(adapter: Write) -> None:
    with of(adapter("import no_such_framework\n")) as worker:
        started = worker.start()

    assert isinstance(started, Failed)
    assert ("missing", "No module named 'no_such_framework'") == (started.kind, started.message)


def test_start_of_an_absent_program_is_told() -> None:
    with Worker(Launch((), command=("/no/such/program",))) as worker:
        started = worker.start()

    assert Failed("missing", "cannot run /no/such/program: No such file or directory", "") == started


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import os; os._exit(7)", "exited with 7"),
        ("print('hello')", "wrote 'hello' to its reply stream"),
        ("print('[]')", "wrote '[]' to its reply stream"),
        ("import os; os.kill(os.getpid(), 11)", "killed by SIGSEGV"),
    ],
)
def test_program_that_does_not_speak_the_protocol_fails(tmp_path: Path, source: str, message: str) -> None:
    with program(tmp_path, source) as worker:
        started = worker.start()

    assert isinstance(started, Failed)
    assert ("failed", message) == (started.kind, started.message)


def test_start_that_hangs_fails(adapter: Write) -> None:
    with of(adapter("import time; time.sleep(987)\n"), Limits(start=0.5)) as worker:
        started = worker.start()

    assert isinstance(started, Failed)
    assert "did not start in 0.5 s" == started.message


def test_answers_come_in_the_order_of_the_requests(adapter: Write) -> None:
    with of(adapter("def cross_entropy(logits, target): return logits[0, 0]\n")) as worker:
        outcomes = [shown(outcome) for outcome in worker.ask(request(float(n)) for n in range(500))]

    assert [float(n) for n in range(500)] == outcomes


def test_process_answers_one_asking_after_another(adapter: Write) -> None:
    with of(adapter("import os\ndef cross_entropy(logits, target): return os.getpid()\n")) as worker:
        first, second = worker.ask_one(request()), worker.ask_one(request())

    assert shown(first) == shown(second)


def test_restart_asks_a_fresh_process(adapter: Write) -> None:
    with of(adapter("import os\ndef cross_entropy(logits, target): return os.getpid()\n")) as worker:
        first = worker.ask_one(request())
        worker.restart()
        second, third = worker.ask([request()] * 2)

    assert shown(first) != shown(second)
    assert shown(second) == shown(third)


def test_no_request_is_no_outcome(adapter: Write) -> None:
    with of(adapter("")) as worker:
        assert [] == list(worker.ask([]))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("prints_garbage", Crashed("wrote 'garbage' to its reply stream", None, None, "")),
        ("hangs", TimedOut(1.5, "")),
        ("not_implemented", Unsupported("this fake offers nothing")),
    ],
)
def test_fake_gets_its_outcome(name: str, expected: Reply) -> None:
    with fake(name) as worker:
        outcome = worker.ask_one(request())

    assert expected == outcome


def test_segfault_names_its_signal_and_the_frames() -> None:
    with fake("segfaults") as worker:
        outcome = worker.ask_one(request())

    assert isinstance(outcome, Crashed)
    assert ("killed by SIGSEGV", "SIGSEGV", None) == (outcome.reason, outcome.signal, outcome.exit_code)
    assert "segfaults.py" in outcome.stderr


@pytest.mark.parametrize(("name", "kind"), [("raises", "ValueError"), ("sys_exits", "SystemExit")])
def test_exception_is_an_outcome(name: str, kind: str) -> None:
    with fake(name) as worker:
        outcome = worker.ask_one(request())

    assert isinstance(outcome, Raised)
    assert kind == outcome.type


@pytest.mark.parametrize(("name", "kind"), [("wrong_type", "str"), ("answers_nothing", "NoneType")])
def test_answer_of_a_wrong_type_is_an_answer_without_array(name: str, kind: str) -> None:
    with fake(name) as worker:
        outcome = worker.ask_one(request())

    assert isinstance(outcome, Answered)
    assert (None, kind) == (outcome.array, outcome.type)


def test_wrong_shape_is_kept() -> None:
    with fake("wrong_shape") as worker:
        outcome = worker.ask_one(request())

    assert isinstance(outcome, Answered)
    assert outcome.array is not None
    assert (1,) == outcome.array.shape


def test_overwritten_input_is_reported() -> None:
    with fake("mutates_inputs") as worker:
        outcome = worker.ask_one(request())

    assert isinstance(outcome, Answered)
    assert ("0",) == outcome.changed


@pytest.mark.parametrize("name", ["prints_stdout", "floods_stderr"])
def test_printing_does_not_disturb_the_answer(name: str) -> None:
    with fake(name) as worker:
        outcomes = list(map(shown, worker.ask([request()] * 3)))

    assert [0.5, 0.5, 0.5] == outcomes


SPOILS_ITS_PROCESS = """
import sys

def cross_entropy(logits, target):
    if logits[0, 0] < 0:
        # As on CUDA, where a kernel that failed leaves a device that takes no more arrays.
        sys.modules["lossproof_numpy_bridge"].from_buffer = None
        raise ValueError("expected no negative logit")
    return logits[0, 0]
"""


def test_process_that_an_exception_spoilt_is_no_fault_of_the_next(adapter: Write) -> None:
    with of(adapter(SPOILS_ITS_PROCESS)) as worker:
        outcomes = list(map(shown, worker.ask(request(first) for first in (1.0, -1.0, 2.0, 3.0, -1.0, -1.0, 4.0))))

    assert [1.0, Raised, 2.0, 3.0, Raised, Raised, 4.0] == outcomes


def test_end_after_an_exception_is_a_crash_where_it_comes_again(adapter: Write) -> None:
    path = adapter(
        "import os\ndef cross_entropy(logits, target):\n    if logits[0, 0] > 0: os._exit(3)\n    raise ValueError\n"
    )
    with of(path) as worker:
        outcomes = list(map(shown, worker.ask(request(first) for first in (-1.0, 1.0, -1.0))))

    assert [Raised, "exited with 3", Raised] == outcomes


def test_garbage_after_an_answer_is_the_fault_of_the_next() -> None:
    with fake("prints_garbage") as worker:
        outcomes = list(map(shown, worker.ask([request()] * 2)))

    assert ["wrote 'garbage' to its reply stream"] * 2 == outcomes


def test_worker_that_does_not_start_again_is_a_crash_for_the_rest(adapter: Write, tmp_path: Path) -> None:
    path = adapter(
        "import os, pathlib\n"
        f"marker = pathlib.Path({str(tmp_path / 'marker')!r})\n"
        "assert not marker.exists(), 'only once'\n"
        "marker.touch()\n"
        "def cross_entropy(logits, target): os._exit(1)\n"
    )
    with of(path) as worker:
        outcomes = list(map(shown, worker.ask([request()] * 40)))

    assert ["exited with 1"] + ["could not be started again: AssertionError: only once"] * 39 == outcomes


REPLIES = """
import json, sys, time
for line in sys.stdin:
    number = json.loads(line)["id"]
    if number == 0:
        reply = {"id": 0, "ok": True, "framework": "port", "dialect": None, "package": "port", "package_version": None}
        print(json.dumps({**reply, "header": {}, "operations": {}}), flush=True)
    else:
        good = {"id": number, "outcome": "answered", "type": "x", "device": "cpu", "changed": [], "seconds": 0}
        array = {"dtype": "float32", "shape": [1], "data": "AACAPw=="}
        REPLY
"""


def test_program_of_its_own_answers(tmp_path: Path) -> None:
    source = REPLIES.replace("REPLY", "print(json.dumps({**good, 'answer': array}), flush=True)")
    with program(tmp_path, source) as worker:
        assert [1.0] == shown(worker.ask_one(request()))


@pytest.mark.parametrize(
    "reply",
    [
        "print('{}', flush=True)",
        "print('7', flush=True)",
        "print(flush=True)",
        "print('[' * 100000, flush=True)",
        "print(json.dumps({**good, 'answer': array, 'outcome': 'fine'}), flush=True)",
        "print(json.dumps({**good, 'answer': {**array, 'shape': [2]}}), flush=True)",
        "print(json.dumps({**good, 'answer': {**array, 'shape': [0]}}), flush=True)",
        "print(json.dumps({**good, 'answer': {**array, 'shape': 'x'}}), flush=True)",
        "print(json.dumps({**good, 'answer': {**array, 'dtype': 'float8'}}), flush=True)",
        "print(json.dumps({**good, 'answer': {**array, 'data': '!'}}), flush=True)",
        "print(json.dumps({**good, 'answer': {'dtype': 'uint8', 'shape': [1], 'file': '/etc/hostname'}}), flush=True)",
    ],
)
def test_reply_that_is_none_is_a_crash(tmp_path: Path, reply: str) -> None:
    with program(tmp_path, REPLIES.replace("REPLY", reply)) as worker:
        outcome = worker.ask_one(request())

    assert isinstance(outcome, Crashed)
    assert outcome.reason.startswith("wrote ")
    assert outcome.reason.endswith(" to its reply stream")


def test_reply_that_drips_is_timed_out(tmp_path: Path) -> None:
    source = REPLIES.replace("REPLY", "[(print('x', end='', flush=True), time.sleep(0.1)) for _ in range(9870)]")
    with program(tmp_path, source) as worker:
        assert TimedOut(1.5, "") == worker.ask_one(request())


def test_closed_reply_stream_is_a_crash(tmp_path: Path) -> None:
    with program(tmp_path, REPLIES.replace("REPLY", "import os; os.close(1); time.sleep(987)")) as worker:
        assert "closed its reply stream" == shown(worker.ask_one(request()))


def test_first_golden_of_each_process_has_more_time(adapter: Write) -> None:
    path = adapter(
        "import os, time\n"
        "calls = []\n"
        "def cross_entropy(logits, target):\n"
        "    calls.append(1)\n"
        "    time.sleep({1: 1.2, 3: 987}.get(len(calls), 0))\n"
        "    return len(calls)\n"
    )
    with of(path) as worker:
        outcomes = list(map(shown, worker.ask([request()] * 4)))

    assert [1, 2, TimedOut, 1] == outcomes


def test_time_that_the_host_takes_counts_against_nobody(adapter: Write) -> None:
    outcomes = []
    with of(adapter("def cross_entropy(logits, target): return 0.5\n"), Limits(first=60.0, golden=0.3)) as worker:
        for outcome in worker.ask([request()] * 40):
            outcomes.append(shown(outcome))
            if len(outcomes) in (1, 20):
                time.sleep(0.5)

    assert [0.5] * 40 == outcomes


def test_asking_that_is_given_up_does_not_disturb_the_next(adapter: Write) -> None:
    with of(adapter("def cross_entropy(logits, target): return logits[0, 0]\n")) as worker:
        asking = worker.ask(request(float(n)) for n in range(100))
        next(iter(asking))
        asking.close()  # type: ignore[attr-defined]  # an Iterator here, a generator in truth

        assert 7.0 == shown(worker.ask_one(request(7.0)))


def test_closing_is_possible_twice(adapter: Write, shared_memory: Path) -> None:
    worker = of(adapter(""))
    worker.start()
    worker.close()
    worker.close()

    assert set() == shared_folders(shared_memory)


def test_child_of_an_adapter_is_ended_with_the_worker(adapter: Write) -> None:
    path = adapter('import subprocess\nchild = subprocess.Popen(["sleep", "987"])\n')
    with of(path) as worker:
        worker.start()
        assert any("sleep 987" in child for child in children())


@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_array_returns_as_it_was_sent(adapter: Write, dtype: str) -> None:
    array = np.array([[0, 1, 3], [1, 0, 2]], DTYPES[dtype])
    with of(adapter("def cross_entropy(logits): return logits\n")) as worker:
        outcome = worker.ask_one(Request("cross_entropy", "value", (encode(array),), {}))

    assert_same(array, outcome)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_keeps_the_logical_array(adapter: Write, layout: str) -> None:
    array = np.array([[[1, 2, 3], [4, 5, 6]]] * 2, ml_dtypes.bfloat16)
    with of(adapter("def cross_entropy(logits): return logits\n")) as worker:
        outcome = worker.ask_one(Request("cross_entropy", "value", (encode(array, layout),), {}))

    assert_same(array, outcome)


@pytest.mark.parametrize("layout", [None, *LAYOUTS])
def test_large_array_returns_as_it_was_sent(adapter: Write, layout: str | None, shared_memory: Path) -> None:
    array = np.tile(np.arange(100_000.0).reshape(5, -1), (2, 1, 1))
    with of(adapter("def cross_entropy(logits, *, weight): return logits\n")) as worker:
        asked = Request("cross_entropy", "value", (encode(array, layout),), {"weight": encode(array)})
        outcomes = list(worker.ask([asked] * 3))
        (folder,) = shared_folders(shared_memory)

        assert [] == list(folder.iterdir())
    for outcome in outcomes:
        assert_same(array, outcome)


def test_large_array_is_sent_again_after_a_crash(adapter: Write) -> None:
    path = adapter(
        "import os, numpy\n"
        "def cross_entropy(logits):\n"
        "    if numpy.isnan(logits).any(): os._exit(1)\n"
        "    return logits.max()\n"
    )
    arrays = [np.ones(1), np.array(np.nan), np.arange(20_000.0), np.ones(3)]
    with of(path) as worker:
        asked = (Request("cross_entropy", "value", (encode(array),), {}) for array in arrays)
        outcomes = list(map(shown, worker.ask(asked)))

    assert [1.0, "exited with 1", 19_999.0, 1.0] == outcomes


def assert_same(array: Array, outcome: Reply) -> None:
    assert isinstance(outcome, Answered)
    assert outcome.array is not None
    assert (array.dtype, array.shape, array.tobytes()) == (
        outcome.array.dtype,
        outcome.array.shape,
        outcome.array.tobytes(),
    )


def test_gap_of_a_sliced_array_is_poisoned() -> None:
    sent = json.loads(f"{{{encode(np.array([1, 2]), 'sliced').members}}}")

    assert np.array([1, 2**63 - 1, 2, 2**63 - 1]).tobytes() == b64decode(sent["data"])


def test_array_that_varies_cannot_be_expanded() -> None:
    with pytest.raises(ValueError, match="constant along its first axis"):
        encode(np.array([1.0, 2.0]), "expanded")


def test_matrix_has_no_channels() -> None:
    with pytest.raises(ValueError, match="three axes or more"):
        encode(np.ones((2, 3)), "channels_last")


def test_copies_travel_as_one() -> None:
    sent = json.loads(f"{{{encode(np.array([[1.0, 2.0]]), copies=1 << 40).members}}}")

    assert np.array([1.0, 2.0]).tobytes() == b64decode(sent["data"])
    assert ([1 << 40, 2], [0, 8], 0) == (sent["shape"], sent["strides"], sent["offset"])


@pytest.mark.parametrize(("shape", "layout"), [((2, 3), None), ((), None), ((1, 3), "sliced")])
def test_only_a_single_row_is_copied(shape: tuple[int, ...], layout: str | None) -> None:
    with pytest.raises(ValueError, match="copies of a first axis of 1"):
        encode(np.ones(shape), layout, 3)


def test_dtype_that_does_not_travel_is_refused() -> None:
    with pytest.raises(TypeError, match="complex128"):
        encode(np.ones(1, complex))


def test_parameters_arrive_as_they_were_sent(adapter: Write) -> None:
    parameters = {"reduction": "sum", "axis": None, "flag": True, "eps": 0.1, "ignore_index": -3, "zero": -0.0}
    parameters |= {"infinity": np.inf, "nan": np.nan}
    path = adapter(
        "def cross_entropy(logits, target, *, weight, **rest):\n"
        f"    assert repr(rest) == {repr(parameters)!r}, rest\n"
        "    return weight\n"
    )
    with of(path) as worker:
        outcome = worker.ask_one(request(parameters={"weight": encode(np.array([1.5])), **parameters}))

    assert [1.5] == shown(outcome)


def test_vjp_gets_the_cotangent(adapter: Write) -> None:
    path = adapter("def cross_entropy(a, b): ...\ndef cross_entropy_vjp(c, a, b): return c * a\n")
    with of(path) as worker:
        outcome = worker.ask_one(request(question="gradient", cotangent=encode(np.array(3.0)), which=0))

    assert [[3.0, 6.0]] == shown(outcome)


def test_hvp_gets_cotangent_and_direction(adapter: Write) -> None:
    path = adapter("def cross_entropy(a, b): ...\ndef cross_entropy_hvp(c, d, a, b): return c * d * a\n")
    cotangent, direction = encode(np.array(3.0)), encode(np.array([[1.0, -1.0]]))
    with of(path) as worker:
        outcome = worker.ask_one(request(question="hessian", cotangent=cotangent, direction=direction))

    assert [[3.0, -6.0]] == shown(outcome)


def test_elements_come_with_the_shape_of_the_whole(adapter: Write) -> None:
    with of(adapter("def cross_entropy(logits, target): return logits\n")) as worker:
        outcome = worker.ask_one(request(positions=(1,)))

    assert isinstance(outcome, Answered)
    assert ([2.0], (1, 2)) == (shown(outcome), outcome.shape)


def test_input_goes_through_another_loss_first(adapter: Write) -> None:
    path = adapter("def cross_entropy(a, b, *, shift=0): return a + shift\n")
    with of(path) as worker:
        outcome = worker.ask_one(
            request(
                parameters={"shift": 1.0}, after=After("cross_entropy", {"b": None, "shift": encode(np.array(5.0))})
            )
        )

    assert [[7.0, 8.0]] == shown(outcome)


def test_loop_is_timed(adapter: Write) -> None:
    with of(adapter("import time\ndef cross_entropy(logits, target): time.sleep(0.01)\n")) as worker:
        outcome = worker.ask_one(request(loops=5))

    assert isinstance(outcome, Timed)
    assert outcome.seconds[0] >= 0.05


def test_requests_follow_the_schema(tmp_path: Path) -> None:
    log = tmp_path / "log"
    source = REPLIES.replace("number = ", f"open({str(log)!r}, 'a').write(line); number = ")
    source = source.replace("REPLY", "print(json.dumps({**good, 'answer': array}), flush=True)")
    large = encode(np.zeros(10_000))
    with program(tmp_path, source) as worker:
        worker.ask_one(request(parameters={"weight": large, "axis": None, "eps": np.nan, "reduction": "sum"}))
        worker.ask_one(request(question="gradient", cotangent=encode(np.ones((2, 3)), "reversed"), which=0))
        worker.ask_one(request(loops=3))
        everything: dict[str, Any] = {"cotangent": large, "direction": large, "transform": "vmap", "positions": (0, 5)}
        worker.ask_one(request(question="hessian", after=After("log_softmax", {"axis": 1}), **everything))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        jsonschema.validate(line, REQUEST_SCHEMA)

    assert ["start", "case", "case", "bench", "case", "stop"] == [line["command"] for line in lines]
