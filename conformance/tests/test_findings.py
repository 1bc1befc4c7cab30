"""Every reproduction in reports/FINDINGS.md prints what stands below it, in the version that it is stated for."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "reports" / "FINDINGS.md"
# "keras 3.15.1, on TensorFlow 2.21.0, adapter …"
STATED = re.compile(r"(?:^|, on )([\w-]+) (\d[\d.]*)")
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Finding:
    """A heading of the page, the versions that the one above it states, its code and what that prints."""

    versions: Mapping[str, str]
    title: str
    code: str
    printed: str


def findings(page: str) -> Iterator[Finding]:
    """The findings that are written in Python and print `text`; `output` differs from run to run."""
    for section in page.split("\n## ")[1:]:
        versions = dict(STATED.findall(section.partition("\n")[0].lower()))
        for each in section.split("\n### ")[1:]:
            blocks = re.findall(r"```(\w+)\n(.*?)```", each, re.DOTALL)
            codes = [text for language, text in blocks if language == "python"]
            texts = [text for language, text in blocks if language == "text"]
            for code, printed in zip(codes, texts, strict=False):
                yield Finding(versions, each.partition("\n")[0], code, printed)


def same(printed: str, expected: str) -> bool:
    """Whether two texts differ at most in the last digits of their numbers, which depend on the machine."""
    numbers = [[float(number) for number in NUMBER.findall(text)] for text in (printed, expected)]
    words = [NUMBER.sub("#", " ".join(text.split())) for text in (printed, expected)]
    close = len(numbers[0]) == len(numbers[1]) and all(
        math.isclose(left, right, rel_tol=1e-3, abs_tol=1e-12) for left, right in zip(*numbers, strict=True)
    )
    return words[0] == words[1] and close


FINDINGS = list(findings(PAGE.read_text(encoding="utf-8")))


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: f"{' '.join(finding.versions)}: {finding.title}")
def test_a_finding_is_reproduced_by_its_framework_alone(finding: Finding, tmp_path: Path) -> None:
    for package, version in finding.versions.items():
        try:
            installed = metadata.version(package).partition("+")[0]
        except metadata.PackageNotFoundError:
            pytest.skip(f"{package} is not installed")
        if installed != version:
            pytest.skip(f"{package} {version} is not installed, {installed} is")

    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", finding.code],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )

    # Some show an exception, by its last lines.
    raised = finished.stderr.strip().splitlines() if finished.returncode else []
    tails = [raised[len(raised) - count :] for count in range(min(8, len(raised)) + 1)]
    shown = any(same("\n".join([finished.stdout, *tail]), finding.printed) for tail in tails)
    assert shown, f"{finished.stdout}\n{finished.stderr[-2000:]}"
    assert "lossproof" not in finding.code


def test_the_page_has_findings_of_versions() -> None:
    assert len({package for finding in FINDINGS for package in finding.versions}) > 10
    assert [] == [finding.title for finding in FINDINGS if not finding.versions]


def test_another_text_or_number_is_noticed() -> None:
    assert same("inf 1.3134766 [ 2. ]", "inf 1.3134767 [ 2.  ]")
    assert not same("inf 1.3134766", "nan 1.3134766")
    assert not same("1.31", "1.32")
    assert not same("[1. 2.]", "[1.]")
