"""The worker by itself: the protocol's lines, how adapters are loaded, what they may do to the process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from needs import needs

from lossproof.paths import BRIDGES, PACKAGE, WORKER

FAKES = Path(__file__).parent / "fakes"
REQUEST_SCHEMA = json.loads((PACKAGE / "protocol" / "request.schema.json").read_text())
REPLY_SCHEMA = json.loads((PACKAGE / "protocol" / "reply.schema.json").read_text())

Write = Callable[[str], Path]


def array(values: Any, dtype: str = "float32") -> dict[str, Any]:
    made = np.array(values, dtype)
    return {"dtype": dtype, "shape": list(made.shape), "data": b64encode(made.tobytes()).decode()}


def start(adapter: dict[str, str], **more: Any) -> dict[str, Any]:
    request = {"id": 0, "command": "start", "adapter": adapter, "framework": None, "dialect": None, "device": "cpu"}
    request |= {"operations": ["cross_entropy", "nll_loss"], "python_path": [], "shared": "/nowhere"}
    return request | more


def case(number: int = 1, **more: Any) -> dict[str, Any]:
    request = {"id": number, "command": "case", "operation": "cross_entropy", "question": "value", "parameters": {}}
    request |= {"inputs": [array([[1.5, 2.0]]), array([0], "int64")], "which": 0}
    return request | more


def talk(*requests: dict[str, Any]) -> tuple[list[dict[str, Any]], str, int]:
    """Replies, stderr and exit status of a worker that gets all requests at once."""
    for request in requests:
        jsonschema.validate(request, REQUEST_SCHEMA)
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run(
        [sys.executable, WORKER], input=lines, capture_output=True, text=True, timeout=60, check=False
    )
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    for reply in replies:
        jsonschema.validate(reply, REPLY_SCHEMA)
    return replies, done.stderr, done.returncode


def only_case(path: Path, **more: Any) -> dict[str, Any]:
    """The reply to a single case."""
    (_, reply), _, _ = talk(start({"path": str(path)}), case(**more))
    return reply


def test_start_says_what_the_adapter_is(adapter: Write) -> None:
    path = adapter('dialect = "torch"\ndef nll_loss(log_probs, target, *, reduction="mean"): ...\n')
    (reply,), _, _ = talk(start({"path": str(path)}))

    expected = {"parameters": ["reduction"], "derivatives": {}, "autodiff": False}
    assert ("numpy", "torch", "numpy", np.__version__) == tuple(
        reply[name] for name in ("framework", "dialect", "package", "package_version")
    )
    assert {"nll_loss": expected} == reply["operations"]


def test_requested_framework_and_dialect_win(adapter: Write) -> None:
    path = adapter('framework = "none-such"\ndialect = "torch"\n')
    (reply,), _, _ = talk(start({"path": str(path)}, framework="numpy", dialect="jax"))

    assert ("numpy", "jax") == (reply["framework"], reply["dialect"])


@needs("jax")
def test_framework_is_configured_before_the_adapter_runs(adapter: Write) -> None:
    source = 'import jax.numpy as jnp\nframework = "jax"\nTHIRD = jnp.asarray(1.0) / 3\n'
    reply = only_case(adapter(source + "def cross_entropy(logits, target): return THIRD\n"))

    assert array(1 / 3, "float64") == reply["answer"]


@pytest.mark.parametrize(
    ("signature", "expected"),
    [
        ("logits, target, *, weight=None, reduction='mean'", ["weight", "reduction"]),
        ("logits, target, weight=None", ["weight"]),
        ("logits, target, *, weight", ["weight"]),
        ("logits, target", []),
        ("logits, target, **rest", None),
        ("*everything", []),
    ],
)
def test_signature_states_the_parameters(adapter: Write, signature: str, expected: list[str] | None) -> None:
    path = adapter(f"def cross_entropy({signature}): ...\n")
    (reply,), _, _ = talk(start({"path": str(path)}))

    assert expected == reply["operations"]["cross_entropy"]["parameters"]


def test_unreadable_signature_accepts_all(adapter: Write) -> None:
    (reply,), _, _ = talk(start({"path": str(adapter("cross_entropy = max\n"))}))

    assert reply["operations"]["cross_entropy"]["parameters"] is None


def test_vjp_states_its_own_parameters(adapter: Write) -> None:
    source = "def cross_entropy(a, b, *, weight=None): ...\ndef cross_entropy_vjp(c, a, b): ...\n"
    (reply,), _, _ = talk(start({"path": str(adapter(source))}))

    expected = {"parameters": ["weight"], "derivatives": {"gradient": []}, "autodiff": False}
    assert expected == reply["operations"]["cross_entropy"]


def test_function_of_a_module_stands_for_an_operation(adapter: Write) -> None:
    path = adapter("def my_xent(logits, target): return 2.5\n")
    place = {"module": "my_loss", "function": "my_xent", "as": "cross_entropy"}
    (_, reply), _, _ = talk(start(place, python_path=[str(path.parent)]), case())

    assert array(2.5, "float64") == reply["answer"]


def test_folder_of_an_adapter_shadows_no_framework(adapter: Write, tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('the wrong numpy')\n")
    (reply,), _, _ = talk(start({"path": str(adapter("import numpy\n"))}))

    assert reply["ok"]


def test_adapter_finds_the_files_beside_it(adapter: Write, tmp_path: Path) -> None:
    (tmp_path / "my_formulas.py").write_text("def cross_entropy(logits, target): return 2.5\n")
    (_, reply), _, _ = talk(start({"path": str(adapter("from my_formulas import cross_entropy\n"))}), case())

    assert array(2.5, "float64") == reply["answer"]


def test_folder_of_the_worker_is_not_importable(adapter: Write) -> None:
    (reply,), _, _ = talk(start({"path": str(adapter("import judge\n"))}))

    assert ("missing", "No module named 'judge'") == (reply["kind"], reply["message"])


def test_package_that_is_not_installed_is_missing(adapter: Write) -> None:
    (reply,), _, _ = talk(start({"path": str(adapter("import no_such_framework\n"))}))

    assert ("missing", "No module named 'no_such_framework'") == (reply["kind"], reply["message"])


BRIDGED = sorted(path.name.removesuffix("_bridge.py") for path in BRIDGES.glob("*_bridge.py"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(0)\n", "SystemExit: 0"),
        ('framework = "abacus"\n', f"expected a framework that has a bridge ({', '.join(BRIDGED)}), got 'abacus'"),
    ],
)
def test_adapter_that_cannot_be_loaded_fails(adapter: Write, source: str, message: str) -> None:
    (reply,), _, status = talk(start({"path": str(adapter(source))}))

    assert ("failed", message, 0) == (reply["kind"], reply["message"], status)


def test_syntax_error_fails(adapter: Write) -> None:
    (reply,), _, _ = talk(start({"path": str(adapter("def :\n"))}))

    assert ("failed", "SyntaxError") == (reply["kind"], reply["message"].partition(":")[0])


def test_absent_adapter_fails(tmp_path: Path) -> None:
    (reply,), _, _ = talk(start({"path": str(tmp_path / "absent.py")}))

    assert f"expected a Python file, found none at {tmp_path / 'absent.py'}" == reply["message"]


def test_absent_function_fails(adapter: Write) -> None:
    place = {"path": str(adapter("")), "function": "absent", "as": "cross_entropy"}
    (reply,), _, _ = talk(start(place))

    assert "expected a function absent in lossproof_adapter, found none" == reply["message"]


def test_parameters_arrive_as_they_were_sent(adapter: Write) -> None:
    source = "def cross_entropy(logits, target, *, weight, **rest): assert rest == EXPECTED, rest; return weight\n"
    expected = {"reduction": "sum", "label_smoothing": 0.1, "ignore_index": -7, "from_logits": True, "axis": None}
    path = adapter(f"EXPECTED = {expected!r}\n" + source)

    assert array([1.5]) == only_case(path, parameters={"weight": array([1.5]), **expected})["answer"]


def test_infinite_parameter_arrives(adapter: Write) -> None:
    path = adapter("def cross_entropy(logits, target, *, label_smoothing): return label_smoothing\n")

    assert array(-np.inf, "float64") == only_case(path, parameters={"label_smoothing": {"number": "-inf"}})["answer"]


def test_vjp_gets_the_cotangent_first(adapter: Write) -> None:
    source = "def cross_entropy(a, b): ...\ndef cross_entropy_vjp(c, a, b, *, scale): return c * a * scale\n"
    more = {"question": "gradient", "cotangent": array(2.0), "parameters": {"scale": 3.0}}

    assert array([[9.0, 12.0]]) == only_case(adapter(source), **more)["answer"]


@needs("torch")
def test_vjp_is_preferred_to_autodiff(adapter: Write) -> None:
    source = "def cross_entropy(a, b): return a.sum()\ndef cross_entropy_vjp(c, a, b): return a * 0 + 7\n"
    path = adapter('framework = "torch"\n' + source)

    assert array([[7.0, 7.0]]) == only_case(path, question="gradient", cotangent=array(2.0))["answer"]


def test_every_derivative_of_its_own_is_offered(adapter: Write) -> None:
    names = ("vjp", "vjp_target", "vjp_linear_weight", "hvp", "jvp")
    source = "".join(f"def cross_entropy_{name}(*arrays, weight=None): ...\n" for name in names)
    (reply,), _, _ = talk(start({"path": str(adapter("def cross_entropy(a, b): ...\n" + source))}))

    questions = ("gradient", "gradient-target", "gradient-linear_weight", "hessian", "tangent")
    assert {question: ["weight"] for question in questions} == reply["operations"]["cross_entropy"]["derivatives"]


@pytest.mark.parametrize(
    ("question", "name", "expected"),
    [
        ("gradient-b", "vjp_b(cotangent, a, b)", [2.0, 1.5, 0.0]),
        ("hessian", "hvp(cotangent, direction, a, b)", [2.0, 3.0, 1.5, 0.0]),
        ("tangent", "jvp(direction, a, b)", [3.0, 1.5, 0.0]),
    ],
)
def test_derivative_gets_what_it_takes_before_the_inputs(
    adapter: Write, question: str, name: str, expected: list[float]
) -> None:
    taken = name[name.index("(") + 1 : -1]
    path = adapter(
        "import numpy\ndef cross_entropy(a, b): ...\n"
        f"def cross_entropy_{name}: return numpy.array([each.flat[0] for each in ({taken})], 'float32')\n"
    )
    more = {"question": question, "cotangent": array(2.0), "direction": array([[3.0, 4.0]])}

    assert array(expected) == only_case(path, **more)["answer"]


@pytest.mark.parametrize(
    ("question", "ending"),
    [("gradient-target", "_vjp_target"), ("hessian", "_hvp"), ("tangent", "_jvp")],
)
def test_derivative_that_nobody_gives_is_unsupported(adapter: Write, question: str, ending: str) -> None:
    path = adapter("def cross_entropy(logits, target): return logits.sum()\n")
    reply = only_case(path, question=question, cotangent=array(1.0), direction=array([[1.0, 0.0]]))

    assert f"no {question}: cross_entropy has no {ending}, and its framework no autodiff" == reply["reason"]


@pytest.mark.parametrize("framework", [pytest.param(name, marks=needs(name)) for name in ("torch", "jax")])
@pytest.mark.parametrize(
    ("question", "which", "expected"),
    [
        ("gradient", 0, [[12.0, 24.0]]),
        ("gradient-target", 1, [[2.0, 8.0]]),
        ("hessian", 0, [[36.0, 48.0]]),
        ("tangent", 0, 66.0),
    ],
)
def test_framework_differentiates(
    adapter: Write, framework: str, question: str, which: int, expected: list[list[float]] | float
) -> None:
    path = adapter(f'framework = "{framework}"\ndef cross_entropy(x, y): return (x**2 * y).sum()\n')
    inputs = [array([[1.0, 2.0]]), array([[3.0, 3.0]])]
    more = {"question": question, "which": which, "cotangent": array(2.0), "direction": array([[3.0, 4.0]])}

    assert array(expected) == only_case(path, inputs=inputs, **more)["answer"]


@needs("torch")
def test_loss_whose_gradient_is_written_by_hand_has_no_hessian(adapter: Write) -> None:
    path = adapter(
        "import torch\nframework = 'torch'\n"
        "class Square(torch.autograd.Function):\n"
        "    @staticmethod\n    def forward(context, x): context.x = x.detach(); return (x * x).sum()\n"
        "    @staticmethod\n    def backward(context, cotangent): return 2 * context.x * cotangent\n"
        "def cross_entropy(logits, target): return Square.apply(logits)\n"
    )
    reply = only_case(path, question="hessian", cotangent=array(1.0), direction=array([[1.0, 0.0]]))

    assert ("unsupported", "no hessian: RuntimeError") == (reply["outcome"], reply["reason"][:24])


def test_transform_that_the_framework_lacks_is_unsupported(adapter: Write) -> None:
    path = adapter("def cross_entropy(logits, target): return logits.sum()\n")

    assert "numpy has no vmap" == only_case(path, transform="vmap")["reason"]


@pytest.mark.parametrize("framework", [pytest.param(name, marks=needs(name)) for name in ("torch", "jax")])
def test_vmap_answers_slice_by_slice(adapter: Write, framework: str) -> None:
    path = adapter(f'framework = "{framework}"\ndef cross_entropy(x, y): assert x.ndim == 1; return (x * y).sum()\n')
    inputs = [array([[1.0, 2.0], [3.0, 4.0]]), array([[1.0, 1.0], [2.0, 2.0]])]

    assert array([3.0, 14.0]) == only_case(path, inputs=inputs, transform="vmap")["answer"]


@pytest.mark.parametrize("framework", [pytest.param(name, marks=needs(name)) for name in ("torch", "jax")])
def test_loss_that_looks_at_values_has_no_vmap(adapter: Write, framework: str) -> None:
    source = "def cross_entropy(x, y):\n    if (x < 0).any(): raise ValueError\n    return x.sum()\n"
    reply = only_case(adapter(f'framework = "{framework}"\n' + source), transform="vmap")

    assert ("unsupported", "no vmap: ") == (reply["outcome"], reply["reason"][:9])


@needs("torch")
def test_own_derivative_is_transformed_too(adapter: Write) -> None:
    source = "def cross_entropy(a, b): ...\ndef cross_entropy_vjp(c, a, b): assert a.ndim == 1; return a * c\n"
    more: dict[str, Any] = {"question": "gradient", "cotangent": array([2.0, 3.0]), "transform": "vmap"}
    more |= {"inputs": [array([[1.0, 2.0], [3.0, 4.0]]), array([[0.0, 0.0], [0.0, 0.0]])]}

    assert array([[2.0, 4.0], [9.0, 12.0]]) == only_case(adapter('framework = "torch"\n' + source), **more)["answer"]


def test_first_input_goes_through_the_other_loss(adapter: Write) -> None:
    path = adapter(
        "def nll_loss(a, *, factor): return a * factor\ndef cross_entropy(a, b, *, power): return a**power + b\n"
    )
    after = {"operation": "nll_loss", "parameters": {"factor": 2.0}}
    inputs = [array([1.0, 3.0]), array([1.0, 1.0])]

    assert array([5.0, 37.0]) == only_case(path, inputs=inputs, parameters={"power": 2}, after=after)["answer"]


@pytest.mark.parametrize(("which", "expected"), [(0, [60.0]), (1, [5.0])])
def test_own_gradients_of_two_losses_are_chained(adapter: Write, which: int, expected: list[float]) -> None:
    path = adapter(
        "def nll_loss(a, *, factor): return a * factor\n"
        "def nll_loss_vjp(c, a, *, factor): return c * factor\n"
        "def cross_entropy(a, b): return a * a + b\n"
        "def cross_entropy_vjp(c, a, b): return c * 2 * a\n"
        "def cross_entropy_vjp_b(c, a, b): return c\n"
    )
    more: dict[str, Any] = {
        "question": "gradient-b" if which else "gradient",
        "which": which,
        "cotangent": array([5.0]),
    }
    more |= {"inputs": [array([1.5]), array([1.0])], "after": {"operation": "nll_loss", "parameters": {"factor": 2.0}}}

    assert array(expected) == only_case(path, **more)["answer"]


@needs("torch")
def test_two_losses_are_differentiated_as_one(adapter: Write) -> None:
    source = "def nll_loss(a): return a * a\ndef cross_entropy(a, b): return (a * b).sum()\n"
    more: dict[str, Any] = {
        "question": "gradient",
        "cotangent": array(1.0),
        "after": {"operation": "nll_loss", "parameters": {}},
    }
    more |= {"inputs": [array([1.0, 2.0]), array([3.0, 4.0])]}

    assert array([6.0, 16.0]) == only_case(adapter('framework = "torch"\n' + source), **more)["answer"]


def test_first_loss_that_is_not_offered_is_unsupported(adapter: Write) -> None:
    path = adapter("def cross_entropy(logits, target): return logits.sum()\n")
    reply = only_case(path, after={"operation": "nll_loss", "parameters": {}})

    assert "nll_loss is not offered" == reply["reason"]


def test_positions_answer_with_these_elements(adapter: Write) -> None:
    path = adapter("import numpy\ndef cross_entropy(logits, target): return numpy.arange(6.0).reshape(2, 3).T\n")
    reply = only_case(path, positions=[0, 1, 5, 6])

    assert (array([0.0, 3.0, 5.0], "float64"), [3, 2]) == (reply["answer"], reply["of"])


def test_positions_of_what_is_no_array_are_null(adapter: Write) -> None:
    reply = only_case(FAKES / "wrong_type.py", positions=[0])

    assert (None, "expected a numpy array or a number, got str") == (reply["answer"], reply["reason"])


@pytest.mark.parametrize("framework", ["numpy", pytest.param("torch", marks=needs("torch"))])
def test_expanded_input_is_never_copied(adapter: Write, framework: str) -> None:
    rows = 1 << 40
    path = adapter(f'framework = "{framework}"\ndef cross_entropy(logits, target): return logits\n')
    huge = array([1.5, 2.5]) | {"shape": [rows, 2], "strides": [0, 4], "offset": 0}
    reply = only_case(path, inputs=[huge, array([0], "int64")], positions=[0, 2 * rows - 1])

    assert (array([1.5, 2.5]), [rows, 2]) == (reply["answer"], reply["of"])


@needs("jax")
def test_jax_refuses_to_copy_a_huge_input(adapter: Write) -> None:
    path = adapter('framework = "jax"\ndef cross_entropy(logits, target): return logits\n')
    huge = array([1.5]) | {"shape": [2**31 + 1], "strides": [0], "offset": 0}
    reply = only_case(path, inputs=[huge, array([0], "int64")], positions=[0])

    assert "jax has no strides, and a copy of 2147483649 elements is not made" == reply["reason"]


def test_gradient_without_vjp_and_autodiff_is_unsupported(adapter: Write) -> None:
    path = adapter("def cross_entropy(logits, target): return logits.sum()\n")
    reply = only_case(path, question="gradient", cotangent=array(1.0))

    assert "no gradient: cross_entropy has no _vjp, and its framework no autodiff" == reply["reason"]


def test_operation_that_is_not_offered_is_unsupported(adapter: Write) -> None:
    assert "cross_entropy is not offered" == only_case(adapter(""))["reason"]


@needs("torch")
def test_layout_that_the_framework_lacks_is_unsupported(adapter: Write) -> None:
    path = adapter('framework = "torch"\ndef cross_entropy(logits, target): return logits.sum()\n')
    backwards = array([[1.0, 2.0]]) | {"strides": [8, -4], "offset": 4}
    reply = only_case(path, inputs=[backwards, array([0], "int64")])

    assert ("unsupported", "torch has no negative strides") == (reply["outcome"], reply["reason"])


def test_not_implemented_is_unsupported() -> None:
    reply = only_case(FAKES / "not_implemented.py")

    assert ("unsupported", "this fake offers nothing") == (reply["outcome"], reply["reason"])


def test_exception_is_raised_with_the_frames_of_the_adapter() -> None:
    reply = only_case(FAKES / "raises.py")

    assert ("raised", "ValueError", "this fake raises") == (reply["outcome"], reply["type"], reply["message"])
    assert "raises.py" in reply["traceback"]
    assert "_bridge.py" not in reply["traceback"]


def test_sys_exit_is_raised() -> None:
    reply = only_case(FAKES / "sys_exits.py")

    assert ("raised", "SystemExit", "this fake exits") == (reply["outcome"], reply["type"], reply["message"])


@pytest.mark.parametrize(("fake", "kind"), [("wrong_type", "str"), ("answers_nothing", "NoneType")])
def test_answer_that_is_no_array_is_null(fake: str, kind: str) -> None:
    reply = only_case(FAKES / f"{fake}.py")

    assert (None, kind) == (reply["answer"], reply["type"])
    assert f"expected a numpy array or a number, got {kind}" == reply["reason"]


def test_overwritten_input_is_named() -> None:
    assert ["0"] == only_case(FAKES / "mutates_inputs.py")["changed"]


def test_overwritten_parameter_is_named(adapter: Write) -> None:
    path = adapter("def cross_entropy(logits, target, *, weight): weight[0] = 9; return 0.0\n")

    assert ["weight"] == only_case(path, parameters={"weight": array([1.5])})["changed"]


@needs("jax")
def test_donated_input_is_named(adapter: Write) -> None:
    source = 'framework = "jax"\ndef cross_entropy(logits, target):\n    logits.delete()\n    return 0.5\n'

    assert ["0"] == only_case(adapter(source))["changed"]


def test_prints_go_to_stderr() -> None:
    (_, reply), stderr, _ = talk(start({"path": str(FAKES / "prints_stdout.py")}), case())

    assert array(0.5, "float64") == reply["answer"]
    assert "printed\nwritten\n" == stderr


def test_adapter_that_reads_stdin_finds_it_empty(adapter: Write) -> None:
    path = adapter("import sys\ndef cross_entropy(logits, target): return len(sys.stdin.read())\n")

    assert array(0, "int64") == only_case(path)["answer"]


def test_bench_returns_the_seconds_of_all_loops(adapter: Write) -> None:
    path = adapter("import time\ndef cross_entropy(logits, target): time.sleep(0.01)\n")
    (_, reply), _, _ = talk(start({"path": str(path)}), case(command="bench", loops=5))

    assert reply["seconds"][0] >= 0.05


def test_stop_is_answered_before_the_worker_leaves(adapter: Write) -> None:
    replies, _, status = talk(start({"path": str(adapter(""))}), {"id": 9, "command": "stop"}, case(10))

    assert ({"id": 9, "ok": True}, 2, 0) == (replies[-1], len(replies), status)


def test_closed_stdin_ends_the_worker(adapter: Write) -> None:
    _, _, status = talk(start({"path": str(adapter(""))}))

    assert status == 0


def test_large_answer_goes_through_the_shared_folder(adapter: Write, tmp_path: Path) -> None:
    path = adapter("import numpy\ndef cross_entropy(logits, target): return numpy.arange(20000.0)\n")
    (_, reply), _, _ = talk(start({"path": str(path)}, shared=str(tmp_path)), case())

    assert np.arange(20000.0).tobytes() == Path(reply["answer"]["file"]).read_bytes()


def test_large_answer_goes_through_the_line_where_the_folder_is_unusable(adapter: Write) -> None:
    path = adapter("import numpy\ndef cross_entropy(logits, target): return numpy.arange(20000.0)\n")

    assert array(np.arange(20000.0), "float64") == only_case(path)["answer"]


@contextmanager
def running(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A worker that was asked a case and has not been read."""
    worker = subprocess.Popen([sys.executable, WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert worker.stdin
    assert worker.stdout
    try:
        worker.stdin.write(json.dumps(start({"path": str(path)})) + "\n" + json.dumps(case()) + "\n")
        worker.stdin.flush()
        worker.stdout.readline()
        yield worker
    finally:
        worker.kill()
        worker.wait()
        worker.stdin.close()
        worker.stdout.close()


def test_worker_leaves_with_its_host_even_where_a_loss_hangs() -> None:
    with running(FAKES / "hangs.py") as worker:
        time.sleep(0.1)
        assert worker.stdout
        worker.stdout.close()

        assert worker.wait(10) == 1
