"""`lossproof docs`: what to do about a failure, and how to write a port."""

from __future__ import annotations

import click
from rich.markdown import Markdown

from lossproof.cli.console import stdout
from lossproof.cli.errors import usage_errors
from lossproof.paths import DOCS

PAGE = DOCS / "loose-or-wrong.md"
PORT_PAGE = DOCS / "write-a-port.md"


class NoSuchTopicError(Exception):
    """The page has no such section; the text names those that it has."""


@click.command()
@click.argument("topic", required=False)
def command(topic: str | None) -> None:
    """Print what to do about a failure: all of it, or one TOPIC (loose, wrong, raised, crashed, timed, …).

    The topic port is how to write an implementation in another language.
    """
    with usage_errors(NoSuchTopicError, OSError):
        if topic == "port":
            stdout().print(Markdown(PORT_PAGE.read_text(encoding="utf-8")))
            return
        text = PAGE.read_text(encoding="utf-8")
        stdout().print(Markdown(section(text, topic) if topic else text))


def section(page: str, topic: str) -> str:
    """The section whose heading has the word; raises NoSuchTopicError."""
    _, *sections = page.split("\n## ")
    for each in sections:
        heading = each.partition("\n")[0]
        if topic.lower() in heading.lower().replace(",", "").split():
            return f"## {each}"
    known = ", ".join(each.partition("\n")[0].split()[0].strip(",").lower() for each in sections)
    raise NoSuchTopicError(f"no section on {topic}; there are {known}")
