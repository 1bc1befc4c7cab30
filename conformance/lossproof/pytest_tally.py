"""How many goldens of each test were judged, over all processes of a pytest run: none is a failure, as in a command."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

TEST = "lossproof_test"
OUTCOME = "lossproof_outcome"
NOT_JUDGED = ("unsupported", "unjudged")


class Tally:
    """Outcomes by test (the node id of what collected the goldens), counted where the results are shown."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._outcomes: dict[str, Counter[str]] = {}
        self._subjects: dict[str, tuple[str, str]] = {}

    def introduce(self, test: str, subject: str, not_offered: str) -> None:
        """What is under test, for the summary."""
        self._subjects[test] = (subject, not_offered)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Counts a golden; under xdist the results of all processes arrive in the one that shows them."""
        properties = dict(report.user_properties)
        if report.when == "call" and TEST in properties:
            outcomes = self._outcomes.setdefault(str(properties[TEST]), Counter())
            outcomes[str(properties[OUTCOME])] += 1

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Takes over what a process of xdist said at its end; one that crashed said nothing."""
        self._subjects |= getattr(node, "workeroutput", {}).get("lossproof", {})

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hands over to the process that shows the results, or fails a run in which nothing was judged."""
        workeroutput = getattr(self._config, "workeroutput", None)
        if workeroutput is not None:
            workeroutput["lossproof"] = self._subjects
        elif self._unjudged() and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """A line for each test: what it is, how much was judged, what it does not offer."""
        if not self._outcomes:
            return
        terminalreporter.section("lossproof")
        for test, outcomes in self._outcomes.items():
            subject, not_offered = self._subjects.get(test, (test, ""))
            known = f"; not offered: {not_offered}" if not_offered else ""
            judged = sum(count for outcome, count in outcomes.items() if outcome not in NOT_JUDGED)
            rest = "".join(f", {outcomes[name]} {name}" for name in NOT_JUDGED if outcomes[name])
            terminalreporter.write_line(f"{subject}: {judged} judged{rest}{known}")
        for test in self._unjudged():
            terminalreporter.write_line(f"FAILED {test}: no golden was judged", red=True)

    def _unjudged(self) -> list[str]:
        return [test for test, outcomes in self._outcomes.items() if outcomes.keys() <= set(NOT_JUDGED)]


TALLY: pytest.StashKey[Tally] = pytest.StashKey()
