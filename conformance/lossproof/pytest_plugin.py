"""The pytest plugin: options, and goldens as tests; nothing heavy is imported before a test file asks for goldens."""

from __future__ import annotations

import argparse

import pytest

from lossproof.declaration import DTYPES, GRADES, Declaration
from lossproof.pytest_tally import TALLY, Tally


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options; each holds where a declaration in a test file says nothing."""
    group = parser.getgroup("lossproof", "conformance of cross-entropy losses")
    group.addoption(
        "--lossproof-implementation",
        action="append",
        default=[],
        metavar="NAME",
        help="what lossproof.suite and lossproof.benchmarks test: a shipped adapter, path/to/file.py, package.module, "
        "or package.module:function; may be repeated",
    )
    group.addoption(
        "--lossproof-cases",
        action="append",
        default=[],
        metavar="GLOB",
        help="only cases whose ids match; may be repeated",
    )
    group.addoption(
        "--lossproof-dtype", action="append", default=[], choices=DTYPES, help="only this dtype; may be repeated"
    )
    group.addoption("--lossproof-device", default="cpu", metavar="DEVICE", help="cpu (default), cuda, cuda:1, …")
    group.addoption(
        "--lossproof-require",
        default="stable",
        choices=GRADES,
        help="the grade below which an answer fails (default: stable)",
    )
    group.addoption("--lossproof-as", metavar="OPERATION", help="the loss that package.module:function is")
    group.addoption("--lossproof-framework", metavar="NAME", help="whose arrays are passed if the adapter does not say")
    group.addoption("--lossproof-dialect", metavar="NAME", help="the dialect to judge by, if the adapter does not say")
    group.addoption("--lossproof-timeout", type=_seconds, metavar="SECONDS", help="time limit for each golden (60)")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"expected a positive number of seconds, got {text}")
    return seconds


def pytest_configure(config: pytest.Config) -> None:
    """Starts the count of what is judged."""
    config.stash[TALLY] = Tally(config)
    config.pluginmanager.register(config.stash[TALLY], "lossproof-tally")


def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> pytest.Collector | None:
    """Goldens in place of a declaration, whatever its name is: none may go unseen."""
    if not isinstance(obj, Declaration):
        return None
    from lossproof.pytest_nodes import declared  # noqa: PLC0415 - NumPy and the judge, only where goldens are asked

    return declared(collector, name, obj)
