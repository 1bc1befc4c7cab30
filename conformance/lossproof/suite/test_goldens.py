"""A test for each golden and each implementation that `--lossproof-implementation` names."""

from __future__ import annotations

from lossproof.declaration import Declaration

test_golden = Declaration()
