"""Goldens as pytest nodes: a collector for each implementation, an item for each golden."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from lossproof.declaration import Declaration
from lossproof.gate import Finding
from lossproof.outcome import Outcome
from lossproof.pytest_sessions import NotStartedError, Opened, open_implementation, with_options
from lossproof.pytest_tally import OUTCOME, TALLY, TEST
from lossproof.record import Record, Subject
from lossproof.reports.failures import describe, evidence
from lossproof.selection import Selection, select
from lossproof.spec.errors import SpecError
from lossproof.spec.golden import Golden


def declared(parent: pytest.Collector, name: str, declaration: Declaration) -> pytest.Collector:
    """The collector for what a test file declares under a name."""
    folder = parent.path.parent
    stated = with_options(declaration, parent.config, folder)
    if declaration.implementation is None:
        return _Implementations.from_parent(parent, name=name, stated=stated)
    return _Goldens.from_parent(parent, name=name, stated=stated[0])


class _Implementations(pytest.Collector):
    """The implementations that the options name."""

    def __init__(self, *, stated: Sequence[Declaration], **node: Any) -> None:
        super().__init__(**node)
        self._stated = stated

    def collect(self) -> Iterator[pytest.Collector]:
        if not self._stated:
            raise self.CollectError("no implementation is named: pass --lossproof-implementation NAME, once or more")
        for each in self._stated:
            yield _Goldens.from_parent(self, name=each.implementation, stated=each)


class _Goldens(pytest.Collector):
    """The goldens of one implementation. Where there are none, or it does not start, collecting is an error."""

    def __init__(self, *, stated: Declaration, **node: Any) -> None:
        super().__init__(**node)
        self._stated = stated

    def collect(self) -> Iterator[pytest.Item]:
        try:
            opened = open_implementation(self._stated, self.config)
            goldens = _selected(opened.selection, opened.subject.offered)
        except (NotStartedError, SpecError) as why:
            raise self.CollectError(str(why)) from None
        if not goldens:
            raise self.CollectError(_nothing_selected(opened))
        subject = opened.subject
        self.config.stash[TALLY].introduce(self.nodeid, _title(subject), ", ".join(subject.not_offered))
        for golden in goldens:
            yield _GoldenItem.from_parent(self, name=golden.id, golden=golden, opened=opened)


@lru_cache(maxsize=64)
def _selected(selection: Selection, operations: tuple[str, ...]) -> tuple[Golden, ...]:
    """Shared, because a golden file is large and implementations may be many."""
    return tuple(select(selection, operations))


def _nothing_selected(opened: Opened) -> str:
    globs = " or ".join(opened.selection.cases) or "any case"
    dtypes = ", ".join(opened.selection.dtypes)
    offered = ", ".join(opened.subject.offered) or "no operation of the spec"
    return f"no golden is selected: {globs} in {dtypes}, while {opened.subject.name} offers {offered}"


def _title(subject: Subject) -> str:
    package = f"{subject.package} {subject.version}".strip()
    return f"{subject.name} ({', '.join(filter(None, (package, subject.device)))})"


class _GoldenItem(pytest.Item):
    """One golden: it passes, fails as a finding, is skipped as unsupported, or fails as it is known to."""

    def __init__(self, *, golden: Golden, opened: Opened, **node: Any) -> None:
        super().__init__(**node)
        self._golden = golden
        self._opened = opened

    def runtest(self) -> None:
        record, verdict = self._opened.judge(self._golden)
        self._report(record)
        for finding in verdict.findings:
            pytest.fail(self._text(finding), pytrace=False)
        for _, deviation in verdict.known:
            pytest.xfail(f"{deviation.reason} ({deviation.place}: {record.outcome}, {evidence(record)})")
            # With --runxfail, pytest.xfail returns.
            pytest.fail(self._text(Finding(record)), pytrace=False)
        if record.outcome is Outcome.UNSUPPORTED:
            pytest.skip(f"{record.implementation}: {record.reason}")

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"{self._golden.id} of {self._opened.subject.name}"

    def _report(self, record: Record) -> None:
        """What a report of pytest says beside passed or failed, in JUnit's XML too."""
        assert self.parent is not None
        self.user_properties += [
            (TEST, self.parent.nodeid),
            (OUTCOME, str(record.outcome)),
            ("lossproof_kind", record.kind),
            ("lossproof_ulps", record.ulps),
            ("lossproof_bounds", record.bounds),
        ]

    def _text(self, finding: Finding) -> str:
        return "\n".join([*describe(finding, self._opened.subject.typed), f"  why: {self._golden.why}"])
