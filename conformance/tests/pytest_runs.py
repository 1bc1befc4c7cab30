"""Runs of pytest in a process of its own, and what their JUnit files say."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parent.parent
FAKES = Path(__file__).parent / "fakes"


@dataclass(frozen=True)
class PytestRun:
    """Exit code, what was printed, and each test by name: passed, failure, error, skipped or xfailed, with its text."""

    code: int
    output: str
    results: Mapping[str, str]
    texts: Mapping[str, str]

    @property
    def counts(self) -> Counter[str]:
        """How many tests there are of each result."""
        return Counter(self.results.values())


def run_pytest(folder: Path, *arguments: str) -> PytestRun:
    """Runs pytest in a folder, with the plugin whether or not lossproof is installed, warnings being errors."""
    installed = any(entry.value == "lossproof.pytest_plugin" for entry in metadata.entry_points(group="pytest11"))
    plugin = () if installed else ("-p", "lossproof.pytest_plugin")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    if not installed:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    finished = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-Werror",
            "-p",
            "no:cacheprovider",
            *plugin,
            "--junitxml=junit.xml",
            *arguments,
        ],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    results: dict[str, str] = {}
    texts: dict[str, str] = {}
    junit = folder / "junit.xml"
    for case in ElementTree.parse(junit).iter("testcase") if junit.is_file() else ():
        outcomes = [child for child in case if child.tag in ("failure", "error", "skipped")]
        name = case.get("name") or case.get("classname") or ""
        xfailed = any(child.get("type") == "pytest.xfail" for child in outcomes)
        results[name] = "xfailed" if xfailed else outcomes[0].tag if outcomes else "passed"
        texts[name] = "\n".join(f"{child.get('message')}\n{child.text}" for child in outcomes)
    return PytestRun(finished.returncode, finished.stdout, results, texts)
