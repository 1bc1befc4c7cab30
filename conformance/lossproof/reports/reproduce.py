"""A script that reproduces a golden with the framework alone, made from the adapter's own source."""

from __future__ import annotations

import ast
import io
import math
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lossproof.case import QUESTIONS
from lossproof.numerics import FORMATS
from lossproof.reports.writers import WRITERS, Writer
from lossproof.spec.golden import Golden, array
from lossproof.spec.operations import Operation

_FUTURE = "from __future__ import annotations"


def reproduction(golden: Golden, operation: Operation, source: str, framework: str, device: str = "cpu") -> str | None:
    """Imports, the adapter's definitions that the loss needs, inputs, call.

    `source` is the adapter as one text (standing_alone). Parameters that the function does not have are named in
    comments, and memory layouts that the framework has no words for. None where no script of its own can be made: for a
    framework without a writer, an adapter that asks where it lies, a loss that the file does not name, a gradient that
    nothing computes, questions of higher order, relations, transforms and copies.
    """
    if golden.question not in QUESTIONS or golden.calls or golden.transform or golden.copies > 1:
        return None
    tree = ast.parse(source)
    vjp = golden.question == "gradient" and _binds(tree, f"{golden.operation}_vjp")
    function = f"{golden.operation}_vjp" if vjp else golden.operation
    write = WRITERS.get(framework)
    if write is None or not _binds(tree, function) or "__file__" in _mentioned(tree):
        return None
    if golden.question == "gradient" and not vjp and write.gradient is None:
        return None

    tensors = {name: golden.inputs[name] for name in operation.input_names}
    keywords, comments = [], []
    for name, value in golden.parameters.items():
        written = name if isinstance(value, dict) else _literal(value)
        if not _accepts(tree, function, name):
            comments.append(f"# {function} has no parameter {name}: {_shown(value)} is left out")
            continue
        keywords.append(f"{name}={written}")
        if isinstance(value, dict):
            tensors[name] = value
    if golden.cotangent is not None:
        tensors["cotangent"] = golden.cotangent

    arguments = [*(["cotangent"] if vjp else []), *operation.input_names, *keywords]
    call = f"{function}({', '.join(arguments)})"
    if golden.question == "gradient" and not vjp and write.gradient is not None:
        question = write.gradient(call, operation.differentiable[0])
    else:
        question = write.value(call)
    needed = [node for node in _needed(tree, function) if not _sets_environment(node)]
    if set(tensors) & {name for node in needed for name in _bound_names(node)}:
        return None  # An input would take the place of a definition.
    body = [
        *_definitions([node for node in needed if not _is_import(node)], source),
        "",
        *(line for name, stored in tensors.items() for line in _assign(name, stored, write)),
        *comments,
        *question,
    ]
    settings = _settings(tree, source)
    return "\n".join([*_head(write, golden.dtype, device, body, [*_imports(needed)], settings), *body]) + "\n"


# What a script holds beside them


def _head(
    write: Writer, dtype: str, device: str, body: Iterable[str], imports: Iterable[str], settings: Sequence[str]
) -> list[str]:
    """The settings, then imports, each once, of the script and of the definitions; where it runs, how it prints."""
    text = "\n".join(body)
    own = [line for line in write.imports if "ml_dtypes" not in line or "ml_dtypes." in text]
    setup = [*settings, *(line for line in write.setup if not line or line not in settings)]
    more = [line for line in (*own, *imports) if line not in setup]
    # The loss of a half dtype may be a float32.
    precision = max(FORMATS[dtype].precision, FORMATS["float32"].precision)
    decimals = math.ceil(precision * math.log10(2))
    lines = [*write.device(device), *write.digits(decimals)]
    return [_FUTURE, "", *setup, *_merged(more), "", *lines, *([""] if lines else [])]


def _merged(imports: Iterable[str]) -> list[str]:
    """The lines, each once; names of one module in one line."""
    modules: dict[str, dict[str, None]] = {}
    for line in imports:
        module, _, names = line.partition(" import ")
        modules.setdefault(module if names else line, {}).update(dict.fromkeys(filter(None, names.split(", "))))
    return [f"{module} import {', '.join(names)}" if names else module for module, names in modules.items()]


def _assign(name: str, stored: Mapping[str, Any], write: Writer) -> Iterator[str]:
    yield f"{name} = {write.tensor(_values(stored), stored['dtype'])}"
    layout = stored.get("layout")
    if layout and stored["shape"] and write.layouts is not None:
        laid = re.sub(r"\bx\b", name, write.layouts.get(layout, ""))
        yield f"{name} = {laid}  # {layout} in memory" if laid else f"# {name} lies in memory {layout}"


def _values(stored: Mapping[str, Any]) -> str:
    """A Python expression for an array of the numbers: written out, or the recipe's formula for a large tensor."""
    shape = tuple(stored["shape"])
    if "recipe" not in stored:
        numbers = array(stored)
        wide = numbers.astype(np.float64) if stored["dtype"] in FORMATS else numbers
        return f"np.array({_literal(wide.tolist())})" if wide.size else f"np.zeros({shape})"
    size = int(np.prod(shape))
    match stored["recipe"]:
        case "fill":
            return f"np.full({shape}, {_literal(float(stored['value']))})"
        case "periodic":
            return f"np.resize(np.array({_literal([float(term) for term in stored['terms']])}), {shape})"
    start = 1 + stored["seed"] * 7919
    hashed = f"(np.arange({start}, {start + size}) * 2654435769 % 2**32)"
    if stored["recipe"] == "hash_index":
        return f"(({hashed} >> 8) % {stored['below']}).reshape({shape})"
    bits = min(24, FORMATS[stored["dtype"]].precision)
    first, steps = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if stored["recipe"] == "hash" else (1, 2**bits)
    return f"((({hashed} >> {32 - bits}) + {first}) * {stored['scale'] / steps!r}).reshape({shape})"


def _literal(values: Any) -> str:
    """Numbers, in lists or not, or a string as Python has them."""
    if isinstance(values, str):
        return repr(values)
    return repr(values).replace("nan", "np.nan").replace("inf", "np.inf")


def _shown(value: Any) -> str:
    return f"a tensor of shape {tuple(value['shape'])}" if isinstance(value, dict) else repr(value)


# What the loss needs of its file


def _settings(tree: ast.Module, source: str) -> list[str]:
    """What sets the environment of the process, which libraries read as they are imported, with its own imports."""
    nodes = [node for node in tree.body if _sets_environment(node)]
    names = {name for node in nodes for name in _mentioned(node)}
    imports = [_only(node, names) for node in tree.body if _is_import(node) and names & {*_bound_names(node)}]
    return [*_imports(imports), "", *_definitions(nodes, source), ""] if nodes else []


def _sets_environment(node: ast.stmt) -> bool:
    """Whether a statement at the top of a file sets a variable: os.environ["NAME"] = …, os.environ.setdefault(…)."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return False
    for leaf in ast.walk(node):
        match leaf:
            case ast.Subscript(value=ast.Attribute(attr="environ"), ctx=ast.Store()):
                return True
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="environ"), attr="setdefault" | "update")):
                return True
    return False


def _needed(tree: ast.Module, wanted: str) -> list[ast.stmt]:
    """The top-level statements that `wanted` needs, in the file's order; imports hold the needed names only."""
    imported = {name for node in tree.body if _is_import(node) for name in _bound_names(node)}
    names, kept = {wanted}, set[ast.stmt]()
    while found := {node for node in tree.body if node not in kept and _belongs(node, names, imported)}:
        kept |= found
        names |= {name for node in found for name in _mentioned(node)}
    return [_only(node, names) for node in tree.body if node in kept]


def _belongs(node: ast.stmt, names: set[str], imported: set[str]) -> bool:
    """Whether a statement binds one of the names, or does something to what they stand for."""
    if not names.isdisjoint(_bound_names(node)):
        return True
    match node:
        case ast.Expr(value=ast.Call()):  # f.defvjp(forward, backward)
            return not names.isdisjoint(_mentioned(node))
        case ast.FunctionDef(decorator_list=decorators):  # @f.defjvp; an import would bring every @np.errstate along
            return not (names - imported).isdisjoint(filter(None, map(_registered_with, decorators)))
    return False


def _registered_with(decorator: ast.expr) -> str | None:
    """The f of @f.defjvp and @f.defjvp(…)."""
    reached = decorator.func if isinstance(decorator, ast.Call) else decorator
    if not isinstance(reached, ast.Attribute):
        return None
    while isinstance(reached, ast.Attribute):
        reached = reached.value
    return reached.id if isinstance(reached, ast.Name) else None


def _accepts(tree: ast.Module, function: str, parameter: str) -> bool:
    """Whether the function takes the parameter by keyword; one that is no plain definition takes all."""
    node = [each for each in tree.body if function in _bound_names(each)][-1]
    if not isinstance(node, ast.FunctionDef) or node.args.kwarg:
        return True
    return parameter in {each.arg for each in (*node.args.args, *node.args.kwonlyargs)}


def _binds(tree: ast.Module, name: str) -> bool:
    return any(name in _bound_names(node) for node in tree.body)


def _mentioned(node: ast.AST) -> set[str]:
    return {leaf.id for leaf in ast.walk(node) if isinstance(leaf, ast.Name)}


def _bound_names(node: ast.AST) -> Iterator[str]:
    """The names that a statement binds, or whose items or attributes it sets."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            yield from (_bound_by(alias) for alias in names)
        case ast.Name(id=name, ctx=ast.Store()):
            yield name
        case ast.Attribute(ctx=ast.Store()) | ast.Subscript(ctx=ast.Store()):
            yield from _mentioned(node)
        case ast.expr() if not isinstance(getattr(node, "ctx", None), ast.Store):
            return
        case _:
            for child in ast.iter_child_nodes(node):
                yield from _bound_names(child)


def _bound_by(alias: ast.alias) -> str:
    return (alias.asname or alias.name).split(".")[0]


def _is_import(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom)


def _only(node: ast.stmt, names: set[str]) -> ast.stmt:
    """An import without the names that nobody needs; another statement as it is."""
    match node:
        case ast.Import(names=aliases):
            return ast.Import([alias for alias in aliases if _bound_by(alias) in names])
        case ast.ImportFrom(module=module, names=aliases, level=level):
            return ast.ImportFrom(module, [alias for alias in aliases if _bound_by(alias) in names], level)
    return node


def _imports(needed: Iterable[ast.stmt]) -> Iterator[str]:
    for node in needed:
        if isinstance(node, ast.Import):
            yield from (ast.unparse(ast.Import([alias])) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            yield ast.unparse(node)


def _definitions(nodes: Iterable[ast.stmt], source: str) -> Iterator[str]:
    """The lines of the statements, without what they say to linters; a blank line stands between definitions."""
    # Split as ast counts lines: str.splitlines would also split at form feeds.
    lines, last = _without_directives(source).split("\n"), None
    for node in nodes:
        decorators = node.decorator_list if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
        if last and ast.FunctionDef in (type(node), type(last)):
            yield ""
        yield from lines[min([node.lineno, *(each.lineno for each in decorators)]) - 1 : node.end_lineno]
        last = node


def _without_directives(source: str) -> str:
    lines = source.split("\n")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        row, column = token.start
        directive = re.search(r"#\s*(noqa|type:\s*ignore)\b", token.string)
        if directive:
            lines[row - 1] = lines[row - 1][: column + directive.start()].rstrip()
    return "\n".join(lines)
