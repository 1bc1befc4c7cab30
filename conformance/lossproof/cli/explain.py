"""`lossproof explain`: one case in full, and what an implementation answers to it."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from lossproof.cli.choose import NothingChosenError, choose_goldens
from lossproof.cli.errors import usage_errors
from lossproof.cli.run import complete_implementation
from lossproof.environments.requirements import find_implementations
from lossproof.frameworks import read_needs
from lossproof.gate import NEVER_GATE, Exit
from lossproof.implementations import Implementation, UnknownImplementationError
from lossproof.known import KnownDeviationError
from lossproof.outcome import Outcome
from lossproof.processes.script import run_script
from lossproof.record import Subject
from lossproof.reports.elements import elements
from lossproof.reports.inputs import stated_inputs, wrapped
from lossproof.reports.issue import Reproduced, failing, page, why_no_script
from lossproof.reports.reproduce import reproduction
from lossproof.reports.standing_alone import standing_alone
from lossproof.selection import Selection
from lossproof.session import Asked, Session
from lossproof.spec.dialects import Dialect
from lossproof.spec.errors import SpecError
from lossproof.spec.golden import Golden
from lossproof.spec.read import Spec, read_spec

_ELEMENTS = 8


@click.command()
@click.argument("case")
@click.argument("name", required=False, metavar="[IMPLEMENTATION]", shell_complete=complete_implementation)
@click.option("--device", default="cpu", show_default=True, help="Where the implementation runs.")
@click.option("--as", "operation", metavar="OPERATION", help="The loss that package.module:function is.")
@click.option("--framework", help="Whose arrays are passed, where the adapter does not say.")
@click.option("--dialect", help="The dialect to judge by, where the adapter does not say.")
@click.option(
    "--python",
    type=click.Path(exists=True, dir_okay=False),
    help="The Python that runs the adapter, or that an environment is made of.",
)
@click.option("--exec", "program", metavar="COMMAND", help="A program that speaks the protocol, as the IMPLEMENTATION.")
@click.option("--report", "as_report", is_flag=True, help="Print a bug report as Markdown instead, ready to be filed.")
def command(
    case: str,
    name: str | None,
    device: str,
    operation: str | None,
    framework: str | None,
    dialect: str | None,
    python: str | None,
    program: str | None,
    as_report: bool,
) -> None:
    """Explain CASE: its formula, its inputs, what must come out, and what IMPLEMENTATION gives.

    CASE is an id with or without dtype and question: cross_entropy/ignore-index/all-ignored or
    'cross_entropy/ignore-index/all-ignored[float32-gradient]'. With an implementation a script of a few lines follows
    that reproduces the answer with the framework alone.

    With --report: what is wrong, what was expected, that script, and what it prints when it is run now. CASE may stand
    for several goldens; the report is on the plainest of those that fail, and names the others.
    """
    with usage_errors(SpecError, UnknownImplementationError, NothingChosenError, KnownDeviationError, OSError):
        spec = read_spec()
        goldens = choose_goldens(Selection((case,), profile=None))
        if not as_report:
            _echo(_explain_case(goldens, spec))
        if name is None and program is None:
            if as_report:
                raise UnknownImplementationError("--report: expected an IMPLEMENTATION, got none")
            _echo(line for golden in goldens for line in _answers(golden))
            return
        implementation = _one(
            find_implementations(
                *([name] if name else []),
                programs=[program] if program else [],
                operations=spec.operations,
                operation=operation,
                framework=framework,
                dialect=dialect,
                device=device,
                python=python or "",
            )
        )
        with Session(implementation, spec) as session:
            subject = session.start()
            if subject.failed:
                click.echo(f"lossproof: {subject.name} was not started: {subject.failed}", err=True)
                sys.exit(Exit.NOT_STARTED)
            if goldens[0].operation not in subject.offered:
                click.echo(f"lossproof: {subject.name} does not offer {goldens[0].operation}", err=True)
                sys.exit(Exit.NOTHING_JUDGED)
            if as_report:
                click.echo(_report(session, goldens, spec, subject), nl=False)
                return
            for asked in session.ask(goldens):
                _echo(_explain_answer(asked, session.dialects))
                if asked.judgement.outcome is not Outcome.UNSUPPORTED:
                    _echo(_script(asked.golden, spec, implementation))


def _report(session: Session, goldens: Sequence[Golden], spec: Spec, subject: Subject) -> str:
    """The report on what fails; raises NothingChosenError where nothing does, or more than one case."""
    asked = list(session.ask(goldens))
    if all(each.judgement.outcome is Outcome.UNSUPPORTED for each in asked):
        click.echo(f"lossproof: {subject.name} does not support {asked[0].golden.id}", err=True)
        sys.exit(Exit.NOTHING_JUDGED)
    failed = failing(asked)
    if not failed:
        outcomes = "; ".join(f"{each.golden.id}: {each.judgement.outcome}" for each in asked)
        raise NothingChosenError(f"--report: expected a golden that fails, got {outcomes}")
    cases = list(dict.fromkeys(each.golden.case for each in failed))
    if len(cases) > 1:
        raise NothingChosenError(f"--report: expected one case that fails, got {', '.join(cases)}")
    first, *others = failed
    reproduced = _reproduced(first.golden, spec, session.implementation)
    return page(first, others, subject, spec.operations[first.golden.operation], session.dialects, reproduced)


def _reproduced(golden: Golden, spec: Spec, implementation: Implementation) -> Reproduced:
    """The script, and what it does now in the implementation's interpreter."""
    if implementation.adapter is None:
        return Reproduced(why_not="the implementation is a program of its own")
    script = _reproduction(golden, spec, implementation)
    if script is None:
        return Reproduced(why_not=why_no_script(golden) or "the adapter's source cannot be cut to this one call")
    options = ["-I"] if implementation.environment else []
    ended = run_script([implementation.python or sys.executable, *options], script, implementation.device)
    return Reproduced(script, ended)


def _one(implementations: Sequence[Implementation]) -> Implementation:
    if len(implementations) != 1:
        names = ", ".join(implementation.typed for implementation in implementations)
        raise UnknownImplementationError(f"expected one implementation, got {names}")
    return implementations[0]


def _echo(lines: Iterator[str]) -> None:
    for line in lines:
        click.echo(line)


def _explain_case(goldens: Sequence[Golden], spec: Spec) -> Iterator[str]:

    golden = goldens[0]
    operation = spec.operations[golden.operation]
    yield golden.case
    yield from textwrap.wrap(golden.why, 78, initial_indent="  ", subsequent_indent="  ")
    for flag in golden.flags:
        yield from textwrap.wrap(f"catches: {flag['bug']}", 78, initial_indent="  ", subsequent_indent="    ")
        if "link" in flag:
            yield f"    {flag['link']}"
    if golden.source:
        yield f"  from: {golden.source['title']} {golden.source.get('link', '')}".rstrip()
    yield ""
    yield from _paragraph("Formula", operation.formula)
    for question, text in operation.reference_algorithm.items():
        if any(golden.question == question for golden in goldens):
            yield from _paragraph(f"Reference algorithm of the {question}", text)


def _paragraph(title: str, text: str) -> Iterator[str]:

    yield title
    for line in text.strip().splitlines():
        yield from textwrap.wrap(line, 78, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)


def _answers(golden: Golden) -> Iterator[str]:
    yield from stated_inputs(golden)
    for part in golden.parts:
        for answer in part.answers:
            rules = ", ".join(f"{name}: {value}" for name, value in answer["rules"].items())
            where = f" where {rules}" if rules else ""
            if "raises" in answer:
                yield from wrapped(f"must refuse{where}: {answer['raises']}")
            elif "undefined" in answer:
                yield from wrapped(f"left open{where}: {answer['undefined']}")
            else:
                values = ", ".join(answer["values"][:_ELEMENTS]) + (", …" if len(answer["values"]) > _ELEMENTS else "")
                yield from wrapped(f"expected{where}: {values}")


def _explain_answer(asked: Asked, dialects: Mapping[str, Dialect]) -> Iterator[str]:

    golden, judgement = asked.golden, asked.judgement
    yield from stated_inputs(golden)
    yield f"  outcome: {judgement.outcome}" + (f" ({asked.kind}: never gates)" if asked.kind in NEVER_GATE else "")
    if judgement.reason:
        yield f"  {judgement.reason}"
    if judgement.fingerprint:
        yield f"  {judgement.fingerprint}"
    yield from (f"  {line}" for line in elements(asked, dialects, _ELEMENTS))


def _script(golden: Golden, spec: Spec, implementation: Implementation) -> Iterator[str]:
    script = _reproduction(golden, spec, implementation)
    if script:
        yield ""
        yield "With the framework alone:"
        yield ""
        yield from (f"    {line}".rstrip() for line in script.splitlines())


def _reproduction(golden: Golden, spec: Spec, implementation: Implementation) -> str | None:
    path = Path((implementation.adapter or {}).get("path", ""))
    source = standing_alone(path) if path.is_file() else None
    if source is None:
        return None
    framework = read_needs(path, implementation.framework).framework
    return reproduction(golden, spec.operations[golden.operation], source, framework, implementation.device)
