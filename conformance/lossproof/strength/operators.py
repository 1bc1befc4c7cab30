"""Operators that make a mutant of a right source: what may stand in place of a node of its syntax."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator


def _comparison(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Compare):
        for number, operator in enumerate(node.ops):
            if type(operator) in _OTHER_COMPARISON:
                changed = copy.deepcopy(node)
                changed.ops[number] = _OTHER_COMPARISON[type(operator)]()
                yield changed


def _arithmetic(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.BinOp) and type(node.op) in _OTHER_ARITHMETIC:
        yield ast.BinOp(node.left, _OTHER_ARITHMETIC[type(node.op)](), node.right)


def _term(node: ast.AST) -> Iterator[ast.AST]:
    """One side of a sum, product or conjunction is dropped."""
    if isinstance(node, ast.BinOp) and type(node.op) in _OTHER_ARITHMETIC:
        yield node.left
        if not isinstance(node.op, ast.Sub | ast.Div):
            yield node.right


def _sign(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant):
        yield node.operand


def _negation(node: ast.AST) -> Iterator[ast.AST]:
    """A `not` is dropped, or the condition of a branch negated."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand


def _boolean(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)


def _branch(node: ast.AST) -> Iterator[ast.AST]:
    """The two sides of a choice are swapped."""
    if isinstance(node, ast.IfExp):
        yield ast.IfExp(node.test, node.orelse, node.body)
    elif _called(node) == "where" and isinstance(node, ast.Call) and len(node.args) == 3:
        test, first, second = node.args
        yield ast.Call(node.func, [test, second, first], node.keywords)


def _bound(node: ast.AST) -> Iterator[ast.AST]:
    """A maximum becomes a minimum, a bound is dropped."""
    if isinstance(node, ast.Call) and (name := _called(node)) is not None:
        if name in _OTHER_BOUND:
            yield ast.Call(_renamed(node.func, _OTHER_BOUND[name]), node.args, node.keywords)
        if name in ("maximum", "minimum", "clip", "clamp") and node.args:
            yield node.args[0]


def _function(node: ast.AST) -> Iterator[ast.AST]:
    """Another function of the same kind."""
    if isinstance(node, ast.Call) and (name := _called(node)) in _OTHER_FUNCTION:
        assert name is not None
        yield ast.Call(_renamed(node.func, _OTHER_FUNCTION[name]), node.args, node.keywords)


def _constant(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Constant) and (new := other_constant(node)) is not None:
        yield new


def _axis(node: ast.AST) -> Iterator[ast.AST]:
    """Along another axis: -1 becomes 0, and a stated one the last."""
    if isinstance(node, ast.Call):
        for number, argument in enumerate(node.args):
            if isinstance(argument, ast.UnaryOp) and ast.unparse(argument) == "-1":
                yield ast.Call(node.func, _with(node.args, number, ast.Constant(0)), node.keywords)
            elif isinstance(argument, ast.Name) and argument.id == "axis":
                yield ast.Call(node.func, _with(node.args, number, ast.Constant(-1)), node.keywords)


def _keyword(node: ast.AST) -> Iterator[ast.AST]:
    """A keyword is not passed."""
    if isinstance(node, ast.Call):
        for keyword in node.keywords:
            yield ast.Call(node.func, node.args, [other for other in node.keywords if other is not keyword])


def _cast(node: ast.AST) -> Iterator[ast.AST]:
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("astype", "to", "float", "long")
    ):
        yield node.func.value


def _index(node: ast.AST) -> Iterator[ast.AST]:
    """A slice begins or ends one further on."""
    if isinstance(node, ast.Subscript):
        for piece in ast.walk(node.slice):
            if isinstance(piece, ast.Slice):
                changed = copy.deepcopy(node)
                for other in ast.walk(changed.slice):
                    if isinstance(other, ast.Slice):
                        one = ast.Constant(1)
                        other.lower = one if other.lower is None else ast.BinOp(other.lower, ast.Add(), one)
                yield changed
                return


def _statement(node: ast.AST) -> Iterator[ast.AST]:
    """A call for its effect, or an assignment to what is there already, is left out."""
    if isinstance(node, ast.AugAssign) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        yield ast.Pass()


def _condition(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.If):
        branch = copy.deepcopy(node)
        branch.test = ast.UnaryOp(ast.Not(), node.test)
        yield branch


OPERATORS: dict[str, Callable[[ast.AST], Iterator[ast.AST]]] = {
    "comparison": _comparison,
    "arithmetic": _arithmetic,
    "term": _term,
    "sign": _sign,
    "negation": _negation,
    "boolean": _boolean,
    "branch": _branch,
    "bound": _bound,
    "function": _function,
    "constant": _constant,
    "axis": _axis,
    "keyword": _keyword,
    "cast": _cast,
    "index": _index,
    "statement": _statement,
    "condition": _condition,
}

_OTHER_COMPARISON: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OTHER_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_OTHER_BOUND = {
    "maximum": "minimum",
    "minimum": "maximum",
    "max": "min",
    "min": "max",
    "amax": "amin",
    "argmax": "argmin",
    "any": "all",
    "all": "any",
}
_OTHER_FUNCTION = {
    "log": "log1p",
    "log1p": "log",
    "exp": "expm1",
    "sum": "mean",
    "abs": "sign",
    "logsigmoid": "sigmoid",
}
_OTHER_WORD = {"none": "mean", "mean": "sum", "sum": "none"}


def other_constant(node: ast.AST) -> ast.Constant | None:
    """Another value of the constant's type; None where there is none to try."""
    match node:
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return ast.Constant(1 - number)
        case ast.Constant(value=bool() as truth):
            return ast.Constant(not truth)
        case ast.Constant(value=int() as number):
            return ast.Constant(number + 1)
        case ast.Constant(value=float() as number):
            return ast.Constant(2 * number or 0.5)
        case ast.Constant(value=str() as word):
            return ast.Constant(_OTHER_WORD[word]) if word in _OTHER_WORD else None
    return None


def _called(node: ast.AST) -> str | None:
    """The name of the function that is called, without what it belongs to."""
    match node:
        case ast.Call(func=ast.Attribute(attr=name)) | ast.Call(func=ast.Name(id=name)):
            return str(name)
    return None


def _renamed(function: ast.expr, name: str) -> ast.expr:
    return ast.Attribute(function.value, name) if isinstance(function, ast.Attribute) else ast.Name(name)


def _with(items: list[ast.expr], number: int, item: ast.expr) -> list[ast.expr]:
    return [*items[:number], item, *items[number + 1 :]]
