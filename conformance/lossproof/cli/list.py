"""`lossproof list`: implementations, operations, dialects and how many goldens there are."""

from __future__ import annotations

import json
import sys
import textwrap

import click

from lossproof.cli.choose import no_case_matches
from lossproof.cli.errors import usage_errors
from lossproof.frameworks import Needs, read_needs
from lossproof.implementations import shipped
from lossproof.selection import Selection, select
from lossproof.spec.errors import SpecError
from lossproof.spec.read import read_spec


@click.command()
@click.option("--json", "as_json", is_flag=True, help="JSON lines instead of text.")
@click.option("--cases", "globs", multiple=True, metavar="GLOB", help="List the cases whose ids match instead.")
def command(as_json: bool, globs: tuple[str, ...]) -> None:
    """List implementations (and what installs them), operations and dialects; or cases."""

    with usage_errors(SpecError):
        lines = _cases(globs, as_json) if globs else _overview(as_json)
    for line in lines:
        click.echo(line)
    if globs and not lines:
        click.echo(f"lossproof: {no_case_matches(globs)}", err=True)
        sys.exit(2)


def _cases(globs: tuple[str, ...], as_json: bool) -> list[str]:

    seen = {golden.case: golden for golden in select(Selection(globs, profile=None))}
    if as_json:
        return [
            json.dumps({"case": name, "kind": golden.kind, "why": golden.why}, ensure_ascii=False)
            for name, golden in seen.items()
        ]
    return [f"{name}\n{_indented(golden.why)}" for name, golden in seen.items()]


def _indented(text: str) -> str:
    return textwrap.fill(text, 80, initial_indent="    ", subsequent_indent="    ")


def _overview(as_json: bool) -> list[str]:

    needs = {name: read_needs(path) for name, path in shipped().items()}
    spec = read_spec()
    counts = {name: len(select(Selection(), [name])) for name in spec.operations}
    if as_json:
        return [
            *(
                json.dumps(
                    {
                        "implementation": name,
                        "package": need.package,
                        "version": need.version,
                        "installed": need.installed,
                        "install": need.install_line,
                        "summary": need.summary,
                    }
                )
                for name, need in needs.items()
            ),
            *(
                json.dumps({"operation": name, "goldens": counts[name], "home_dialect": operation.home_dialect})
                for name, operation in spec.operations.items()
            ),
            *(json.dumps({"dialect": name, "summary": dialect.summary}) for name, dialect in spec.dialects.items()),
        ]
    width = max(map(len, (*needs, *spec.operations)))
    narrow = max(map(len, spec.dialects))
    return [
        "Implementations",
        *(_entry(f"  {name:{width}}  ", _state(need)) for name, need in needs.items()),
        "",
        "Operations",
        *(
            f"  {name:{width}}  {counts[name]:>5} goldens, dialect {operation.home_dialect}"
            for name, operation in spec.operations.items()
        ),
        "",
        "Dialects",
        *(_entry(f"  {name:{narrow}}  ", dialect.summary) for name, dialect in spec.dialects.items()),
    ]


def _entry(head: str, text: str) -> str:
    return textwrap.fill(
        text,
        80,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _state(need: object) -> str:

    assert isinstance(need, Needs)
    return f"ready, {need.package} {need.version}" if need.installed else f"not installed: {need.install_line}"
