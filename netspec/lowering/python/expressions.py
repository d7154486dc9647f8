"""An expression as text: on one line, or in as few as it takes within the width of `ruff format`'s own defaults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from netspec.lowering.python.source import (
    Attribute,
    Binary,
    Call,
    Conditional,
    Expression,
    Formatted,
    ListOf,
    Literal,
    Name,
    Negative,
    Range,
    Repeated,
    Subscript,
    TupleOf,
)

WIDTH: Final = 88
INDENT: Final = "    "
COMPARISONS: Final = ("==", "!=", "<", "<=", ">", ">=")
LOGIC: Final = ("and", "or")
CHAINS: Final = ("+", "*", "/", "@", *LOGIC)  # the operators of which a second one may follow without parentheses


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
        case Binary():
            return _binary(expression)
        case ListOf(items):
            return f"[{_listed(items)}]"
        case TupleOf(items):
            inside = ", ".join(map(render_expression, items))
            return f"({inside},)" if len(items) == 1 else f"({inside})"
        case Conditional(value, test, otherwise):
            own, condition, other = map(_operand, (value, test, otherwise))
            return f"{own} if {condition} else {other}"
        case Repeated(value):
            return f"*({render_expression(value)} {_loop(expression)})"
        case Formatted(parts):
            return f'f"{"".join(part if isinstance(part, str) else f"{{{part.path}}}" for part in parts)}"'


def _listed(items: tuple[Expression, ...]) -> str:
    """The inside of a list."""
    match items:
        case (Repeated(value) as repeated,):
            return f"{render_expression(value)} {_loop(repeated)}"
        case _:
            return ", ".join(map(render_expression, items))


def _loop(repeated: Repeated) -> str:
    return f"for _ in range({render_expression(repeated.number)})"


def _index(item: int | str | Range) -> str:
    """An index as it stands inside a subscript."""
    if isinstance(item, int | str):
        return _literal(item)
    start, stop, step = ("" if own is None else render_expression(own) for own in (item.start, item.stop, item.step))
    if all(map(_is_simple, item.bounds)):
        return f"{start}:{stop}" + (f":{step}" if step else "")
    text = " ".join(filter(None, (start, ":", stop)))
    return text + (f"{' ' if stop else ''}: {step}" if step else "")


def _is_simple(bound: Expression) -> bool:
    """Whether the colon of a range stands close to it."""
    if isinstance(bound, Negative):
        return _is_simple(bound.value)
    return isinstance(bound, Literal) or (isinstance(bound, Name) and "." not in bound.path)


def _literal(value: object) -> str:
    if isinstance(value, tuple):
        return render_expression(TupleOf(tuple(Literal(v) for v in value)))
    if isinstance(value, str):
        return _quoted(value)
    return repr(value).replace("e+", "e").replace("e-0", "e-")  # 1e-5, as people write it


def _quoted(text: str) -> str:
    """An ASCII string literal in double quotes, or in single ones where that takes fewer escapes."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    body = text.encode("unicode_escape").decode("ascii")
    return quote + body.replace(quote, f"\\{quote}") + quote


def _primary(expression: Expression) -> str:
    text = render_expression(expression)
    return f"({text})" if isinstance(expression, Binary | Conditional) else text


def _binary(expression: Binary) -> str:
    operator, left, right = expression.operator, expression.left, expression.right
    if operator in COMPARISONS:
        return f"{_compared(left)} {operator} {_compared(right)}"
    chain = isinstance(left, Binary) and left.operator == operator in CHAINS
    return f"{render_expression(left) if chain else _beside(left, operator)} {operator} {_beside(right, operator)}"


def _beside(expression: Expression, operator: str) -> str:
    """One operand: whatever is compared binds closer than `and` and `or`."""
    closer = operator in LOGIC and isinstance(expression, Binary) and expression.operator not in LOGIC
    return render_expression(expression) if closer else _primary(expression)


def _compared(expression: Expression) -> str:
    """One side of a comparison: arithmetic binds closer."""
    arithmetic = isinstance(expression, Binary) and expression.operator not in COMPARISONS
    return render_expression(expression) if arithmetic else _primary(expression)


def _operand(expression: Expression) -> str:
    """What a choice is between, and what it depends on: only another choice stands in parentheses."""
    text = render_expression(expression)
    return f"({text})" if isinstance(expression, Conditional) else text


def _arguments(expression: Call) -> list[str]:
    positional = [render_expression(a) for a in _written_out(expression.args)]
    return positional + [f"{k}={render_expression(v)}" for k, v in expression.kwargs]


def value_lines(value: Expression, indent: str, before: str, after: str = "") -> list[str]:
    """A statement's value between what is `before` and `after` it: on one line, or in brackets of its own or around."""
    deeper = indent + INDENT
    if isinstance(value, Binary | Conditional) and len(f"{indent}{before}{render_expression(value)}{after}") > WIDTH:
        inside = _operands(value, deeper) if isinstance(value, Binary) else _branches(value, deeper)
        return [f"{indent}{before}(", *inside, f"{indent}){after}"]
    lines = broken(value, indent, before, after)
    if len(lines[0]) <= WIDTH:
        return lines
    # What stands before the brackets is too long: parentheses, if all lines then fit.
    inside = broken(value, deeper, "", "")
    if isinstance(value, Name) and "." not in value.path:
        around = [f"{indent}{before}(", inside[0] + after, f"{indent})"]
    else:
        around = [f"{indent}{before}(", *inside, f"{indent}){after}"]
    return around if max(map(len, around)) <= WIDTH else lines


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
    rest = [f"{indent}{chain.operator} {_beside(operand, chain.operator)}" for operand in reversed(operands)]
    return [indent + _beside(left, chain.operator), *rest]


def _branches(choice: Conditional, indent: str) -> list[str]:
    """A choice inside parentheses: on one line, or its value, its test and the other value each begin one."""
    flat = indent + render_expression(choice)
    if len(flat) <= WIDTH:
        return [flat]
    return [
        *broken(choice.value, indent, "", ""),
        *broken(choice.test, indent, "if ", ""),
        *broken(choice.otherwise, indent, "else ", ""),
    ]


def broken(expression: Expression, indent: str, before: str, after: str) -> list[str]:
    """`before` + expression + `after` in as few lines as fit: on one, in its brackets, or an item a line."""
    flat = f"{indent}{before}{render_expression(expression)}{after}"
    if len(flat) <= WIDTH:
        return [flat]
    match expression:
        case Call(Call() as inner) if _items(inner) and len(f"{indent}{before}{render_expression(inner)}(") > WIDTH:
            # layer(...)(x): the layer is what is long, and the call of it stays on the closing line if that fits
            *layer, last = broken(inner, indent, before, f"({', '.join(_arguments(expression))}){after}")
            if len(last) <= WIDTH:
                return [*layer, last]
            return [*layer, *_bracketed(_items(expression), indent, ")(", f"){after}", together=True)]
        case Call(function):
            opening = f"{before}{_primary(function)}("
            return _bracketed(_items(expression), indent, opening, f"){after}", together=True)
        case ListOf((Repeated(value) as repeated,)):
            inside = broken(value, indent + INDENT, "", "")
            return [f"{indent}{before}[", *inside, indent + INDENT + _loop(repeated), f"{indent}]{after}"]
        case ListOf(items):
            return _bracketed([("", item) for item in items], indent, f"{before}[", f"]{after}")
        case TupleOf(items):
            return _bracketed([("", item) for item in items], indent, f"{before}(", f"){after}")
        case Repeated(value):
            inside = broken(value, indent + INDENT, "", "")
            return [f"{indent}{before}*(", *inside, indent + INDENT + _loop(expression), f"{indent}){after}"]
        case Subscript(value, indices) if len(indices) > 1:
            deeper, each = indent + INDENT, list(map(_index, indices))
            line = deeper + ", ".join(each)
            lines = [line] if len(line) <= WIDTH else [f"{deeper}{index}," for index in each]
            return [f"{indent}{before}{_primary(value)}[", *lines, f"{indent}]{after}"]
        case Literal(tuple() as values):
            return broken(TupleOf(tuple(map(Literal, values))), indent, before, after)
        case _:
            return [flat]


def _items(expression: Call) -> list[tuple[str, Expression]]:
    """A call's arguments, each after its keyword."""
    return [("", a) for a in _written_out(expression.args)] + [(f"{k}=", v) for k, v in expression.kwargs]


def _written_out(arguments: tuple[Expression, ...]) -> Iterator[Expression]:
    """The arguments, what is repeated once or twice as often as it is."""
    for argument in arguments:
        if isinstance(argument, Repeated) and argument.is_written_out and isinstance(argument.number, Literal):
            yield from [argument.value] * int(str(argument.number.value))
        else:
            yield argument


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
    lines = [line for prefix, item in items for line in broken(item, deeper, prefix, ",")]
    return [indent + opening, *lines, indent + closing]
