"""`lossproof env`: the environments that runs have made."""

from __future__ import annotations

import difflib
import json

import click

from lossproof.cli.errors import usage_errors
from lossproof.environments.environment import Kept, cache, listed, remove


class EnvironmentNameError(Exception):
    """A name that no environment has, or none at all; or one that is in use."""


@click.group()
def command() -> None:
    """List and remove the environments that runs such as `lossproof run "optax==0.2.5"` have made."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="JSON lines instead of text.")
def list_command(as_json: bool) -> None:
    """List environments: folder, requirements, Python, size and when they were last used."""
    environments = listed()
    if as_json:
        for kept in environments:
            click.echo(_line(kept))
        return
    click.echo(f"{len(environments)} environment{'' if len(environments) == 1 else 's'} in {cache()}")
    for kept in environments:
        click.echo(f"\n{kept.name}")
        click.echo(f"  {' '.join(kept.requirements) or 'incomplete: being made, or interrupted'}")
        click.echo(f"  {_made(kept)}{_size(kept.size)}, last used {kept.used.astimezone():%Y-%m-%d %H:%M}")


@command.command("remove")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="Every environment.")
def remove_command(names: tuple[str, ...], everything: bool) -> None:
    """Remove environments by their NAMEs; the next run that needs one makes it anew."""
    with usage_errors(EnvironmentNameError, OSError):
        held = []
        for kept in _chosen(names, everything):
            if remove(kept):
                click.echo(f"removed {kept.name} ({_size(kept.size)})")
            else:
                held.append(kept.name)
        if held:
            raise EnvironmentNameError(f"in use by a run, not removed: {', '.join(held)}")


def _chosen(names: tuple[str, ...], everything: bool) -> list[Kept]:
    known = {kept.name: kept for kept in listed()}
    if everything == bool(names):
        raise EnvironmentNameError(
            f"expected NAMEs (see `lossproof env list`) or --all, got {'both' if names else 'none'}"
        )
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise EnvironmentNameError(f"{name!r}: expected an environment in {cache()}, found none of this name{hint}")
    return [*known.values()] if everything else [known[name] for name in dict.fromkeys(names)]


def _made(kept: Kept) -> str:
    return f"Python {kept.python}, made by {kept.installer}, " if kept.installer else ""


def _size(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def _line(kept: Kept) -> str:
    return json.dumps(
        {
            "environment": kept.name,
            "folder": str(kept.folder),
            "requirements": kept.requirements,
            "python": kept.python,
            "installer": kept.installer,
            "size": kept.size,
            "used": kept.used.isoformat(timespec="seconds"),
        }
    )
