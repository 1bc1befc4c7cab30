"""The inputs and parameters of a golden, as lines of text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping

from lossproof.spec.golden import Golden, array


def stated_inputs(golden: Golden) -> Iterator[str]:
    """What is passed to the loss, tensors as numbers: an empty line, the id, then a name a line."""
    yield ""
    yield golden.id
    if golden.copies > 1:
        yield from wrapped(f"every input {golden.copies} times along its first axis, with stride 0")
    if golden.transform:
        yield from wrapped(f"through {golden.transform}")
    yield from _stated({**golden.inputs, **golden.parameters}, golden)
    for number, part in enumerate(golden.calls):
        after = f" after {part.after}" if part.after else ""
        yield from wrapped(f"call {number}: {part.operation}{after}")
        own = {name: value for name, value in part.inputs.items() if value != golden.inputs.get(name)}
        yield from _stated({**own, **part.parameters}, part)


def _stated(tensors: Mapping[str, object], golden: Golden) -> Iterator[str]:
    for name, stored in (*tensors.items(), ("cotangent", golden.cotangent), ("direction", golden.direction)):
        if stored is not None or name in golden.parameters:
            yield from wrapped(f"{name} = {_shown(stored)}")


def _shown(stored: object) -> str:

    if not isinstance(stored, dict):
        return repr(stored)
    layout = f", {stored['layout']} in memory" if "layout" in stored else ""
    head = f"{stored['dtype']} {tuple(stored['shape'])}{layout}"
    if "recipe" in stored:
        terms = ", ".join(f"{k} {v}" for k, v in stored.items() if k not in ("dtype", "shape", "recipe", "layout"))
        return f"{head}: recipe {stored['recipe']}, {terms}"
    return f"{head}: {array(stored).tolist()}"


def wrapped(line: str) -> list[str]:
    """The line in lines of at most 80 columns, indented."""
    return textwrap.wrap(line, 80, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)
