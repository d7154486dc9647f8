"""Python source as expressions and statements, rendered once at the end, in the layout of `ruff format`.

Lowerings build values of these classes; no lowering writes text. Literals are limited to what a spec can hold, names
are checked to be names, and so nothing in a spec can become code.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 88
INDENT: Final = "    "
_DOTTED: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)

LiteralValue = None | bool | int | float | str | tuple["LiteralValue", ...]


@dataclass(frozen=True, slots=True)
class Name:
    """A name, or a dotted path of names: `nn.Linear`."""

    path: str

    def __post_init__(self) -> None:
        if not _DOTTED.fullmatch(self.path) or any(keyword.iskeyword(p) for p in self.path.split(".")):
            raise ValueError(f"not a name: {self.path!r}")


@dataclass(frozen=True, slots=True)
class Literal:
    """None, a bool, an int, a finite float, a str, or a tuple of them."""

    value: LiteralValue

    def __post_init__(self) -> None:
        _check_literal(self.value)


@dataclass(frozen=True, slots=True)
class Call:
    """`function(*args, **kwargs)`; a kwarg of `...` is left out, which spares lowerings an if."""

    function: Expression
    args: tuple[Expression, ...] = ()
    kwargs: tuple[tuple[str, Expression], ...] = ()


@dataclass(frozen=True, slots=True)
class Attribute:
    """`value.name`."""

    value: Expression
    name: str


@dataclass(frozen=True, slots=True)
class Binary:
    """`left + right`, for `+` and `*` chains of plain operands."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class ListOf:
    """`[a, b]`."""

    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class TupleOf:
    """`(a, b)`."""

    items: tuple[Expression, ...]


Expression = Name | Literal | Call | Attribute | Binary | ListOf | TupleOf


def name(path: str) -> Name:
    """The name."""
    return Name(path)


def literal(value: LiteralValue) -> Literal:
    """The literal."""
    return Literal(value)


def call(function: Expression | str, *args: Expression | LiteralValue, **kwargs: Expression | LiteralValue) -> Call:
    """A call; Python values become literals, a str in the place of the function is its dotted name.

    >>> render_expression(call("nn.Linear", 3, 4, bias=False))
    'nn.Linear(3, 4, bias=False)'
    """
    return Call(
        name(function) if isinstance(function, str) else function,
        tuple(_operand(a) for a in args),
        tuple((k, _operand(v)) for k, v in kwargs.items()),
    )


def method(value: Expression, attribute: str, *args: Expression | LiteralValue) -> Call:
    """`value.attribute(*args)`."""
    return call(Attribute(value, attribute), *args)


def _operand(value: Expression | LiteralValue) -> Expression:
    if isinstance(value, Name | Literal | Call | Attribute | Binary | ListOf | TupleOf):
        return value
    return Literal(value)


def _check_literal(value: object) -> None:
    if isinstance(value, tuple):
        for item in value:
            _check_literal(item)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"not a finite number: {value}")
    elif value is not None and type(value) not in {bool, int, float, str}:
        raise ValueError(f"not a literal: {value!r}")


@dataclass(frozen=True, slots=True)
class Assign:
    """`target = value  # comment`."""

    target: str
    value: Expression
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Return:
    """`return value`."""

    value: Expression


@dataclass(frozen=True, slots=True)
class Do:
    """An expression for its effect."""

    value: Expression


@dataclass(frozen=True, slots=True)
class Blank:
    """An empty line."""


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment on a line of its own."""

    text: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function. `parameters` and `returns` are given as they stand in source; `comment` ends the line of the def."""

    name: str
    parameters: tuple[str, ...]
    body: tuple[Statement, ...]
    returns: str = ""
    docstring: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Class:
    """A class with methods."""

    name: str
    base: str
    docstring: str
    body: tuple[Function, ...]


@dataclass(frozen=True, slots=True)
class Verbatim:
    """Source of a backend's own support code, written by hand and copied whole."""

    text: str


Statement = Assign | Return | Do | Blank | Comment
Definition = Function | Class | Verbatim | Assign


@dataclass(frozen=True, slots=True)
class Module:
    """A file: docstring, groups of import lines, definitions."""

    docstring: str
    imports: tuple[tuple[str, ...], ...]
    body: tuple[Definition, ...]


def render_expression(expression: Expression) -> str:
    """The expression on one line."""
    match expression:
        case Name(path):
            return path
        case Literal(value):
            return _literal(value)
        case Call(function, _, _):
            return f"{_primary(function)}({', '.join(_arguments(expression))})"
        case Attribute(value, attribute):
            return f"{_primary(value)}.{attribute}"
        case Binary(operator, left, right):
            return f"{render_expression(left)} {operator} {_primary(right)}"
        case ListOf(items):
            return f"[{', '.join(map(render_expression, items))}]"
        case TupleOf(items):
            inside = ", ".join(map(render_expression, items))
            return f"({inside},)" if len(items) == 1 else f"({inside})"


def _literal(value: object) -> str:
    if isinstance(value, tuple):
        return render_expression(TupleOf(tuple(Literal(v) for v in value)))
    if isinstance(value, str):
        return _quoted(value)
    return repr(value)


def _quoted(text: str) -> str:
    """A string literal with double quotes where they need no escape, as formatters prefer; ASCII only."""
    plain = ascii(text)
    if plain[0] == "'" and '"' not in plain:
        return f'"{plain[1:-1]}"'
    return plain


def _primary(expression: Expression) -> str:
    text = render_expression(expression)
    return f"({text})" if isinstance(expression, Binary) else text


def _arguments(expression: Call) -> list[str]:
    positional = [render_expression(a) for a in expression.args]
    return positional + [f"{k}={render_expression(v)}" for k, v in expression.kwargs]


def _broken(expression: Expression, indent: str, before: str, after: str) -> list[str]:
    """`before` + expression + `after` in as few lines as fit: on one, in its brackets, or an item a line."""
    flat = f"{indent}{before}{render_expression(expression)}{after}"
    if len(flat) <= WIDTH:
        return [flat]
    match expression:
        case Call(Call() as inner, args, kwargs) if (
            len(_arguments(Call(Name("f"), args, kwargs))) <= 1
            and len(f"{indent}{before}{render_expression(inner)}(") > WIDTH
        ):
            # layer(...)(x): what is long is the layer, and the call of it stays on the closing line
            return _broken(inner, indent, before, f"({', '.join(_arguments(expression))}){after}")
        case Call(function, args, kwargs):
            items: list[tuple[str, Expression]] = [("", a) for a in args] + [(f"{k}=", v) for k, v in kwargs]
            opening, closing = f"{before}{_primary(function)}(", f"){after}"
        case ListOf(entries):
            items, opening, closing = [("", e) for e in entries], f"{before}[", f"]{after}"
        case TupleOf(entries):
            items, opening, closing = [("", e) for e in entries], f"{before}(", f"){after}"
        case _:
            return [flat]
    deeper = indent + INDENT
    together = deeper + ", ".join(prefix + render_expression(item) for prefix, item in items)
    if len(together) <= WIDTH and not (isinstance(expression, TupleOf) and len(items) == 1):
        return [indent + opening, together, indent + closing]
    lines = [line for prefix, item in items for line in _broken(item, deeper, prefix, ",")]
    return [indent + opening, *lines, indent + closing]


def _statement(statement: Statement, indent: str) -> list[str]:
    match statement:
        case Assign(target, value, comment):
            after = f"  # {comment}" if comment else ""
            flat = f"{indent}{target} = {render_expression(value)}"
            if len(flat) <= WIDTH < len(flat + after):  # better a line of its own than a broken expression
                return [f"{indent}# {comment}", flat]
            return _broken(value, indent, f"{target} = ", after)
        case Return(value):
            return _broken(value, indent, "return ", "")
        case Do(value):
            return _broken(value, indent, "", "")
        case Comment(text):
            return [f"{indent}# {_one_line(text)}"]
        case Blank():
            return [""]


def _docstring(text: str, indent: str) -> list[str]:
    """A docstring that holds any text as text: backslashes, quotes and control characters lose their meaning."""
    lines = ["".join(c if c.isprintable() else " " for c in line).rstrip() for line in text.split("\n")]
    safe = [line.replace("\\", "\\\\").replace('"""', '\\"\\"\\"') for line in lines]
    safe = safe if len(safe) == 1 or not safe[-1] else [*safe, ""]
    if len(safe) == 1:
        end = "" if not safe[0].endswith('"') else " "
        return [f'{indent}"""{safe[0]}{end}"""']
    return [f'{indent}"""{safe[0]}', *(f"{indent}{line}" if line else "" for line in safe[1:-1]), f'{indent}"""']


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _function(function: Function, indent: str) -> list[str]:
    returns = f" -> {function.returns}" if function.returns else ""
    comment = f"  # {function.comment}" if function.comment else ""
    head = f"{indent}def {function.name}({', '.join(function.parameters)}){returns}:{comment}"
    lines = [head]
    if len(head) > WIDTH:
        inner = indent + INDENT
        together = inner + ", ".join(function.parameters)
        each = [f"{inner}{p}," for p in function.parameters]
        middle = [together] if len(together) <= WIDTH else each
        lines = [f"{indent}def {function.name}(", *middle, f"{indent}){returns}:{comment}"]
    inner = indent + INDENT
    if function.docstring:
        lines += [*_docstring(function.docstring, inner)]
        if function.body and "\n" in function.docstring:
            lines += [""]
    for statement in function.body:
        lines += _statement(statement, inner)
    return lines


def _definition(definition: Definition) -> list[str]:
    match definition:
        case Verbatim(text):
            return text.strip("\n").split("\n")
        case Function():
            return _function(definition, "")
        case Assign():
            return _statement(definition, "")
        case Class(class_name, base, docstring, body):
            lines = [f"class {class_name}({base}):", *_docstring(docstring, INDENT)]
            for function in body:
                lines += ["", *_function(function, INDENT)]
            return lines


def render_definitions(definitions: Sequence[Definition]) -> str:
    """The text of definitions, two empty lines before each class and function."""
    lines: list[str] = []
    for definition in definitions:
        lines += [""] if isinstance(definition, Assign) else ["", ""]
        lines += _definition(definition)
    return "\n".join(lines)


def render(module: Module) -> str:
    """The text of a file, ending in a newline."""
    head = _docstring(module.docstring, "")
    for group in module.imports:
        head += ["", *group]
    return "\n".join(head) + "\n" + render_definitions(module.body) + "\n"
