"""Scripts that reproduce a golden with the framework alone: what they hold, and that they print the answer."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_goldens import SPEC

from lossproof.frameworks import read_needs
from lossproof.implementations import find_implementation
from lossproof.judge import leaves_bad_values_open
from lossproof.known import covering, deviations_of
from lossproof.numerics import DTYPES, round_to
from lossproof.outcome import Outcome
from lossproof.paths import IMPLEMENTATIONS
from lossproof.processes.connect import Answered, Raised, Reply
from lossproof.processes.wire import encode
from lossproof.reports.reproduce import reproduction
from lossproof.reports.standing_alone import standing_alone
from lossproof.reports.writers import WRITERS
from lossproof.selection import Selection, select
from lossproof.session import Asked, Session
from lossproof.spec.golden import Golden

FRAMEWORKS = {
    "numpy_reference": "numpy",
    "textbook_definition": "numpy",
    "textbook_keras_clip": "numpy",
    "textbook_pixel_loop": "numpy",
    "textbook_unshifted": "numpy",
    "torch_eager": "torch",
    "torch_autocast": "torch",
    "jax_eager": "jax",
    "jax_jit": "jax",
    "tensorflow_nn": "tensorflow",
    "mlx_nn": "mlx",
    "paddle_functional": "paddle",
    "tinygrad_tensor": "tinygrad",
}
# One golden in so many: a script of jax_eager takes half a second to compile, a textbook's next to nothing.
EVERY = {
    "numpy_reference": 40,
    "torch_eager": 40,
    "torch_autocast": 100,
    "jax_eager": 100,
    "jax_jit": 300,
    "tensorflow_nn": 20,
    "mlx_nn": 20,
    "paddle_functional": 20,
    "tinygrad_tensor": 50,
}
PRODUCTS = ("linear_cross_entropy",)
MOST_PRINTED = 4096
SHORT = 64
CASE = "cross_entropy/ignore-index/all-ignored-mean"
RUNNER = """
import contextlib, io, json, sys
import numpy
numpy.set_printoptions(threshold=sys.maxsize)
if "torch" in sys.argv:
    import torch
    torch.set_printoptions(threshold=sys.maxsize)
if "paddle" in sys.argv:
    import paddle
    paddle.set_printoptions(threshold=2**31 - 1)
ends = []
for script in json.load(sys.stdin):
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(script, "script", "exec"), {"__name__": "__main__"})
        ends.append([printed.getvalue(), ""])
    except Exception as error:
        ends.append(["", type(error).__name__])
json.dump(ends, sys.stdout)
"""
FACTS = re.compile(r"\b(?:shape|dtype|size|place|stop_gradient)=(?:[\[(][^])]*[])]|\w+\(\w*\)|[\w.]+)")
NUMBER = re.compile(r"[-+]?(?:nan|inf|\d+\.?\d*(?:e[-+]?\d+)?)")


def sampled(goldens: Sequence[Golden], every: int) -> list[Golden]:
    """Some goldens of each dtype and question, from the first: no relation, no transform, no many thousand numbers.

    Nor a long one with a layout, which a script only names: sums go in the order of the memory.
    """
    sample = []
    for dtype in DTYPES:
        for question in ("value", "gradient"):
            of_kind = [
                golden
                for golden in goldens
                if (golden.dtype, golden.question) == (dtype, question)
                and not golden.transform
                and not any("layout" in each and np.prod(each["shape"]) > SHORT for each in golden.inputs.values())
                and np.prod(golden.shape) <= MOST_PRINTED
            ]
            sample += of_kind[::every]
    return sample


def ask(name: str) -> list[Asked]:
    """What it answers; not what reads foreign memory, and answers or ends as that happens to be."""
    implementation = find_implementation(name)
    with Session(implementation, SPEC) as session:
        subject = session.start()
        varying = [deviation for deviation in deviations_of(subject) if deviation.varies]
        goldens = [
            golden
            for golden in select(Selection(), subject.offered)
            if not session.declared_unsupported(golden)
            and not leaves_bad_values_open(golden, session.dialects)
            and not covering(golden, subject, varying)
        ]
        # Not every layout can be written in a script, and matrix products differ by it in the last bits.
        goldens = [golden for golden in goldens if golden.operation not in PRODUCTS or not is_strided(golden)]
        asked = session.ask(sampled(goldens, EVERY.get(name, 1)))
        return [each for each in asked if each.judgement.outcome is not Outcome.UNSUPPORTED]


def is_strided(golden: Golden) -> bool:
    return any("layout" in stored for stored in golden.inputs.values())


def source_of(name: str) -> str:
    source = standing_alone(IMPLEMENTATIONS / f"{name}.py")
    assert source is not None
    return source


def script_of(golden: Golden, source: str, framework: str) -> str:
    script = reproduction(golden, SPEC.operations[golden.operation], source, framework)
    assert script is not None
    return script


def run(framework: str, scripts: Sequence[str]) -> list[tuple[str, str]]:
    """What each script printed, and the name of the exception that ended it, all from one process."""
    finished = subprocess.run(
        [sys.executable, "-c", RUNNER, framework],
        input=json.dumps(scripts),
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert 0 == finished.returncode, finished.stderr
    return [(printed, error) for printed, error in json.loads(finished.stdout)]


def numbers_in(printed: str, dtype: str) -> list[str]:
    """The numbers printed, rounded to the dtype, written out: NaN equals NaN, and 0 is not -0."""
    return written([float(number) for number in NUMBER.findall(FACTS.sub("", printed))], dtype)


def written(numbers: Any, dtype: str) -> list[str]:
    return [repr(number) for number in round_to(dtype, np.asarray(numbers, np.float64)).astype(float).ravel().tolist()]


def outcome_of(reply: Reply, dtype: str) -> object:
    match reply:
        case Answered(array=array) if array is not None:
            return written(array, dtype)
        case Raised(type=name):
            return name
    return reply


# What they print


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_scripts_print_what_the_worker_answers(name: str) -> None:
    framework = FRAMEWORKS[name]
    pytest.importorskip(framework)
    source = source_of(name)
    asked = ask(name)
    scripts = [script_of(each.golden, source, framework) for each in asked]

    ends = run(framework, scripts)

    assert asked
    expected = {each.golden.id: outcome_of(each.replies[0], each.golden.dtype) for each in asked}
    got = {
        each.golden.id: error or numbers_in(printed, each.golden.dtype)
        for each, (printed, error) in zip(asked, ends, strict=True)
    }
    assert expected == got


# What they hold

LOSS = "def cross_entropy(logits, target, *, ignore_index=-100, reduction='mean'):\n    return {}\n"


def golden(name: str) -> Golden:
    return next(golden for golden in select(Selection((name,))) if golden.id == name)


def lines_of(source: str, framework: str = "jax", name: str = f"{CASE}[float32-value]") -> list[str]:
    return script_of(golden(name), source, framework).splitlines()


def test_what_is_registered_with_a_needed_function_comes_along() -> None:
    rules = "@_loss.defjvp\ndef _rule(x):\n    return _half(x)\n_loss.defvjp(_forward, _backward)\n"
    helpers = "".join(f"def {name}(x): ...\n" for name in ("_half", "_forward", "_backward", "_loss", "_other"))

    lines = lines_of(helpers + rules + LOSS.format("_loss(logits)"))

    named = ("_half", "_forward", "_backward", "_loss", "_rule", "cross_entropy")
    assert [*named] == [line.split()[1].split("(")[0] for line in lines if line.startswith("def ")]
    assert {"@_loss.defjvp", "_loss.defvjp(_forward, _backward)"} <= set(lines)


def test_another_function_decorated_by_the_same_import_stays_behind() -> None:
    other = "import numpy as np\n@np.errstate(all='ignore')\ndef other(): ...\n"

    assert "def other(): ..." not in lines_of(other + LOSS.format("np.exp(logits)"), "numpy")


@pytest.mark.parametrize(
    "source",
    [
        LOSS.format("load(__file__)"),
        "import sys\nsys.path.insert(0, __file__)\n" + LOSS.format(0),
        "from somewhere import *",
        "logits = 1\n" + LOSS.format("logits"),
    ],
)
def test_adapter_that_cannot_stand_alone_has_no_script(source: str) -> None:
    asked = golden(f"{CASE}[float32-value]")

    assert reproduction(asked, SPEC.operations["cross_entropy"], source, "jax") is None


@pytest.mark.parametrize("path", sorted(IMPLEMENTATIONS.glob("*.py")), ids=lambda path: path.stem)
def test_no_script_imports_an_adapter(path: Path) -> None:
    source, needs = source_of(path.stem), read_needs(path)
    first = {each.operation: each for each in reversed(select(Selection(dtypes=("float32",)))) if not each.calls}
    scripts = [
        reproduction(each, SPEC.operations[name], source, needs.framework)
        for name, each in first.items()
        if name in source
    ]

    imported = {name for script in scripts if script for name in imports_of(script)}
    assert any(scripts)
    assert set() == imported & {each.stem for each in IMPLEMENTATIONS.glob("*")}


def imports_of(script: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(script)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)


def joined(folder: Path, mine: str, beside: str) -> str | None:
    (folder / "mine.py").write_text(mine, encoding="utf-8")
    (folder / "beside.py").write_text(beside, encoding="utf-8")
    return standing_alone(folder / "mine.py")


@pytest.mark.parametrize(
    ("mine", "beside"),
    [
        # Each file has a function of its own by that name.
        ("def f(x): return other.f(x) + 1\n", "def f(x): return g(x)\ndef g(x): return x\n"),
        # What is taken has the name of something local here.
        ("def f(x):\n    g = other.g(x)\n    return g + 1\n", "def g(x): return x\n"),
        ("def f(g): return other.g(g) + 1\n", "def g(x): return h(x)\ndef h(x): return x if x else g(1)\n"),
        ("def f(x): return other.K(x).x + 1\n", "class K:\n    def __init__(self, x): self.x = x\n"),
    ],
)
def test_what_lies_beside_an_adapter_comes_along(mine: str, beside: str, tmp_path: Path) -> None:
    source = joined(tmp_path, f"import beside as other\n\n{mine}", beside)
    names: dict[str, Any] = {}

    assert source is not None
    exec(source, names)

    assert 3 == names["f"](2)


@pytest.mark.parametrize(
    ("mine", "beside"),
    [
        ("from beside import g\n", "def g(x): ...\n"),
        ("import beside\n", "def g(x): ...\n"),
        ("def f(x):\n    import beside as other\n", "def g(x): ...\n"),
        ("import beside as other\nall_of_it = vars(other)\n", "def g(x): ...\n"),
        ("import beside as other\nimport math as m\nother.g\n", "import cmath as m\ndef g(x): ...\n"),
        ("import beside as other\ndef m(x): other.g\n", "import math as m\ndef g(x): ...\n"),
        ("import beside as other\ndef g(x): other.h\n", "def g(x): ...\ndef h(g): return g\n"),
    ],
)
def test_what_cannot_be_told_apart_from_its_neighbour_does_not_stand_alone(
    mine: str, beside: str, tmp_path: Path
) -> None:
    assert joined(tmp_path, mine, beside) is None


def test_gradient_that_nothing_computes_has_no_script() -> None:
    asked = golden(f"{CASE}[float32-gradient]")

    assert reproduction(asked, SPEC.operations["cross_entropy"], LOSS.format(0), "numpy") is None


@pytest.mark.parametrize(
    ("signature", "call"),
    [
        ("logits, target", "cross_entropy(logits, target)"),
        ("logits, target, reduction", "cross_entropy(logits, target, reduction='mean')"),
        ("logits, target, **more", "cross_entropy(logits, target, ignore_index=-1, reduction='mean')"),
    ],
)
def test_parameters_that_the_function_does_not_have_are_not_passed(signature: str, call: str) -> None:
    assert f"print({call})" == lines_of(f"def cross_entropy({signature}): ...\n")[-1]


def test_parameter_that_is_left_out_is_named() -> None:
    lines = lines_of("def cross_entropy(logits, target, *, reduction='mean'): ...\n")

    assert "# cross_entropy has no parameter ignore_index: -1 is left out" in lines


def test_of_a_vjp_its_own_signature_counts() -> None:
    source = LOSS.format(0) + "def cross_entropy_vjp(cotangent, logits, target, *, ignore_index): ...\n"

    last = lines_of(source, "numpy", f"{CASE}[float32-gradient]")[-1]

    assert "print(cross_entropy_vjp(cotangent, logits, target, ignore_index=-1))" == last


@pytest.mark.parametrize(("name", "framework"), FRAMEWORKS.items())
@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_is_imported_twice_or_in_vain(name: str, framework: str, dtype: str) -> None:
    source = source_of(name)
    wanted = "categorical_crossentropy/" if "keras" in name else "cross_entropy/"
    asked = next(each for each in select(Selection((f"{wanted}*",), (dtype,))) if each.question == "value")

    script = script_of(asked, source, framework)

    imports = [line for line in script.splitlines() if line.startswith(("import ", "from "))]
    assert sorted(set(imports)) == sorted(imports)
    assert (framework == "numpy" and dtype == "bfloat16") == ("import ml_dtypes" in imports)


@pytest.mark.parametrize(
    "setting",
    [
        'os.environ["BEFORE"] = "1"',
        'os.environ.setdefault("BEFORE", "1")',
        'if not os.path.exists("/nowhere"):\n    os.environ["BEFORE"] = "1"  # why',
    ],
)
def test_what_libraries_read_as_they_are_imported_is_set_before(setting: str) -> None:
    source = f"import os\n\n{setting}\n\nimport json\n\n" + LOSS.format("json.loads('0') + READ")

    script = "\n".join(lines_of(source + "\nREAD = int(os.environ['BEFORE'])\n", "numpy"))

    assert f"import os\n\n{setting}\n\nimport numpy as np\nimport json\n" in script
    assert (1, 1) == (script.count("import os"), script.count(setting))


@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_arrays_lie_in_memory_as_they_did_when_asked(framework: str) -> None:
    xp = pytest.importorskip(framework)
    x = xp.asarray(np.array([[1.5, 2.5, 3.5]] * 4).reshape(2, 2, 3))
    layouts = WRITERS[framework].layouts or {}

    laid = {name: eval(text, {"np": np, "x": x}) for name, text in layouts.items()}

    assert layouts
    for name, each in laid.items():
        strides = list(each.strides) if framework == "numpy" else [x.itemsize * stride for stride in each.stride()]
        assert json.loads(f"{{{encode(np.asarray(x), name).members}}}")["strides"] == strides, name
        assert np.asarray(x).tolist() == np.asarray(each).tolist()


def test_a_layout_that_cannot_be_written_is_named() -> None:
    source = (IMPLEMENTATIONS / "numpy_reference.py").read_text(encoding="utf-8")
    asked = next(
        each
        for each in select(Selection(("cross_entropy/*/*",), ("float32",)))
        if each.question == "value" and each.inputs["logits"].get("layout") == "misaligned"
    )

    assert "# logits lies in memory misaligned" in script_of(asked, source, "numpy").splitlines()


def test_words_to_linters_are_left_out() -> None:
    source = "import jax.nn as N  # noqa: N812  # short\n" + LOSS.format('N.f("# noqa")  # type: ignore[x]  # why')

    script = "\n".join(lines_of(source))

    assert 'return N.f("# noqa")\n' in script
    assert "import jax.nn as N\n" in script


@pytest.mark.parametrize(
    ("framework", "line"),
    [
        ("torch", 'torch.set_default_device("cuda:1")'),
        ("jax", 'jax.config.update("jax_platforms", "cuda")'),
        ("paddle", 'paddle.set_device("gpu:1")'),
    ],
)
def test_a_script_runs_on_the_device_that_was_asked(framework: str, line: str) -> None:
    asked = golden(f"{CASE}[float32-value]")

    script = reproduction(asked, SPEC.operations["cross_entropy"], LOSS.format(0), framework, "cuda:1")

    assert line in str(script).splitlines()
    assert line not in lines_of(LOSS.format(0), framework)


@pytest.mark.parametrize(("framework", "digits"), [("torch", "precision=8, sci_mode=True"), ("jax", "unique")])
def test_all_digits_are_printed(framework: str, digits: str) -> None:
    assert any("set_printoptions" in line and digits in line for line in lines_of(LOSS.format(0), framework))
