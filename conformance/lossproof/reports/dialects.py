"""What implementations were seen to do where frameworks lawfully differ, as a Markdown page."""

from __future__ import annotations

from collections.abc import Sequence

from lossproof.observed import Observation
from lossproof.record import Subject
from lossproof.reports.rendering import template
from lossproof.spec.dialects import read_rules
from lossproof.spec.read import Spec


def page(subjects: Sequence[Subject], observations: Sequence[Observation], spec: Spec) -> str:
    """The page: a table for each rule, a row for each operation and implementation."""
    rules = read_rules()
    return template("dialects.md.j2").render(
        subjects=subjects,
        tables=[
            (name, rules.get(name), sorted((each for each in observations if each.rule == name), key=_by_operation))
            for name in sorted({each.rule for each in observations})
        ],
        seen=_seen,
        dialects=[spec.dialects[name] for name in sorted({subject.dialect for subject in subjects} & {*spec.dialects})],
    )


def _by_operation(observation: Observation) -> str:
    return observation.operation


def _seen(observation: Observation) -> str:
    """What was seen, most often first."""
    parts = [f"{value} ({count})" for value, count in sorted(observation.seen.items(), key=lambda each: -each[1])]
    return ", ".join([*parts, *([f"none of them ({observation.neither})"] if observation.neither else [])])
