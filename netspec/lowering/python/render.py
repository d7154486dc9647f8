"""Source as text, in the layout of `ruff format` with its own defaults, byte for byte."""

from __future__ import annotations

import itertools
import unicodedata

from netspec.lowering.python.expressions import INDENT, WIDTH, broken, render_expression, value_lines
from netspec.lowering.python.source import (
    Assign,
    Class,
    Definition,
    Do,
    Expression,
    For,
    Function,
    If,
    Module,
    Return,
    Statement,
    TupleOf,
    Unpack,
    Verbatim,
)


def _statement(statement: Statement | For | If, indent: str) -> list[str]:
    match statement:
        case If(test, body):
            inside = [line for own in body for line in _statement(own, indent + INDENT)]
            return [f"{indent}if {render_expression(test)}:", *inside]
        case For(variable, iterable, body):
            inside = [line for own in body for line in _statement(own, indent + INDENT)]
            return [f"{indent}for {variable} in {render_expression(iterable)}:", *inside]
        case Assign(target, value, comment):
            flat = value_lines(value, indent, f"{target} = ")
            after = f"  # {_one_line(comment)}" if comment else ""
            if comment and len(flat) == 1 and len(flat[0] + after) > WIDTH:
                # Formatters would break the statement to make room for the comment: it goes above instead.
                return [f"{indent}{after.lstrip()}", *flat]
            return value_lines(value, indent, f"{target} = ", after)
        case Unpack(targets, value):
            return _value_or_values(value, indent, f"{', '.join(targets)} = ")
        case Return(value):
            return _value_or_values(value, indent, "return ")
        case Do(value):
            return broken(value, indent, "", "")


def _value_or_values(value: Expression, indent: str, before: str) -> list[str]:
    """A value after a text; several values without brackets, if they fit on the line."""
    if isinstance(value, TupleOf) and len(value.items) > 1:
        bare = indent + before + render_expression(value)[1:-1]
        if len(bare) <= WIDTH:
            return [bare]
    return value_lines(value, indent, before)


def _docstring(text: str, indent: str) -> list[str]:
    """A docstring that holds any text as text: backslashes, quotes and control characters lose their meaning."""
    lines: list[str] = []
    for line in text.replace("\\", "\\\\").replace('"""', "'''").split("\n"):
        lines += _wrapped(_one_line(line), WIDTH - len(indent)) if line.strip() else [""]
    lines = [line for i, line in enumerate(lines) if line or (i and lines[i - 1])]  # one empty line between paragraphs
    lines = lines if not lines or lines[-1] else lines[:-1]
    first = "".join(lines[:1])
    opening = f'{indent}"""{" " if first.startswith(chr(34)) else ""}{first}'
    if len(lines) <= 1:
        return [f'{opening}{" " if first.endswith(chr(34)) else ""}"""']
    return [opening, *(f"{indent}{line}".rstrip() for line in lines[1:]), f'{indent}"""']


def _wrapped(line: str, width: int) -> list[str]:
    """The words of a line in lines that fit, with room for the quotes around the first; wide characters count twice."""
    lines: list[str] = []
    room = 0
    for word in line.split():
        columns = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in word) + 1
        if columns > room:
            lines.append(word)
            room = width + 1 - (7 if len(lines) == 1 else 0)
        else:
            lines[-1] += f" {word}"
        room -= columns
    return lines


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _function(function: Function, indent: str) -> list[str]:
    lines = _signature(function, indent)
    inner = indent + INDENT
    if function.docstring:
        lines += [*_docstring(function.docstring, inner)]
    for statement in function.body:
        lines += _statement(statement, inner)
    return lines


def _signature(function: Function, indent: str) -> list[str]:
    """The line of the `def`, broken at its parameters, or before what it returns where it has none."""
    returns = f" -> {function.returns}" if function.returns else ""
    opening, deeper = f"{indent}def {function.name}(", indent + INDENT
    flat = f"{opening}{', '.join(function.parameters)}){returns}:"
    if len(flat) <= WIDTH:
        return [flat]
    if not function.parameters:
        return [f"{opening}) -> (", deeper + function.returns, f"{indent}):"] if returns else [flat]
    together = deeper + ", ".join(function.parameters)
    each = [f"{deeper}{parameter}," for parameter in function.parameters]
    closing = _closing(function.returns, indent) if returns else [f"{indent}):"]
    return [opening, *([together] if len(together) <= WIDTH and len(each) > 1 else each), *closing]


def _closing(returns: str, indent: str) -> list[str]:
    """From the end of the parameters to that of the signature, broken at what is returned where that is long."""
    kinds = returns.split(" | ")
    if len(kinds) == 1 or len(f"{indent}) -> {returns}:") <= WIDTH:
        return _annotation(returns, indent, ") -> ", ":")
    lines = (_annotation(kind, indent + INDENT, "| " if index else "") for index, kind in enumerate(kinds))
    return [f"{indent}) -> (", *itertools.chain.from_iterable(lines), f"{indent}):"]


def _annotation(annotation: str, indent: str, before: str, after: str = "") -> list[str]:
    """`tuple[Tensor, Tensor]` between two texts, its parts on lines of their own where that is too long."""
    flat = f"{indent}{before}{annotation}{after}"
    if len(flat) <= WIDTH or "[" not in annotation:
        return [flat]
    outer, _, inner = annotation.removesuffix("]").partition("[")
    together = f"{indent}{INDENT}{inner}"
    each = [f"{indent}{INDENT}{part}," for part in inner.split(", ")]
    return [f"{indent}{before}{outer}[", *([together] if len(together) <= WIDTH else each), f"{indent}]{after}"]


def _definition(definition: Definition) -> list[str]:
    match definition:
        case Verbatim(text):
            return text.strip("\n").split("\n")
        case Function():
            return _function(definition, "")
        case Class(class_name, base, docstring, body):
            head = f"class {class_name}({base}):"
            lines = [head] if len(head) <= WIDTH else [f"class {class_name}(", INDENT + base, "):"]
            lines += _docstring(docstring, INDENT)
            for function in body:
                lines += ["", *_function(function, INDENT)]
            return lines


def render(module: Module) -> str:
    """The text of a file, ending in a newline."""
    lines = _docstring(module.docstring, "")
    for group in module.imports:
        lines += ["", *group]
    for definition in module.body:
        lines += ["", "", *_definition(definition)]
    return "\n".join(lines) + "\n"
