"""Implementations in other languages: each says what the schemas allow, and the example of the page does as it says."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from lossproof.frameworks import read_needs
from lossproof.implementations import Implementation, UnknownImplementationError, find_implementation, shipped
from lossproof.outcome import Outcome
from lossproof.paths import DOCS, IMPLEMENTATIONS, PACKAGE
from lossproof.program import FILE_NAME, read_program
from lossproof.selection import Selection, select
from lossproof.session import Session
from lossproof.spec.errors import SpecError
from lossproof.spec.read import read_spec

LOSSPROOF = Path(sys.executable).parent / "lossproof"
PAGE = (DOCS / "write-a-port.md").read_text(encoding="utf-8")
EXAMPLE = DOCS / "port.cpp"
PORTS = ("tfjs", "onnxruntime_web")
PUBLIC_REGISTRY = "https://registry.npmjs.org/"

# Values and derivatives, each kind of layout, arrays that travel in files, bad input, what is not offered.
CASES = (
    "cross_entropy/errors/fewer-targets-than-rows",
    "cross_entropy/errors/unknown-reduction",
    "cross_entropy/non-finite/masked-class",
    "cross_entropy/probabilities/sums-to-two",
    "cross_entropy/shapes/image-smoothed",
    "cross_entropy/weights/*",
    "log_softmax/axes/*",
    "log_softmax/classes/count-128256",
    "log_softmax/contract/*",
    "log_softmax/covering/few-rank-2-float32-*",
    "nll_loss/weights/*",
    "binary_cross_entropy_with_logits/second-order/*",
    "binary_cross_entropy_with_logits/weights/*",
)


def schema(name: str) -> jsonschema.protocols.Validator:
    loaded = json.loads((PACKAGE / "protocol" / f"{name}.schema.json").read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(loaded)


def installed(name: str) -> Implementation:
    need = read_needs(shipped()[name])
    if not need.installed:
        pytest.skip(f"{name} is not installed: {need.install_line}")
    return find_implementation(name)


def compiled(source: Path, folder: Path) -> Path:
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("there is no C++ compiler")
    program = folder / "port"
    built = subprocess.run(
        [compiler, "-std=c++17", "-o", program, source],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert 0 == built.returncode, built.stderr
    return program


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(EXAMPLE, tmp_path_factory.mktemp("example"))


def overheard(command: tuple[str, ...], folder: Path) -> tuple[list[Any], list[Any], set[Outcome]]:
    """The requests and the replies of a program that is asked the cases, and the outcomes that they give."""
    words = f"tee {folder}/requests | {shlex.join(command)} | tee {folder}/replies"
    with Session(Implementation("port", "port", None, command=("sh", "-c", words)), read_spec()) as session:
        subject = session.start()
        goldens = select(Selection(CASES, ("float32", "float64")), subject.offered)
        outcomes = {asked.judgement.outcome for asked in session.ask(goldens)}
    lines = [(folder / name).read_text(encoding="utf-8").splitlines() for name in ("requests", "replies")]
    requests, replies = ([json.loads(line) for line in each] for each in lines)
    assert len(goldens) > 20
    assert [request["id"] for request in requests] == [reply["id"] for reply in replies]
    return requests, replies, outcomes


def breaches(validator: jsonschema.protocols.Validator, lines: list[Any]) -> Iterator[str]:
    for line in lines:
        yield from (f"{error.message}: {line}" for error in validator.iter_errors(line))


def assert_schemas_hold(requests: list[Any], replies: list[Any]) -> None:
    assert [] == list(breaches(schema("request"), requests))
    assert [] == list(breaches(schema("reply"), replies))


# The ports that lossproof ships


@pytest.mark.parametrize("name", PORTS)
def test_every_line_of_a_port_is_in_the_schemas(name: str, tmp_path: Path) -> None:
    requests, replies, outcomes = overheard(installed(name).command, tmp_path)

    assert_schemas_hold(requests, replies)
    assert {Outcome.ACCURATE, Outcome.UNSUPPORTED} <= outcomes
    assert Outcome.CRASHED not in outcomes
    assert any("file" in array for request in requests for array in request.get("inputs", ()))
    assert any("file" in (reply.get("answer") or ()) for reply in replies)
    assert any(reply.get("outcome") == "raised" for reply in replies)


@pytest.mark.parametrize("name", PORTS)
def test_a_port_says_what_its_adapter_toml_says(name: str) -> None:
    implementation, need = installed(name), read_needs(shipped()[name])

    with Session(implementation, read_spec()) as session:
        subject = session.start()

    assert (need.package, need.version, need.dialect) == (subject.package, subject.version, subject.dialect)
    assert subject.offered


@pytest.mark.parametrize("name", PORTS)
def test_a_port_answers_strided_arrays(name: str) -> None:
    with Session(installed(name), read_spec()) as session:
        session.start()
        goldens = [
            golden
            for golden in select(Selection(("log_softmax/*/*",), ("float32",)), ["log_softmax"])
            if "layout" in golden.inputs["logits"] and golden.question == "value"
        ]
        layouts = {
            asked.golden.inputs["logits"]["layout"]
            for asked in session.ask(goldens)
            if asked.judgement.outcome in (Outcome.ACCURATE, Outcome.STABLE)
        }

    assert {"transposed", "reversed", "sliced", "expanded", "misaligned"} <= layouts


@pytest.mark.parametrize("name", PORTS)
def test_a_lock_file_pins_every_package_and_names_no_other_registry(name: str) -> None:
    lock = json.loads((IMPLEMENTATIONS / name / "package-lock.json").read_text(encoding="utf-8"))
    packages = {path: entry for path, entry in lock["packages"].items() if path}

    assert [] == [path for path, entry in packages.items() if not entry.get("integrity")]
    assert [] == [
        entry["resolved"]
        for entry in packages.values()
        if not entry.get("resolved", PUBLIC_REGISTRY).startswith(PUBLIC_REGISTRY)
    ]


def test_a_port_whose_library_is_missing_says_so(tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("there is no node")
    for name in ("tfjs", "javascript"):
        ignored = shutil.ignore_patterns("node_modules")
        shutil.copytree(IMPLEMENTATIONS / name, tmp_path / name, ignore=ignored)

    with Session(find_implementation(str(tmp_path / "tfjs")), read_spec()) as session:
        subject = session.start()

    assert subject.missing
    assert "@tensorflow/tfjs-core" in subject.failed


# The example of the page


def test_the_example_is_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 150


def test_the_example_passes(example: Path) -> None:
    finished = subprocess.run(
        [LOSSPROOF, "run", "--exec", example], capture_output=True, encoding="utf-8", timeout=300, check=False
    )

    assert (0, "") == (finished.returncode, finished.stderr), finished.stdout


def test_every_line_of_the_example_is_in_the_schemas(example: Path, tmp_path: Path) -> None:
    requests, replies, outcomes = overheard((str(example),), tmp_path)

    assert_schemas_hold(requests, replies)
    assert Outcome.CRASHED not in outcomes


@pytest.mark.parametrize(
    ("right", "wrong", "case"),
    [
        ("std::exp(row[j] - most)", "std::exp(row[j])", "log_softmax/values/*"),
        ("rest % array.shape[axis] * strides[axis]", "0 * strides[axis]", "log_softmax/contract/*"),
        ("label == ignored ? 0 :", "false ? 0 :", "cross_entropy/ignore-index/*"),
        ('throw std::out_of_range("a label that is no class")', "label = 0", "cross_entropy/*/*"),
    ],
)
def test_a_fault_in_the_example_is_caught(right: str, wrong: str, case: str, tmp_path: Path) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    assert 1 == text.count(right)
    (tmp_path / "port.cpp").write_text(text.replace(right, wrong), encoding="utf-8")
    program = compiled(tmp_path / "port.cpp", tmp_path)

    finished = subprocess.run(
        [LOSSPROOF, "run", "--exec", program, "--cases", case],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )

    assert 1 == finished.returncode, finished.stdout


# The page


def lines_of_the_page(mark: str) -> list[str]:
    return re.findall(rf"^    {mark} (.*)$", PAGE, re.MULTILINE)


def test_the_conversation_on_the_page_is_the_example_s(example: Path, tmp_path: Path) -> None:
    requests, replies = ("\n".join(lines_of_the_page(mark)) for mark in "><")
    (shared,) = set(re.findall(r'"shared":"([^"]*)"', requests))

    said = subprocess.run(
        [example],
        input=requests.replace(shared, str(tmp_path)) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (0, replies.replace(shared, str(tmp_path)) + "\n") == (said.returncode, said.stdout)


def test_the_conversation_on_the_page_is_in_the_schemas() -> None:
    requests, replies = ([json.loads(line) for line in lines_of_the_page(mark)] for mark in "><")

    assert_schemas_hold(requests, replies)
    assert {"start", "case", "stop"} == {request["command"] for request in requests}


def test_the_replies_that_the_page_spells_out_are_in_the_schema() -> None:
    spelt = [json.loads(text) for text in re.findall(r'`(\{"id".*?\})`', PAGE)]

    assert len(spelt) == 2
    assert [] == list(breaches(schema("reply"), spelt))


def test_the_page_counts_the_example_s_lines() -> None:
    (count,) = re.findall(r"in (\d+) lines of C\+\+", PAGE)

    assert int(count) == len(EXAMPLE.read_text(encoding="utf-8").splitlines())


def test_the_golden_on_the_page_exists() -> None:
    (identifier,) = re.findall(r"explain '([^']+)'", PAGE)

    assert select(Selection((identifier,)))


def test_the_adapter_toml_on_the_page_is_one(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / FILE_NAME).write_text(block, encoding="utf-8")

    assert "my-library" == read_program(tmp_path / FILE_NAME).package


def test_docs_port_prints_the_page() -> None:
    printed = subprocess.run([LOSSPROOF, "docs", "port"], capture_output=True, encoding="utf-8", check=False)

    assert (0, "") == (printed.returncode, printed.stderr)
    assert "Write a port in any language" in printed.stdout
    assert "Check it" in printed.stdout


# adapter.toml


WHOLE = """\
summary = "A loss."
framework = "mine"
dialect = "torch"
package = "mine"
command = ["sh", "port.sh"]
install = "make -C {folder}"
needs = ["built/package.json"]
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (WHOLE.replace('["sh", "port.sh"]', '"sh port.sh"'), 'mine/adapter.toml:5 $.command: expected a list, got "sh'),
        (WHOLE.replace("dialect", "dialekt"), "mine/adapter.toml:1 $: expected the key dialect, got none"),
        (WHOLE + 'version = "1"\n', "mine/adapter.toml:8 $.version: expected a key of summary, framework"),
        (WHOLE.replace('"A loss."', '""'), 'mine/adapter.toml:1 $.summary: expected some text, got ""'),
        (WHOLE.replace('["sh", "port.sh"]', "[]"), "mine/adapter.toml:5 $.command: expected at least 1 items, got []"),
        (WHOLE.replace('"mine"', "mine"), "mine/adapter.toml: expected TOML, got Invalid value (at line 2"),
    ],
)
def test_a_broken_adapter_toml_is_refused_by_file_and_key(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / FILE_NAME).write_text(text, encoding="utf-8")

    with pytest.raises(SpecError) as read:
        read_needs(tmp_path / "mine" / FILE_NAME)
    with pytest.raises(UnknownImplementationError) as found:
        find_implementation(str(tmp_path / "mine"))

    assert str(read.value).startswith(message)
    assert str(read.value) == str(found.value)


def test_a_folder_with_an_adapter_toml_is_an_implementation(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / FILE_NAME).write_text(WHOLE, encoding="utf-8")
    (folder / "port.sh").write_text("exit 3\n", encoding="utf-8")

    found = find_implementation(str(folder), dialect="optax")

    assert ("mine", str(folder), "optax") == (found.name, found.typed, found.dialect)
    assert ("sh", str(folder / "port.sh")) == found.command
    assert folder / "adapter.known.toml" == found.known_path
    assert found == find_implementation(str(folder), dialect="optax")


def test_what_is_missing_is_named_until_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mine"
    (folder / "built").mkdir(parents=True)
    (folder / FILE_NAME).write_text(WHOLE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    before = read_needs(folder / FILE_NAME)
    (folder / "built" / "package.json").write_text('{"version": "1.2.3"}', encoding="utf-8")
    after = read_needs(folder / FILE_NAME)

    assert (False, "", "make -C mine") == (before.installed, before.version, before.install_line)
    assert (True, "1.2.3") == (after.installed, after.version)


def test_a_program_that_is_not_on_the_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / FILE_NAME).write_text(WHOLE.replace('"sh"', '"no-such-shell"'), encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    assert "install no-such-shell, then make -C ." == read_needs(tmp_path / FILE_NAME).install_line


def test_the_list_shows_the_ports() -> None:
    listed = subprocess.run([LOSSPROOF, "list"], capture_output=True, encoding="utf-8", check=False).stdout

    assert set(PORTS) <= {line.split()[0] for line in listed.splitlines() if line.startswith("  ")}
