"""Index targets: which rows are kept, and what a label outside the classes means."""

from __future__ import annotations

from dataclasses import dataclass

from lossproof.oracle.arithmetic import Quantity
from lossproof.oracle.problem import Problem, RefusedError, UndefinedError

DEFAULT_IGNORE_INDEX = -100


@dataclass(frozen=True)
class Label:
    """A row's target class; `valid` is false for a label outside the classes that the dialect answers with NaN."""

    index: int
    kept: bool
    valid: bool = True


def read_labels(problem: Problem, classes: int, ignore: str = "ignore_index") -> list[Label]:
    """One label a row, in C order of the target; raises RefusedError or UndefinedError where the dialect says so."""
    indices = problem.inputs["target"].ravel().tolist()
    ignored = _ignored_index(problem, indices, ignore)
    return [_label(index, ignored, classes, problem) for index in indices]


def _ignored_index(problem: Problem, indices: list[int], ignore: str) -> int | None:
    stated = problem.parameters.get(ignore)
    if stated is not None:
        return int(stated)
    if ignore == "ignore_index" and DEFAULT_IGNORE_INDEX in indices:
        return DEFAULT_IGNORE_INDEX if problem.rule("default_ignore_index") == "-100" else None
    return None


def _label(index: int, ignored: int | None, classes: int, problem: Problem) -> Label:
    if index == ignored:
        return Label(index, kept=False)
    if 0 <= index < classes:
        return Label(index, kept=True)
    refuse_or_leave_open(problem, f"label {index} is outside the {classes} classes")
    return Label(0, kept=True, valid=False)


def refuse_or_leave_open(problem: Problem, why: str) -> None:
    """Follow the dialect's rule for values outside the domain; returns where the answer is NaN."""
    match problem.rule("bad_values"):
        case "raise":
            raise RefusedError(why)
        case "undefined":
            raise UndefinedError(why)
    if problem.cotangent is not None or problem.direction is not None:
        raise UndefinedError(f"{why}: the value is NaN, its derivatives are left open")


def kept_weights(labels: list[Label], weight: list[Quantity] | None, problem: Problem) -> list[Quantity]:
    """The denominator's terms: the weight of each kept label, or ones."""
    arithmetic = problem.arithmetic
    return [arithmetic.exact(1.0) if weight is None else weight[label.index] for label in labels if label.kept]
