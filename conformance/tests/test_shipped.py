"""Each shipped adapter, judged for 45 seconds: what it gets wrong is known, and nothing that is known has gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lossproof.frameworks import read_needs
from lossproof.implementations import shipped

LOSSPROOF = Path(sys.executable).parent / "lossproof"


@pytest.mark.parametrize("name", shipped())
def test_nothing_unknown_is_found(tmp_path: Path, name: str) -> None:
    need = read_needs(shipped()[name])
    if not need.installed:
        pytest.skip(f"{need.framework} is not installed: {need.install_line}")

    # What compiles for each shape does not come to its end in this time: it is asked the quick profile first.
    finished = subprocess.run(
        [LOSSPROOF, "run", name, "--jobs", "1", "--budget", "45"],
        cwd=tmp_path,
        # Where a GPU is, Triton would compile for it what is asked on the CPU.
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=900,
        check=False,
    )

    assert (0, "") == (finished.returncode, finished.stderr), finished.stdout
