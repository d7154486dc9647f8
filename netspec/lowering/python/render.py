"""Rendering of modules as text, in the layout of `ruff format` with its default settings, byte for byte."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterable

from netspec.lowering.python.definitions import Class, Definition, Function, Module, Verbatim
from netspec.lowering.python.render_expressions import (
    INDENT,
    WIDTH,
    broken,
    render_expression,
    render_target,
    value_lines,
)
from netspec.lowering.python.source import Expression, TupleOf
from netspec.lowering.python.statements import Assign, Do, For, If, Return, Statement, Unpack


def _statement(statement: Statement | For | If, indent: str) -> list[str]:
    match statement:
        case If(test, body):
            return [f"{indent}if {render_expression(test)}:", *_suite(body, indent)]
        case For(target, iterable, body):
            return [*broken(iterable, indent, f"for {render_target(target)} in ", ":"), *_suite(body, indent)]
        case Assign(target, value, comment):
            flat = value_lines(value, indent, f"{target} = ")
            after = f"  # {_one_line(comment)}" if comment else ""
            if comment and len(flat) == 1 and len(flat[0] + after) > WIDTH:
                # A formatter would break the statement to make room for the comment, so put it on the line above.
                return [f"{indent}{after.lstrip()}", *flat]
            return value_lines(value, indent, f"{target} = ", after)
        case Unpack(targets, value):
            return _value_or_values(value, indent, f"{', '.join(targets)} = ")
        case Return(value):
            return _value_or_values(value, indent, "return ")
        case Do(value):
            return broken(value, indent, "", "")


def _suite(body: Iterable[Statement | For | If], indent: str) -> list[str]:
    """Render statements one level deeper."""
    return [line for statement in body for line in _statement(statement, indent + INDENT)]


def _value_or_values(value: Expression, indent: str, before: str) -> list[str]:
    """Render a value after a text; several values without parentheses, if they fit on the line."""
    if isinstance(value, TupleOf) and len(value.items) > 1:
        bare = indent + before + render_expression(value)[1:-1]
        if len(bare) <= WIDTH:
            return [bare]
    return value_lines(value, indent, before)


def _docstring(text: str, indent: str) -> list[str]:
    """Render a docstring; backslashes, quotes and control characters of the text lose their special meaning."""
    lines: list[str] = []
    for line in text.replace("\\", "\\\\").replace('"""', "'''").split("\n"):
        lines += _wrapped(_one_line(line), WIDTH - len(indent)) if line.strip() else [""]
    lines = [line for i, line in enumerate(lines) if line or (i and lines[i - 1])]  # collapse runs of empty lines
    lines = lines if not lines or lines[-1] else lines[:-1]
    first = "".join(lines[:1])
    opening = f'{indent}"""{" " if first.startswith(chr(34)) else ""}{first}'
    if len(lines) <= 1:
        return [f'{opening}{" " if first.endswith(chr(34)) else ""}"""']
    return [opening, *(f"{indent}{line}".rstrip() for line in lines[1:]), f'{indent}"""']


def _wrapped(line: str, width: int) -> list[str]:
    """Wrap the words of a line, with room for quotes in the first line; wide characters take two columns."""
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
    """The text on one line, with runs of whitespace and unprintable characters replaced by a space."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _function(function: Function, indent: str) -> list[str]:
    docstring = _docstring(function.docstring, indent + INDENT) if function.docstring else []
    return [*_signature(function, indent), *docstring, *_suite(function.body, indent)]


def _signature(function: Function, indent: str) -> list[str]:
    """Render the `def` line: on one line, or broken at its parameters, or at the return type if it has none."""
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
    """Render the end of a broken signature, `) -> returns:`, with the members of a long union on separate lines."""
    members = returns.split(" | ")
    if len(members) == 1 or len(f"{indent}) -> {returns}:") <= WIDTH:
        return _annotation(returns, indent, ") -> ", ":")
    lines = (_annotation(member, indent + INDENT, "| " if index else "") for index, member in enumerate(members))
    return [f"{indent}) -> (", *itertools.chain.from_iterable(lines), f"{indent}):"]


def _annotation(annotation: str, indent: str, before: str, after: str = "") -> list[str]:
    """Render a type such as `tuple[Tensor, Tensor]` between two texts, broken at its brackets if it is too long."""
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
    """Render a module as the text of a file, ending in a newline."""
    lines = _docstring(module.docstring, "")
    for group in module.imports:
        lines += ["", *group]
    for definition in module.body:
        lines += ["", "", *_definition(definition)]
    return "\n".join(lines) + "\n"
