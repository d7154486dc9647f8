"""Source as text, in the layout of `ruff format` with its own defaults, byte for byte."""

from __future__ import annotations

import unicodedata
from typing import Final

from netspec.lowering.source import (
    Assign,
    Attribute,
    Binary,
    Call,
    Class,
    Conditional,
    Definition,
    Do,
    Expression,
    For,
    Formatted,
    Function,
    If,
    ListOf,
    Literal,
    Module,
    Name,
    Negative,
    Range,
    Repeated,
    Return,
    Statement,
    Subscript,
    TupleOf,
    Unpack,
    Verbatim,
)

WIDTH: Final = 88
INDENT: Final = "    "
CHAINS: Final = ("+", "*", "/", "@")  # the operators of which a second one may follow without parentheses


def render_expression(expression: Expression) -> str:
    """The expression on one line.

    >>> render_expression(Call(Name("nn.Linear"), (Literal(3), Literal(4)), (("bias", Literal(False)),)))
    'nn.Linear(3, 4, bias=False)'
    """
    match expression:
        case Name(path):
            return path
        case Literal(value):
            return _literal(value)
        case Call(function, _, _):
            return f"{_primary(function)}({', '.join(_arguments(expression))})"
        case Attribute(value, attribute):
            return f"{_primary(value)}.{attribute}"
        case Subscript(value, items):
            return f"{_primary(value)}[{', '.join(map(_index, items))}]"
        case Negative(value):
            return f"-{_primary(value)}"
        case Binary(operator, left, right):
            chain = isinstance(left, Binary) and left.operator == operator in CHAINS
            return f"{render_expression(left) if chain else _primary(left)} {operator} {_primary(right)}"
        case ListOf(items):
            return f"[{', '.join(map(render_expression, items))}]"
        case TupleOf(items):
            inside = ", ".join(map(render_expression, items))
            return f"({inside},)" if len(items) == 1 else f"({inside})"
        case Conditional(value, test, otherwise):
            own, condition, other = map(_operand, (value, test, otherwise))
            return f"{own} if {condition} else {other}"
        case Repeated(value, count):
            return f"*({render_expression(value)} for _ in range({count}))"
        case Formatted(parts):
            return f'f"{"".join(part if isinstance(part, str) else f"{{{part.path}}}" for part in parts)}"'


def _index(item: int | str | Range) -> str:
    """An index as it stands inside a subscript."""
    if isinstance(item, int | str):
        return _literal(item)
    start, stop, step = ("" if bound is None else str(bound) for bound in (item.start, item.stop, item.step))
    return f"{start}:{stop}" + (f":{step}" if step else "")


def _literal(value: object) -> str:
    if isinstance(value, tuple):
        return render_expression(TupleOf(tuple(Literal(v) for v in value)))
    if isinstance(value, str):
        return _quoted(value)
    return repr(value).replace("e+", "e")


def _quoted(text: str) -> str:
    """An ASCII string literal in double quotes, or in single ones where that takes fewer escapes."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    body = text.encode("unicode_escape").decode("ascii")
    return quote + body.replace(quote, f"\\{quote}") + quote


def _primary(expression: Expression) -> str:
    text = render_expression(expression)
    return f"({text})" if isinstance(expression, Binary | Conditional) else text


def _operand(expression: Expression) -> str:
    """What a choice is between, and what it depends on: only another choice stands in parentheses."""
    text = render_expression(expression)
    return f"({text})" if isinstance(expression, Conditional) else text


def _arguments(expression: Call) -> list[str]:
    positional = [render_expression(a) for a in expression.args]
    return positional + [f"{k}={render_expression(v)}" for k, v in expression.kwargs]


def _value(value: Expression, indent: str, before: str, comment: str) -> list[str]:
    """A statement's value after `before`: on one line, broken in its own brackets, or in parentheses around it."""
    after = f"  # {_one_line(comment)}" if comment else ""
    deeper = indent + INDENT
    if isinstance(value, Binary | Conditional) and len(f"{indent}{before}{render_expression(value)}{after}") > WIDTH:
        inside = _operands(value, deeper) if isinstance(value, Binary) else _branches(value, deeper)
        return [f"{indent}{before}(", *inside, f"{indent}){after}"]
    broken = _broken(value, indent, before, after)
    if len(broken[0]) <= WIDTH:
        return broken
    # What stands before the brackets is too long: parentheses, if all lines then fit.
    inside = _broken(value, deeper, "", "")
    if isinstance(value, Name) and "." not in value.path:
        lines = [f"{indent}{before}(", inside[0] + after, f"{indent})"]
    else:
        lines = [f"{indent}{before}(", *inside, f"{indent}){after}"]
    return lines if max(map(len, lines)) <= WIDTH else broken


def _operands(chain: Binary, indent: str) -> list[str]:
    """A chain of one operator inside parentheses: on one line, or an operand a line."""
    flat = indent + render_expression(chain)
    if len(flat) <= WIDTH:
        return [flat]
    operands: list[Expression] = [chain.right]
    left = chain.left
    while isinstance(left, Binary) and left.operator == chain.operator:
        operands.append(left.right)
        left = left.left
    rest = [f"{indent}{chain.operator} {_primary(operand)}" for operand in reversed(operands)]
    return [indent + _primary(left), *rest]


def _branches(choice: Conditional, indent: str) -> list[str]:
    """A choice inside parentheses: on one line, or its value, its test and the other value each begin one."""
    flat = indent + render_expression(choice)
    if len(flat) <= WIDTH:
        return [flat]
    return [
        *_broken(choice.value, indent, "", ""),
        *_broken(choice.test, indent, "if ", ""),
        *_broken(choice.otherwise, indent, "else ", ""),
    ]


def _broken(expression: Expression, indent: str, before: str, after: str) -> list[str]:
    """`before` + expression + `after` in as few lines as fit: on one, in its brackets, or an item a line."""
    flat = f"{indent}{before}{render_expression(expression)}{after}"
    if len(flat) <= WIDTH:
        return [flat]
    match expression:
        case Call(Call() as inner) if _items(inner) and len(f"{indent}{before}{render_expression(inner)}(") > WIDTH:
            # layer(...)(x): the layer is what is long, and the call of it stays on the closing line if that fits
            *layer, last = _broken(inner, indent, before, f"({', '.join(_arguments(expression))}){after}")
            if len(last) <= WIDTH:
                return [*layer, last]
            return [*layer, *_bracketed(_items(expression), indent, ")(", f"){after}", together=True)]
        case Call(function):
            opening = f"{before}{_primary(function)}("
            return _bracketed(_items(expression), indent, opening, f"){after}", together=True)
        case ListOf(items):
            return _bracketed([("", item) for item in items], indent, f"{before}[", f"]{after}")
        case TupleOf(items):
            return _bracketed([("", item) for item in items], indent, f"{before}(", f"){after}")
        case Literal(tuple() as values):
            return _broken(TupleOf(tuple(map(Literal, values))), indent, before, after)
        case _:
            return [flat]


def _items(expression: Call) -> list[tuple[str, Expression]]:
    """A call's arguments, each after its keyword."""
    return [("", a) for a in expression.args] + [(f"{k}=", v) for k, v in expression.kwargs]


def _bracketed(
    items: list[tuple[str, Expression]], indent: str, opening: str, closing: str, *, together: bool = False
) -> list[str]:
    """Items between brackets on lines of their own: `together` on one line if that fits, or each on its own."""
    if not items:
        return [indent + opening + closing]
    deeper = indent + INDENT
    line = deeper + ", ".join(prefix + render_expression(item) for prefix, item in items)
    if together and len(line) <= WIDTH:
        return [indent + opening, line, indent + closing]
    lines = [line for prefix, item in items for line in _broken(item, deeper, prefix, ",")]
    return [indent + opening, *lines, indent + closing]


def _statement(statement: Statement | For | If, indent: str) -> list[str]:
    match statement:
        case If(test, body):
            inside = [line for own in body for line in _statement(own, indent + INDENT)]
            return [f"{indent}if {render_expression(test)}:", *inside]
        case For(variable, start, stop, body):
            bounds = f"{start}, {stop}" if start else f"{stop}"
            inside = [line for own in body for line in _statement(own, indent + INDENT)]
            return [f"{indent}for {variable} in range({bounds}):", *inside]
        case Assign(target, value, comment):
            before = f"{target} = "
            flat = _value(value, indent, before, "")
            if comment and len(flat) == 1 and len(f"{flat[0]}  # {_one_line(comment)}") > WIDTH:
                # Formatters would break the statement to make room for the comment: it goes above instead.
                return [f"{indent}# {_one_line(comment)}", *flat]
            return _value(value, indent, before, comment)
        case Unpack(targets, value):
            return _value(value, indent, f"{', '.join(targets)} = ", "")
        case Return(value):
            return _value(value, indent, "return ", "")
        case Do(value):
            return _broken(value, indent, "", "")


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
    return [opening, *([together] if len(together) <= WIDTH and len(each) > 1 else each), f"{indent}){returns}:"]


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
