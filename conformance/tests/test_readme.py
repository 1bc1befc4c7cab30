"""The README: its commands are run, their output is what it shows, and nothing goes unmentioned."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from lossproof.cli import COMMANDS, main
from lossproof.gate import Exit
from lossproof.outcome import GRADES
from lossproof.spec.read import read_spec

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Shown:
    """A command of a console block, and the lines that are shown below it."""

    command: str
    lines: tuple[str, ...]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", README, re.DOTALL | re.MULTILINE)


def shown() -> Iterator[Shown]:
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.splitlines()
            yield Shown(command, tuple(lines))


def skeleton(line: str) -> str:
    """A line without its numbers, which differ by machine and grow with the spec."""
    return re.sub(r"\s+", " ", re.sub(r"[-+]?\d[\d.]*(e[-+]?\d+)?", "#", line)).strip()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the README shows."""
    folder = tmp_path_factory.mktemp("readme")
    for block in blocks("python"):
        head, _, _ = block.partition("\n")
        (folder / head.removeprefix("# ")).write_text(block, encoding="utf-8")
    return folder


def test_commands_print_what_is_shown(folder: Path) -> None:
    bin_folder = Path(sys.executable).parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PATH"] = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    different = []
    # One after the other: a command may read what an earlier one wrote.
    for each in shown():
        finished = subprocess.run(
            each.command,
            shell=True,
            cwd=folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        printed = {skeleton(line) for line in finished.stdout.splitlines()}
        missing = [line for line in each.lines if line != "…" and skeleton(line) not in printed]
        expected = 1 if re.search(r"[1-9]\d* findings? (\(|in )|\nFAILED ", finished.stdout) else 0
        if missing or finished.returncode != expected:
            different.append((each.command, finished.returncode, missing, finished.stdout, finished.stderr))

    assert [] == different


def test_console_blocks_hold_commands_of_lossproof_and_pytest_alone() -> None:
    commands = [each.command for each in shown()]

    assert len(commands) > 5
    assert {"lossproof", "pytest"} == {command.split()[0] for command in commands}


def test_set_up_is_two_commands() -> None:
    assert ["pip install . && lossproof run", "pip install tox && tox"] == [block.strip() for block in blocks("sh")]


def test_continuous_integration_runs_the_second_command() -> None:
    script = ROOT / ".ci" / "run"
    if not script.is_file():
        pytest.skip("an sdist has no .ci")

    assert "pip install tox && tox" in script.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_is_mentioned(command: str) -> None:
    assert f"`lossproof {command}`" in README


def test_every_option_that_is_mentioned_exists() -> None:
    context = click.Context(main)
    commands = [main.get_command(context, name) for name in main.list_commands(context)]
    commands += [each for command in commands if isinstance(command, click.Group) for each in command.commands.values()]
    known = {option for command in commands if command for each in command.params for option in each.opts}

    mentioned = set(re.findall(r"`(--[a-z-]+)[` ]", README))
    assert set() == mentioned - known - {"--pyargs"}


@pytest.mark.parametrize("operation", list(read_spec().operations))
def test_every_operation_is_mentioned(operation: str) -> None:
    assert f"`{operation}`" in README


@pytest.mark.parametrize("code", list(Exit))
def test_every_exit_code_is_mentioned(code: Exit) -> None:
    assert f"\n| {code:d} |" in README


@pytest.mark.parametrize("grade", list(GRADES))
def test_every_grade_is_explained(grade: str) -> None:
    assert f"\n| {grade} |" in README


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_to_files_hold(name: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text(encoding="utf-8"))

    assert [] == [link for link in links if not (ROOT / link).exists()]
