"""The question that an operation's oracle answers: exact inputs, parameters, rules, a cotangent or a direction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lossproof.oracle.arithmetic import Arithmetic, Quantity

Parameter = bool | int | float | str | npt.NDArray[Any] | None


class RefusedError(Exception):
    """The dialect demands that an implementation refuses this input."""


class UndefinedError(Exception):
    """The dialect leaves the answer for this input open; the text says why."""


@dataclass(frozen=True)
class Problem:
    """Inputs as binary64 or integer arrays that hold numbers of the dtype exactly; `rule` gives a rule's value.

    `direction` has the shape of the first differentiable input. Reductions see every row or element `copies` times.

    Numbers beside a jump (within their error bound of a clip) may lie on either side: bit i of `reading` moves the i-th
    of them in each row to the other side; `at_jumps` is told how many a row has.
    """

    arithmetic: Arithmetic
    inputs: Mapping[str, npt.NDArray[Any]]
    parameters: Mapping[str, Parameter]
    rule: Callable[[str], str]
    cotangent: npt.NDArray[np.float64] | None = None
    direction: npt.NDArray[np.float64] | None = None
    copies: int = 1
    reading: int = 0
    at_jumps: Callable[[int], None] = lambda _: None

    def number(self, name: str, default: float) -> float:
        """A scalar parameter as a binary64 number."""
        value = self.parameters.get(name)
        return default if value is None else float(value)

    def axis(self, name: str) -> int:
        """The stated class axis of an input, or its last one, counted from the front."""
        return int(self.number("axis", -1)) % self.inputs[name].ndim

    def reduction(self) -> str:
        """The stated reduction, or the default."""
        return str(self.parameters.get("reduction", "mean"))

    def vector(self, name: str) -> list[Quantity] | None:
        """A one-dimensional tensor parameter, or None where it is not stated."""
        values = self.parameters.get(name)
        return None if values is None else self.quantities(np.asarray(values))

    def spread(self, name: str, shape: tuple[int, ...]) -> list[Quantity] | None:
        """A tensor parameter broadcast to `shape`, in C order, or None where it is not stated."""
        values = self.parameters.get(name)
        return None if values is None else self.quantities(np.broadcast_to(np.asarray(values), shape))

    def quantities(self, values: npt.NDArray[Any]) -> list[Quantity]:
        """Exact quantities for an array, in C order."""
        return [self.arithmetic.exact(value) for value in np.asarray(values, dtype=np.float64).ravel().tolist()]

    def cotangents(self) -> list[Quantity]:
        """The cotangent's elements, in C order."""
        assert self.cotangent is not None, "a gradient is asked with a cotangent"
        return self.quantities(self.cotangent)

    def directions(self) -> list[Quantity]:
        """The direction's elements, in C order."""
        assert self.direction is not None, "forward mode and Hessian products are asked with a direction"
        return self.quantities(self.direction)
