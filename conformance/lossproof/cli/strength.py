"""`lossproof strength`: the spec against wrong losses, and which goldens catch which."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from lossproof.cli.choose import NothingChosenError
from lossproof.cli.console import progress
from lossproof.cli.errors import usage_errors
from lossproof.gate import Exit
from lossproof.paths import SPEC
from lossproof.selection import Selection, select
from lossproof.spec.errors import SpecError
from lossproof.spec.golden import Golden
from lossproof.strength.cover import cost, minimal_set
from lossproof.strength.hunt import Hunted, Right, hunt
from lossproof.strength.matrix import Matrix, matrix
from lossproof.strength.mutants import Mutant, read_mutants
from lossproof.strength.show import lines, profile, text

MUTANTS = Path("conformance/tests/mutants")


@click.command()
@click.option(
    "--mutants",
    "folder",
    type=click.Path(path_type=Path),
    default=MUTANTS,
    show_default=True,
    help="The folder of the mutants.",
)
@click.option("--operation", "operations", multiple=True, help="Only this operation; may be repeated.")
@click.option("--mutant", "names", multiple=True, help="Only mutants whose id holds this text; may be repeated.")
@click.option(
    "--profile",
    "profile_name",
    type=click.Choice(("default", "quick")),
    default="default",
    show_default=True,
    help="The goldens that are asked.",
)
@click.option("--write", is_flag=True, help="Write the minimal set to spec/profiles/quick.yaml.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines instead of text: all of the matrix.")
def command(
    folder: Path,
    operations: tuple[str, ...],
    names: tuple[str, ...],
    profile_name: str,
    write: bool,
    as_json: bool,
) -> None:
    """Judge the spec: run it against wrong losses, and show what catches which.

    A mutant is a right loss with one change. A golden catches it where its answer is a finding below `stable`. A case
    that catches no mutant is justified where it can gate none of them (hazards, properties that are not promised,
    transforms that their frameworks lack), guards against a reported bug (flags), holds published digits (source) or
    covers pairs of values (topic covering); the others are listed.

    Exit codes: 0 all are caught, 1 a mutant survives or a proof of equivalence does not hold, 2 usage or a file that
    cannot be read or written, 130 interrupted.
    """
    with usage_errors(SpecError, NothingChosenError, OSError):
        if write and (operations or names or profile_name == "quick"):
            raise NothingChosenError("--write needs all goldens and all mutants")
        goldens = _goldens(operations, profile_name)
        mutants = _mutants(folder, names)
        try:
            found = matrix(_with_progress(mutants, goldens, touched=bool(operations)), goldens)
            minimal = None if profile_name == "quick" else _minimal(found, goldens)
        except KeyboardInterrupt:
            sys.exit(Exit.INTERRUPTED)
        if write and minimal:
            path = SPEC / "profiles" / "quick.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(profile(minimal), encoding="utf-8")
    for line in lines(found, minimal) if as_json else text(found, minimal):
        click.echo(line)
    sys.exit(Exit.FINDINGS if found.survivors or found.refuted else Exit.CLEAN)


def _goldens(operations: Sequence[str], profile_name: str) -> list[Golden]:
    selection = Selection(profile="quick" if profile_name == "quick" else "default")
    goldens = select(selection, operations or None)
    if not goldens:
        raise NothingChosenError(f"no golden of {' or '.join(operations) or 'the profile'}")
    return goldens


def _mutants(folder: Path, names: Sequence[str]) -> list[Mutant]:
    if not folder.is_dir():
        raise NothingChosenError(f"{folder}: no such folder; mutants lie in {MUTANTS} of a checkout")
    mutants = [mutant for mutant in read_mutants(folder) if not names or any(name in mutant.id for name in names)]
    if not mutants:
        raise NothingChosenError(f"no mutant has {' or '.join(names)} in its id")
    return mutants


def _with_progress(
    mutants: Sequence[Mutant], goldens: Sequence[Golden], *, touched: bool = False
) -> Iterator[Right | Hunted]:
    """The hunt; where only some operations are asked, without the mutants that those do not touch."""
    with progress() as bar:
        task = bar.add_task("mutants", total=len(mutants))
        for found in hunt(mutants, goldens):
            if isinstance(found, Hunted):
                bar.advance(task)
            if isinstance(found, Right) or found.asked or not touched:
                yield found


def _minimal(found: Matrix, goldens: Sequence[Golden]) -> list[str]:
    """The minimal set, of what holds where its goldens alone are asked.

    A mutant that keeps something from call to call may be caught by a golden only after others that are not in the set:
    what it then survives is no claim any more, and the set is made anew.
    """
    costs = {golden.id: cost(golden) for golden in goldens}
    claims = found.claims
    while True:
        minimal = minimal_set(claims, costs)
        chosen = [golden for golden in goldens if golden.id in set(minimal)]
        again = list(_with_progress([found.hunted[name].mutant for name, by in claims.items() if by], chosen))
        escaped = [each.mutant.id for each in again if isinstance(each, Hunted) and not each.caught]
        if not escaped:
            return minimal
        for name in escaped:
            claims[name] -= set(minimal)
