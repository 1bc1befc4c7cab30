"""Cases as people write them: inputs, parameters, why the case exists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["value", "policy", "raises", "hazard", "relation", "contract"]
Question = str
Profile = Literal["default", "huge"]
Transform = Literal["vmap", "jit", "autocast"]
Scalar = bool | int | float | str | None
Number = int | float

KINDS: tuple[Kind, ...] = ("value", "policy", "raises", "hazard", "relation", "contract")
# Asked where a case does not say. Further ones: gradient-<input> for an input other than the prediction, hessian (the
# product with a direction) and tangent (forward mode, along a direction).
QUESTIONS: tuple[Question, ...] = ("value", "gradient")
LAYOUTS = ("transposed", "reversed", "sliced", "expanded", "misaligned", "channels_last")


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
class Call:
    """What is asked of an implementation once; `after` names the operation that the first input goes through before."""

    operation: str
    inputs: Mapping[str, Tensor]
    parameters: Mapping[str, Scalar | Tensor]
    cotangent: Tensor | None = None
    after: str | None = None


@dataclass(frozen=True)
class Relation:
    """What must hold between the answers of several calls; `relations.py` defines each name.

    `coefficients` belong to a combination, `order` and `axis` to a permutation, `promise` names the property of a
    dialect that makes same_bits a demand.
    """

    name: str
    calls: tuple[Call, ...]
    coefficients: tuple[Number, ...] = ()
    order: tuple[int, ...] = ()
    axis: int = 0
    promise: str | None = None


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
    direction: Tensor | None = None
    published: Published | None = None
    relation: Relation | None = None
    transform: Transform | None = None
    profile: Profile = "default"
    copies: int = 1

    @property
    def call(self) -> Call:
        """What the case itself states."""
        return Call(self.operation, self.inputs, self.parameters, self.cotangent)

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls that the case makes: its relation's, or its own."""
        return self.relation.calls if self.relation else (self.call,)
