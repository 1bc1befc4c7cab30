"""An adapter file that is one mutant after the other, so that a framework is imported once for hundreds of them."""

from __future__ import annotations

import ast
import os
from collections.abc import Sequence
from pathlib import Path

_ADAPTER = '''"""Each loss is that of the file named in `cue`; the lines that the source runs through go to `trace`."""

import functools
import importlib.util
import os
import sys

framework = {framework!r}
dialect = {dialect!r}

FOLDER = {folder!r}
cue = os.open(os.path.join(FOLDER, "cue"), os.O_RDONLY)
trace = os.open(os.path.join(FOLDER, "trace"), os.O_WRONLY | os.O_APPEND)
on_stage = (None, None)


def load(name):
    spec = importlib.util.spec_from_file_location(name, os.path.join(FOLDER, name + ".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def turn(name):
    @functools.wraps(getattr(source, name))
    def loss(*arguments, **parameters):
        global on_stage
        turn = os.pread(cue, 8, 0).decode()
        if on_stage[0] != turn:
            on_stage = turn, source if turn == "source  " else load(turn)
        function = getattr(on_stage[1], name)
        return (traced(function) if on_stage[1] is source else function)(*arguments, **parameters)

    return loss


def traced(function):
    def loss(*arguments, **parameters):
        lines = set()

        def follow(frame, event, argument):
            if frame.f_code.co_filename != source.__file__:
                return None
            lines.add(frame.f_lineno)
            return follow

        sys.settrace(follow)
        try:
            return function(*arguments, **parameters)
        finally:
            sys.settrace(None)
            os.write(trace, (" ".join(map(str, sorted(lines))) + "\\n").encode())

    return loss


source = load("source")
globals().update({{name: turn(name) for name in {functions!r}}})
'''


class Turns:
    """The files of such an adapter in a folder; until a mutant is given its turn it is the source itself."""

    def __init__(self, folder: Path, source: str, functions: Sequence[str]) -> None:
        self.adapter = folder / "adapter.py"
        self._folder = folder
        self._turn = 0
        facts: dict[str, str | None] = {"framework": "numpy", "dialect": None, **_stated(source)}
        text = _ADAPTER.format(**facts, folder=str(folder), functions=list(functions))
        self.adapter.write_text(text, encoding="utf-8")
        (folder / "source.py").write_text(source, encoding="utf-8")
        self._cue = os.open(folder / "cue", os.O_WRONLY | os.O_CREAT)
        self._trace = os.open(folder / "trace", os.O_RDWR | os.O_CREAT)
        self.give_back()

    def give(self, text: str) -> None:
        """From now on every loss is that of this text."""
        before, self._turn = self._turn, self._turn + 1
        (self._folder / f"{self._turn:08}.py").write_text(text, encoding="utf-8")
        os.pwrite(self._cue, f"{self._turn:08}".encode(), 0)
        (self._folder / f"{before:08}.py").unlink(missing_ok=True)

    def give_back(self) -> None:
        """From now on every loss is that of the source."""
        os.pwrite(self._cue, b"source  ", 0)

    def lines(self) -> frozenset[int]:
        """The lines that the source has run through since this was last asked."""
        traced = os.pread(self._trace, os.fstat(self._trace).st_size, 0)
        os.ftruncate(self._trace, 0)
        return frozenset(map(int, traced.split()))

    def close(self) -> None:
        """Close the files."""
        os.close(self._cue)
        os.close(self._trace)


def _stated(source: str) -> dict[str, str]:
    """The words that a module states at its top: framework, dialect."""
    return {
        node.targets[0].id: node.value.value
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }
