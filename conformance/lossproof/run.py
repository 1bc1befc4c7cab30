"""A run: what is known before it starts, and a record for each golden that is asked."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import numpy as np

from lossproof.cpu import cpu_features, cpu_model
from lossproof.processes.messages import Answered
from lossproof.record import Record
from lossproof.session import Asked, Session
from lossproof.spec.golden import SPEC_VERSION, Golden


def run_header() -> dict[str, Any]:
    """What is known of a run before any implementation starts."""
    return {
        "spec": SPEC_VERSION,
        "lossproof": metadata.version("lossproof"),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "system": platform.system(),
        "cpu": cpu_model(),
        "cpu_features": cpu_features(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cores": os.cpu_count(),
    }


def run(session: Session, goldens: Iterable[Golden]) -> Iterator[Record]:
    """A record for each golden, in the order in which they are asked."""
    for asked in session.ask(goldens):
        yield record_of(asked, session.implementation.name)


def record_of(asked: Asked, implementation: str) -> Record:
    """What is kept of a golden that was asked."""
    judgement = asked.judgement
    return Record(
        asked.golden.id,
        implementation,
        judgement.outcome,
        asked.kind,
        judgement.ulps,
        judgement.bounds,
        judgement.where,
        judgement.expected,
        judgement.got,
        judgement.reason,
        judgement.fingerprint,
        sum(reply.seconds for reply in asked.replies if isinstance(reply, Answered)),
    )
