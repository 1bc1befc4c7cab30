"""Cases as people write them: inputs, parameters, why the case exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["value", "policy", "raises", "hazard", "relation", "contract"]
Question = Literal["value", "gradient"]
Scalar = bool | int | float | str | None
Number = int | float

KINDS: tuple[Kind, ...] = ("value", "policy", "raises", "hazard", "relation", "contract")
QUESTIONS: tuple[Question, ...] = ("value", "gradient")
LAYOUTS = ("transposed", "reversed", "sliced", "expanded", "misaligned")


@dataclass(frozen=True)
class Recipe:
    """An integer formula that fills a tensor too large to be written out; `spec/README.md` defines each name."""

    name: Literal["hash", "hash_positive", "hash_index", "fill", "periodic"]
    seed: int = 0
    scale: float = 1.0
    below: int = 0
    value: Number = 0.0
    terms: tuple[Number, ...] = ()


@dataclass(frozen=True)
class Tensor:
    """A tensor as written: `values` in C order as binary64 numbers or integers, or a recipe.

    `kind` says what it becomes: a floating tensor is rounded once to the dtype under test, an integer one has
    `dtype` (int64 unless stated). `layout` names how the implementation gets it in memory, None is C order.
    """

    shape: tuple[int, ...]
    kind: Literal["floating", "integer"]
    values: tuple[Number, ...] | None = None
    recipe: Recipe | None = None
    dtype: str | None = None
    layout: str | None = None


@dataclass(frozen=True)
class Flag:
    """The bug that a case catches."""

    bug: str
    link: str | None = None


@dataclass(frozen=True)
class Source:
    """Where an example was published."""

    title: str
    link: str | None = None


@dataclass(frozen=True)
class Published:
    """Digits as a source printed them, in C order, for a result computed in `dtype`."""

    dtype: str
    shape: tuple[int, ...]
    digits: tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """One input with its parameters, why it exists, and what it asks."""

    id: str
    operation: str
    kind: Kind
    why: str
    since: str
    inputs: Mapping[str, Tensor]
    parameters: Mapping[str, Scalar | Tensor]
    dtypes: tuple[str, ...]
    questions: tuple[Question, ...]
    place: str
    flags: tuple[Flag, ...] = ()
    source: Source | None = None
    cotangent: Tensor | None = None
    published: Published | None = None
    relation: str | None = None
    calls: tuple[Mapping[str, Scalar | Tensor], ...] = ()
