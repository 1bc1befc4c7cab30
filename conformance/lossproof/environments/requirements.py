"""Requirements on a command line: which adapters they choose, and the environment that these run in."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from lossproof.environments.environment import Environment, describe
from lossproof.environments.installers import HOST_VERSION, version_of
from lossproof.frameworks import BROUGHT_BY, Needs, read_needs
from lossproof.implementations import (
    Implementation,
    UnknownImplementationError,
    find_implementation,
    find_program,
    shipped,
)
from lossproof.paths import BRIDGES

_OF_BRIDGES = ("numpy", "ml-dtypes")
_OLDEST_PYTHON = 9  # of Python 3, that the worker runs on

_ADAPTER = re.compile(r"(?P<adapter>.+?\.py|[^@=<>~!\[,;\s]+)@(?!\s*[A-Za-z][\w+.-]*:)(?P<rest>.+)")
# A comma ends a requirement where a name follows, not between extras or versions.
_BETWEEN = re.compile(r",(?=\s*[A-Za-z0-9])(?![^\[]*\])")


@dataclass(frozen=True)
class Asked:
    """ADAPTER@REQUIREMENTS as it was typed, or the requirements alone; `python` is the version that was stated."""

    typed: str
    adapter: str
    requirements: tuple[Requirement, ...]
    python: str

    @property
    def names(self) -> frozenset[str]:
        """The distributions that are named."""
        return frozenset(requirement.name for requirement in self.requirements)

    @property
    def pieces(self) -> tuple[str, ...]:
        """The requirements, normalised, in the order in which they were typed."""
        stated = (f"python=={self.python}",) if self.python else ()
        return (*stated, *map(str, self.requirements))


def find_implementations(
    *texts: str,
    programs: Iterable[str] = (),
    operations: Iterable[str] = (),
    operation: str | None = None,
    framework: str | None = None,
    dialect: str | None = None,
    device: str = "cpu",
    python: str = "",
) -> list[Implementation]:
    """What the texts stand for: what find_implementation finds, run by the interpreter `python` or by this one.

    Requirements ("jax==0.6.2,optax==0.2.4") choose the shipped adapters for these packages, "ADAPTER@REQUIREMENTS" one
    adapter, in an environment of them that is made of `python`. After them come the `programs`, commands that --exec
    takes. Raises UnknownImplementationError.
    """

    def find(adapter: str) -> Implementation:
        return find_implementation(
            adapter, operations=operations, operation=operation, framework=framework, dialect=dialect, device=device
        )

    def found(text: str) -> Iterator[Implementation]:
        if not names_requirements(text):
            yield replace(find(text), python=python)
            return
        asked = read_requirements(text)
        for adapter in [asked.adapter] if asked.adapter else choose_adapters(asked):
            yield _placed(find(adapter), asked, python)

    return [
        *(implementation for text in texts for implementation in found(text)),
        *(find_program(program, framework=framework, dialect=dialect, device=device) for program in programs),
    ]


def names_requirements(text: str) -> bool:
    """Whether a name on a command line holds requirements: a version, an extra, several names or an @ shows it."""
    return not text.endswith(".py") and not Path(text).is_file() and re.search(r"[=<>~!@\[,;]", text) is not None


def read_requirements(text: str) -> Asked:
    """ADAPTER@REQUIREMENTS, or requirements alone: as PEP 508 writes them, or python==3.9 for the interpreter.

    Raises UnknownImplementationError.
    """
    split = _ADAPTER.fullmatch(text)
    adapter, rest = (split["adapter"], split["rest"]) if split else ("", text)
    read = [_read(piece.strip(), text) for piece in _BETWEEN.split(rest)]
    versions = [_python(requirement, text) for requirement in read if requirement.name == "python"]
    if len(versions) > 1:
        raise UnknownImplementationError(f"{text!r}: expected one python==…, got {len(versions)}")
    kept = tuple(requirement for requirement in read if requirement.name != "python")
    return Asked(text, adapter, kept, "".join(versions))


def choose_adapters(asked: Asked) -> list[str]:
    """The shipped adapters for the packages that are named.

    A package that another one runs on chooses none of its own ("jax==0.6.2,optax==0.2.4": optax alone), and where a
    framework is named, adapters of the same package on others are left out. Raises UnknownImplementationError.
    """
    every = {name: read_needs(path) for name, path in shipped().items() if path.suffix == ".py"}
    named = {name: needs for name, needs in every.items() if _package(needs) in asked.names}
    carried = {name for needs in named.values() for name in _names(_run_on(needs)) - {_package(needs)}}
    chosen = {name: needs for name, needs in named.items() if _package(needs) not in carried}
    on_named = {_package(needs) for needs in chosen.values() if _names(_of_framework(needs)) & asked.names}
    adapters = [
        name
        for name, needs in chosen.items()
        if _package(needs) not in on_named or _names(_of_framework(needs)) & asked.names
    ]
    if not adapters:
        packages = sorted({_package(needs) for needs in every.values()})
        raise UnknownImplementationError(
            f"{asked.typed!r}: expected a package that an adapter is written for ({', '.join(packages)}), "
            f"got {', '.join(sorted(asked.names)) or 'none'}{_near(asked.names, packages)}; "
            f"any other adapter is named before an @: my_loss.py@{asked.typed}"
        )
    return adapters


def _placed(implementation: Implementation, asked: Asked, python: str) -> Implementation:
    if implementation.adapter is None:
        raise UnknownImplementationError(
            f"{asked.typed!r}: expected an adapter in Python before the @, got {implementation.name}, a program"
        )
    environment = _environment(implementation, asked, python)
    return replace(
        implementation,
        name=f"{implementation.name} ({', '.join(asked.pieces)})",
        typed=shlex.quote(f"{implementation.typed}@{','.join(asked.pieces)}"),
        python=str(environment.interpreter),
        environment=environment,
    )


def _environment(implementation: Implementation, asked: Asked, python: str) -> Environment:
    if python and asked.python:
        raise UnknownImplementationError(
            f"{asked.typed!r}: expected --python {python} or python=={asked.python}, got both"
        )
    version = asked.python or HOST_VERSION
    if python:
        python = str(Path(python).absolute())
        version = version_of(python)
        if not version:
            raise UnknownImplementationError(f"--python: expected an interpreter of Python, got {python}")
    stated = {requirement.name: requirement for requirement in asked.requirements}
    added = [each for each in _added(implementation) if _lacks(stated.get(each.name), each)]
    label = "-".join(stated) or canonicalize_name(implementation.name)
    return describe(label[:60], [*map(str, asked.requirements), *map(str, added)], version, python)


def _added(implementation: Implementation) -> Iterator[Requirement]:
    """What the adapter and its bridge import, as requirements of any version.

    The package of a file that is not shipped is left to its user: nobody knows who owns its name on an index.
    """
    path = Path((implementation.adapter or {}).get("path", ""))
    needs = _needs_of(path) if path.is_file() else None
    framework = implementation.framework or (needs.framework if needs else "")
    if needs and path in shipped().values():
        yield _normal(Requirement(needs.package))
    if needs and needs.requires:
        yield from (_read(piece.strip(), f"{path.name} requires") for piece in _BETWEEN.split(needs.requires))
    if (BRIDGES / f"{framework}_bridge.py").is_file():
        yield from map(_normal, map(Requirement, BROUGHT_BY.get(framework, (framework,))))
    yield from map(_normal, map(Requirement, _OF_BRIDGES))


def _needs_of(path: Path) -> Needs:
    try:
        return read_needs(path)
    except SyntaxError as why:
        raise UnknownImplementationError(f"{path}:{why.lineno}: expected Python, got {why.msg}") from why


def _lacks(stated: Requirement | None, needed: Requirement) -> bool:
    return stated is None or not needed.extras <= stated.extras


def _package(needs: Needs) -> str:
    return canonicalize_name(needs.package)


def _of_framework(needs: Needs) -> tuple[str, ...]:
    """What brings the adapter's framework, where that is more than NumPy, which all of them need."""
    return () if needs.framework == "numpy" else BROUGHT_BY.get(needs.framework, (needs.framework,))


def _run_on(needs: Needs) -> tuple[str, ...]:
    return (*_of_framework(needs), *_OF_BRIDGES)


def _names(requirements: Iterable[str]) -> frozenset[str]:
    return frozenset(canonicalize_name(Requirement(requirement).name) for requirement in requirements)


def _read(piece: str, text: str) -> Requirement:
    try:
        return _normal(Requirement(piece))
    except InvalidRequirement as why:
        doubled = re.sub(r"(?<![=<>!~])=(?!=)", "==", piece)
        near = f"; did you mean {doubled}?" if doubled != piece else ""
        raise UnknownImplementationError(
            f"{text!r}: expected requirements such as optax==0.2.5 or jax==0.6.2,optax==0.2.4, got {piece!r} "
            f"({str(why).splitlines()[0]}){near}"
        ) from why


def _normal(requirement: Requirement) -> Requirement:
    requirement.name = canonicalize_name(requirement.name)
    return requirement


def _python(requirement: Requirement, text: str) -> str:
    version = str(requirement.specifier).removeprefix("==")
    minor = re.fullmatch(r"3\.(\d+)", version)
    if not minor or int(minor[1]) < _OLDEST_PYTHON:
        raise UnknownImplementationError(
            f"{text!r}: expected python==3.{_OLDEST_PYTHON} or a later minor version, got {requirement}"
        )
    return version


def _near(names: Iterable[str], packages: Iterable[str]) -> str:
    known = list(packages)
    matches = [match for name in sorted(names) for match in difflib.get_close_matches(name, known, n=2, cutoff=0.6)]
    return f"; did you mean {' or '.join(matches)}?" if matches else ""
