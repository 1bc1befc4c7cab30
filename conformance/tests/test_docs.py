"""What to do about a failure: the page, the command that prints it, and the lines that point there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from lossproof.cli import main
from lossproof.cli.docs import PAGE, NoSuchTopicError, section
from lossproof.gate import Finding
from lossproof.known import Deviation, read_known
from lossproof.outcome import FAILURES, GRADES, Outcome
from lossproof.record import Record
from lossproof.reports.failures import describe, what_now
from lossproof.selection import Selection, select

TEXT = PAGE.read_text(encoding="utf-8")
HEADINGS = re.findall(r"^## (.*)$", TEXT, re.MULTILINE)
COMMANDS = re.findall(r"`(lossproof [^`]*)`", TEXT)


def docs(*topics: str) -> click.testing.Result:
    return CliRunner().invoke(main, ["docs", *topics])


def unwrapped(text: str) -> str:
    return re.sub(r"\W+", " ", text)


def test_the_whole_page_is_printed() -> None:
    printed = docs()

    assert 0 == printed.exit_code
    assert [] == [heading for heading in HEADINGS if unwrapped(heading) not in unwrapped(printed.output)]


def test_a_topic_prints_its_section_alone() -> None:
    printed = docs("crashed")

    assert 0 == printed.exit_code
    assert "used as an index" in unwrapped(printed.output)
    assert [] == [heading for heading in HEADINGS if heading != "Crashed" and heading in printed.output]


def test_an_unknown_topic_is_2_with_the_topics() -> None:
    printed = docs("lose")

    first = [heading.split()[0].strip(",").lower() for heading in HEADINGS]
    assert 2 == printed.exit_code
    assert f"lossproof: no section on lose; there are {', '.join(first)}\n" == printed.stderr


def test_each_topic_that_is_named_has_its_section() -> None:
    with pytest.raises(NoSuchTopicError) as error:
        section(TEXT, "nothing")
    topics = str(error.value).partition("there are ")[2].split(", ")

    assert HEADINGS == [section(TEXT, topic).partition("\n")[0].removeprefix("## ") for topic in topics]


# What points there


def finding(outcome: Outcome, stale: Deviation | None = None) -> Finding:
    golden = "cross_entropy/made/golden[float32-value]"
    return Finding(Record(golden, "mine", outcome, "value"), stale)


@pytest.mark.parametrize("outcome", [*GRADES[1:], *FAILURES])
def test_every_failure_names_a_section(outcome: Outcome) -> None:
    *_, last = describe(finding(outcome), "mine.py")
    topic = last.removeprefix("  what now: lossproof docs ")

    assert str(outcome).split()[0] == topic
    assert topic in section(TEXT, topic).partition("\n")[0].lower()


def test_a_known_deviation_that_is_gone_names_a_section(tmp_path: Path) -> None:
    (tmp_path / "mine.known.toml").write_text('[[deviation]]\ncase = "*"\nexpected = "wrong"\nreason = "it is so"\n')
    (deviation,) = read_known(tmp_path / "mine.known.toml")

    assert "lossproof docs known" == what_now(finding(Outcome.ACCURATE, deviation))
    assert section(TEXT, "known").startswith("## Known, and not going away\n")


# What the page says


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_on_the_page_is_one_with_these_options(line: str) -> None:
    _, name, *words = shlex.split(line)
    command = main.get_command(click.Context(main), name)

    assert command is not None
    if isinstance(command, click.Group):
        command = command.commands[words[0]]
    known = {option for each in command.params for option in each.opts}
    assert set() == {word for word in words if word.startswith("--")} - known


@pytest.mark.parametrize("topic", [line.split()[2] for line in COMMANDS if line.startswith("lossproof docs ")])
def test_a_section_that_the_page_names_is_there(topic: str) -> None:
    assert section(TEXT, topic)


def test_the_options_that_the_page_names_exist() -> None:
    commands = [main.get_command(click.Context(main), name) for name in main.list_commands(click.Context(main))]
    known = {option for command in commands if command for each in command.params for option in each.opts}

    assert set() == set(re.findall(r"`(--[a-z-]+)[` ]", TEXT)) - known


def test_the_cases_on_the_page_exist() -> None:
    globs = set(re.findall(r"[a-z_]+/[a-z-]+/[^\s:'`\"]+", TEXT))

    assert [] == [glob for glob in sorted(globs) if not select(Selection((glob,)))]
    assert globs


def test_the_file_of_known_deviations_on_the_page_is_one(tmp_path: Path) -> None:
    block = re.search(r"^    \[\[deviation\]\]\n(?:    .*\n)+", TEXT, re.MULTILINE)
    assert block is not None
    path = tmp_path / "mine.known.toml"
    path.write_text(block[0].replace("\n    ", "\n").strip())

    (deviation,) = read_known(path)

    assert ((Outcome.LOOSE,), ("float32", "float64")) == (deviation.expected, deviation.dtypes)
