"""Where the data of lossproof lie: beside the code in a wheel, at the root of a checkout."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
_WHEEL_DATA = PACKAGE / "data"
ROOT = _WHEEL_DATA if _WHEEL_DATA.is_dir() else PACKAGE.parent.parent

SPEC = ROOT / "spec"
IMPLEMENTATIONS = ROOT / "implementations"
DOCS = ROOT / "docs"
BRIDGES = PACKAGE / "bridges"
WORKER = PACKAGE / "worker.py"
