"""Faults and counts as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from lossproof.fuzz.found import Counts, Found
from lossproof.fuzz.written import topic_file
from lossproof.gate import Finding
from lossproof.outcome import Outcome
from lossproof.reports.failures import evidence, what_now, wrapped


def save(found: Found, folder: Path, again: str) -> Path:
    """Write the case to a topic file in the folder, which is made; `again` is the command that finds it."""
    operation, topic, name = found.case.id.split("/")
    comment = (
        f"Found by `{again}`.",
        f"Move it to spec/cases/{operation}/{topic}-{name.split('-')[-1]}.yaml to make it a case of the spec.",
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{operation}-{name.split('-')[-1]}.yaml"
    path.write_text(topic_file(found.case, comment), encoding="utf-8")
    return path


def describe(found: Found, path: Path) -> list[str]:
    """What `lossproof run` prints of a finding, and the file that its case is in."""
    record = found.record
    flaky = "" if found.again else "did not fail when it was asked once more: the answers change from call to call"
    # Where the oracle failed there is nothing that the implementation could mend.
    advice = [f"  what now: {what_now(Finding(record))}"] if record.outcome is not Outcome.UNJUDGED else []
    return [
        f"{record.golden}: {record.outcome}",
        *wrapped(evidence(record), "  "),
        *wrapped(record.fingerprint, "  "),
        *wrapped(flaky, "  "),
        f"  saved as {path}",
        *advice,
    ]


def table(counts: Sequence[Counts]) -> Iterator[str]:
    """A line for each operation, and one for all of them."""
    yield f"{'operation':<36} {'examples':>9} {'judged':>8} {'open':>6} {'unsup.':>7} {'known':>6}"
    for each in counts:
        yield _line(each.operation, (each,))
    yield _line("all", counts)


def _line(name: str, counts: Sequence[Counts]) -> str:
    examples, judged, left_open, unsupported, known = (
        sum(getattr(each, column) for each in counts)
        for column in ("examples", "judged", "open", "unsupported", "known")
    )
    return f"{name:<36} {examples:>9} {judged:>8} {left_open:>6} {unsupported:>7} {known:>6}"
