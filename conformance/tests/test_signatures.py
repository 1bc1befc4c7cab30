"""Adapters offer every parameter of the library functions that they speak for, and none that these lack."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata, util
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from spoken_for import ADAPTERS, OF_OUR_OWN, Library, Spoken

from lossproof.frameworks import Needs, read_needs
from lossproof.implementations import shipped
from lossproof.program import FILE_NAME
from lossproof.spec.operations import read_operations

READ_SIGNATURES = Path(__file__).with_name("read_signatures.py")
PYTHON_ADAPTERS = {name: path for name, path in shipped().items() if path.name != FILE_NAME}

MEAN = """
def cross_entropy(data, *, weights=None):
    ...
"""
LACKS_A_PARAMETER = MEAN.replace(", *, weights=None", "")
HAS_ANOTHER_PARAMETER = MEAN.replace("weights=None", "weights=None, reduction='mean'")
RENAMES_A_PARAMETER = MEAN.replace("weights", "weight")
LIBRARY: Library = {"cross_entropy": Spoken(("statistics:fmean",))}

Parameters = Mapping[str, bool]


def differences(path: Path, library: Library) -> list[str]:
    """What an adapter offers otherwise than the library does, but for what the table says; one line each."""
    signatures = read_signatures(path, library)
    offered = {name for name in read_operations() if signatures[name] is not None}
    lines = [f"{name}: no word on what it speaks for" for name in sorted(offered - set(library))]
    lines += [f"{name}: not offered" for name in sorted(set(library) - offered)]
    for name in sorted(offered & set(library)):
        own = signatures[name] or {}
        theirs = [signatures[function] or {} for function in library[name].functions]
        lines += [f"{name}: {line}" for line in compare(own, theirs, library[name])]
    return lines


def compare(own: Parameters, theirs: list[Parameters], spoken: Spoken) -> list[str]:
    """The parameters that the adapter's function lacks, and those that it has beyond the library's."""
    known = {name: optional for function in theirs for name, optional in function.items()}
    offered_as = {spoken.renamed.get(name, name) for name in known} | set(spoken.added)
    lacking = [
        name
        for name, optional in known.items()
        if optional and name not in spoken.left_out and spoken.renamed.get(name, name) not in own
    ]
    beyond = [name for name, optional in own.items() if optional and name not in offered_as]
    offered = [name for name in spoken.left_out if name in own and name not in spoken.renamed.values()]
    return (
        [f"lacks {name}" for name in lacking]
        + [f"adds {name}" for name in beyond]
        + [f"offers {name}, which is said to be left out" for name in offered]
    )


def is_there(needs: Needs) -> bool:
    """Whether the framework, the package and what else the adapter imports are installed."""
    installed = {canonicalize_name(each.name) for each in metadata.distributions()}
    required = [Requirement(each).name for each in (needs.package, *needs.requires.split(",")) if each.strip()]
    return util.find_spec(needs.framework) is not None and {canonicalize_name(name) for name in required} <= installed


def read_signatures(path: Path, library: Library) -> dict[str, Parameters | None]:
    """The parameters of every operation that the adapter may offer, and of the library's functions."""
    functions = [*read_operations(), *{name for spoken in library.values() for name in spoken.functions}]
    finished = subprocess.run(
        [sys.executable, READ_SIGNATURES, path, *functions],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    read: dict[str, Parameters | None] = json.loads(finished.stdout.splitlines()[-1])
    return read


@pytest.mark.parametrize("name", sorted(set(PYTHON_ADAPTERS) & set(ADAPTERS)))
def test_an_adapter_offers_what_its_library_does(name: str) -> None:
    needs = read_needs(PYTHON_ADAPTERS[name])
    if not is_there(needs):
        pytest.skip(f"{needs.package} is not installed: {needs.install_line}")

    assert [] == differences(PYTHON_ADAPTERS[name], ADAPTERS[name])


def test_every_adapter_has_its_library_in_the_table() -> None:
    assert sorted(PYTHON_ADAPTERS) == sorted([*ADAPTERS, *OF_OUR_OWN])


@pytest.mark.parametrize(
    ("adapter", "expected"),
    [
        (MEAN, []),
        (LACKS_A_PARAMETER, ["cross_entropy: lacks weights"]),
        (HAS_ANOTHER_PARAMETER, ["cross_entropy: adds reduction"]),
        (RENAMES_A_PARAMETER, ["cross_entropy: lacks weights", "cross_entropy: adds weight"]),
        ("", ["cross_entropy: not offered"]),
        (MEAN + MEAN.replace("cross_entropy", "nll_loss"), ["nll_loss: no word on what it speaks for"]),
    ],
)
def test_what_differs_is_found(tmp_path: Path, adapter: str, expected: list[str]) -> None:
    path = tmp_path / "adapter.py"
    path.write_text(adapter)

    assert expected == differences(path, LIBRARY)


@pytest.mark.parametrize(
    ("spoken", "expected"),
    [
        (Spoken(("statistics:fmean",), renamed={"weights": "weight"}), []),
        (Spoken(("statistics:fmean",), left_out={"weights": "why"}, added={"weight": "why"}), []),
        (
            Spoken(("statistics:fmean",), renamed={"weights": "weight"}, left_out={"data": "why"}),
            ["cross_entropy: offers data, which is said to be left out"],
        ),
    ],
)
def test_what_the_table_says_is_taken_into_account(tmp_path: Path, spoken: Spoken, expected: list[str]) -> None:
    path = tmp_path / "adapter.py"
    path.write_text(RENAMES_A_PARAMETER)

    assert expected == differences(path, {"cross_entropy": spoken})
