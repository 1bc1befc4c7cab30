"""JSON Schemas of the files that people write, made from the models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from lossproof.paths import SPEC
from lossproof.spec.models import CasesFile, DialectFile, Form, OperationFile, ProfileFile, RulesFile, WorkloadFile

MODELS: Mapping[str, type[Form]] = {
    "cases": CasesFile,
    "dialect": DialectFile,
    "operation": OperationFile,
    "profile": ProfileFile,
    "rules": RulesFile,
    "workload": WorkloadFile,
}


def write_schemas(folder: Path = SPEC / "schema") -> None:
    """Write every schema to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schemas().items():
        (folder / name).write_text(text, encoding="utf-8")


def schemas() -> Mapping[str, str]:
    """Text of the schemas by file name, the same bytes every time."""
    return {f"{name}.schema.json": _text(model) for name, model in MODELS.items()}


def _text(model: type[Form]) -> str:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
