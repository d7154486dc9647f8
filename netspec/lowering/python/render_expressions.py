"""Rendering of expressions: on one line, or broken to fit into 88 columns, in the layout of `ruff format`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from netspec.lowering.python.source import (
    LOGIC,
    Attribute,
    Binary,
    Call,
    Conditional,
    Each,
    Expression,
    Extreme,
    Formatted,
    ListOf,
    Literal,
    Name,
    Negative,
    Not,
    Range,
    Repeated,
    Subscript,
    TupleOf,
    less,
)

WIDTH: Final = 88
INDENT: Final = "    "
COMPARISONS: Final = ("==", "!=", "<", "<=", ">", ">=")
CHAINS: Final = ("+", "*", "/", "@", *LOGIC)  # operators that are chained without parentheses: a + b + c


def render_expression(expression: Expression) -> str:
    """Render an expression on one line.

    >>> render_expression(Call(Name("nn.Linear"), (Literal(3), Literal(4)), (("bias", Literal(False)),)))
    'nn.Linear(3, 4, bias=False)'
    """
    match expression:
        case Name(path):
            return path
        case Literal(value):
            return _literal(value)
        case Call(function, _, _):
            return f"{_trailed(function)}({', '.join(_arguments(expression))})"
        case Attribute(value, attribute):
            return f"{_trailed(value)}.{attribute}"
        case Subscript(value, items):
            return f"{_trailed(value)}[{', '.join(map(_index, items))}]"
        case Not(value) | Negative(value):
            return f"{'not ' if isinstance(expression, Not) else '-'}{_primary(value)}"
        case Binary() | Extreme():
            return _binary(expression)
        case ListOf(items):
            return f"[{_listed(items)}]"
        case TupleOf(items):
            inside = ", ".join(map(render_expression, items))
            return f"({inside},)" if len(items) == 1 else f"({inside})"
        case Conditional(value, test, otherwise):
            chosen, condition, other = map(_branch, (value, test, otherwise))
            return f"{chosen} if {condition} else {other}"
        case Repeated(value) | Each(value):
            return f"*({render_expression(value)} {_loop(expression)})"
        case Formatted(parts):
            return f'f"{"".join(map(_formatted, parts))}"'


def _formatted(part: str | Name | Binary) -> str:
    """Render a part of an f-string; a number that is known is plain text."""
    if isinstance(part, str):
        return part
    text = render_expression(part)
    return text if text.isdecimal() else f"{{{text}}}"


def _listed(items: tuple[Expression, ...]) -> str:
    """The inside of a list."""
    match items:
        case (Repeated(value) | Each(value) as repeated,):
            return f"{render_expression(value)} {_loop(repeated)}"
        case _:
            return ", ".join(map(render_expression, items))


def render_target(target: Expression) -> str:
    """Render what a loop assigns: names, or a tuple of them without its outer parentheses."""
    text = render_expression(target)
    return text[1:-1] if isinstance(target, TupleOf) else text


def _loop(repeated: Repeated | Each) -> str:
    if isinstance(repeated, Each):
        return f"for {render_target(repeated.target)} in {render_expression(repeated.iterable)}"
    return f"for {repeated.index or '_'} in range({render_expression(repeated.number)})"


def _loop_lines(repeated: Repeated | Each, indent: str) -> list[str]:
    """Render the `for` of a generator expression: on one line, or broken at its brackets."""
    if isinstance(repeated, Each):
        return broken(repeated.iterable, indent, f"for {render_target(repeated.target)} in ", "")
    return [indent + _loop(repeated)]


def _index(item: int | str | Range | Expression) -> str:
    """Render an item of a subscript, with spaces around the colon if a bound is not simple, as `ruff format` does."""
    if isinstance(item, int | str):
        return _literal(item)
    if not isinstance(item, Range):
        return render_expression(item)
    bounds = (item.start, item.stop, item.step)
    start, stop, step = ("" if bound is None else render_expression(bound) for bound in bounds)
    if all(map(_is_simple, item.bounds)):
        return f"{start}:{stop}" + (f":{step}" if step else "")
    text = " ".join(filter(None, (start, ":", stop)))
    return text + (f"{' ' if stop else ''}: {step}" if step else "")


def _is_simple(bound: Expression) -> bool:
    """Whether the colon of a range is written without a space beside this bound."""
    if isinstance(bound, Negative):
        return _is_simple(bound.value)
    return isinstance(bound, Literal) or (isinstance(bound, Name) and "." not in bound.path)


def _literal(value: object) -> str:
    if isinstance(value, tuple):
        return render_expression(TupleOf(tuple(Literal(v) for v in value)))
    if isinstance(value, str):
        return _quoted(value)
    return repr(value).replace("e+", "e").replace("e-0", "e-")  # 1e-5 for 1e-05


def _quoted(text: str) -> str:
    """Render an ASCII string literal in double quotes, or in single quotes if those need fewer escapes."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    body = text.encode("unicode_escape").decode("ascii")
    return quote + body.replace(quote, f"\\{quote}") + quote


def _primary(expression: Expression) -> str:
    """Render an operand of an arithmetic operator or of a sign."""
    text = render_expression(expression)
    return f"({text})" if isinstance(expression, Binary | Conditional | Not) else text


def _trailed(expression: Expression) -> str:
    """Render an expression that a call, an attribute or a subscript follows; those bind closer than a sign."""
    signed = isinstance(expression, Negative | Literal) and render_expression(expression).startswith("-")
    return f"({render_expression(expression)})" if signed else _primary(expression)


def _binary(expression: Binary | Extreme) -> str:
    if isinstance(expression, Extreme):
        return f"{expression.function}({render_expression(expression.left)}, {render_expression(expression.right)})"
    operator, left, right = expression.operator, expression.left, expression.right
    if operator == "-" and isinstance(left, Literal) and isinstance(right, Literal):
        return render_expression(less(left, int(str(right.value))))
    if operator in COMPARISONS:
        return f"{_compared(left)} {operator} {_compared(right)}"
    chain = isinstance(left, Binary) and left.operator == operator in CHAINS
    return f"{render_expression(left) if chain else _operand(left, operator)} {operator} {_operand(right, operator)}"


def _operand(expression: Expression, operator: str) -> str:
    """Render an operand of an operator: `not`, comparisons and arithmetic bind closer than `and` and `or`."""
    arithmetic = isinstance(expression, Binary) and expression.operator not in LOGIC
    closer = operator in LOGIC and (arithmetic or isinstance(expression, Not))
    return render_expression(expression) if closer else _primary(expression)


def _compared(expression: Expression) -> str:
    """Render one side of a comparison: arithmetic binds closer."""
    arithmetic = isinstance(expression, Binary) and expression.operator not in COMPARISONS
    return render_expression(expression) if arithmetic else _primary(expression)


def _branch(expression: Expression) -> str:
    """Render a branch or the test of a conditional; only another conditional needs parentheses."""
    text = render_expression(expression)
    return f"({text})" if isinstance(expression, Conditional) else text


def _arguments(expression: Call) -> list[str]:
    positional = [render_expression(a) for a in _written_out(expression.args)]
    return positional + [f"{k}={render_expression(v)}" for k, v in expression.kwargs]


def value_lines(value: Expression, indent: str, before: str, after: str = "") -> list[str]:
    """Render the value of a statement between two texts: on one line, broken at its brackets, or in parentheses."""
    deeper = indent + INDENT
    if isinstance(value, Binary | Conditional) and len(f"{indent}{before}{render_expression(value)}{after}") > WIDTH:
        inside = _operand_lines(value, deeper) if isinstance(value, Binary) else _branch_lines(value, deeper)
        return [f"{indent}{before}(", *inside, f"{indent}){after}"]
    lines = broken(value, indent, before, after)
    if len(lines[0]) <= WIDTH:
        return lines
    # The line up to the opening bracket is too long: use parentheses around the value, if all lines then fit.
    inside = broken(value, deeper, "", "")
    if isinstance(value, Name) and "." not in value.path:
        around = [f"{indent}{before}(", inside[0] + after, f"{indent})"]
    else:
        around = [f"{indent}{before}(", *inside, f"{indent}){after}"]
    return around if max(map(len, around)) <= WIDTH else lines


def _operand_lines(chain: Binary, indent: str) -> list[str]:
    """Render a chain of one operator, inside parentheses: on one line, or one operand per line."""
    flat = indent + render_expression(chain)
    if len(flat) <= WIDTH:
        return [flat]
    operands: list[Expression] = [chain.right]
    left = chain.left
    while isinstance(left, Binary) and left.operator == chain.operator:
        operands.append(left.right)
        left = left.left
    rest = [f"{indent}{chain.operator} {_operand(operand, chain.operator)}" for operand in reversed(operands)]
    return [indent + _operand(left, chain.operator), *rest]


def _branch_lines(conditional: Conditional, indent: str) -> list[str]:
    """Render a conditional, inside parentheses: on one line, or with new lines before each `if` and `else`."""
    flat = indent + render_expression(conditional)
    if len(flat) <= WIDTH:
        return [flat]
    lines, before = [], ""
    rest: Expression = conditional
    while isinstance(rest, Conditional):
        lines += [*broken(rest.value, indent, before, ""), *broken(rest.test, indent, "if ", "")]
        rest, before = rest.otherwise, "else "
    return [*lines, *broken(rest, indent, before, "")]


def broken(expression: Expression, indent: str, before: str, after: str) -> list[str]:
    """Render `before` + expression + `after`: on one line, broken at its brackets, or with one item per line."""
    flat = f"{indent}{before}{render_expression(expression)}{after}"
    if len(flat) <= WIDTH:
        return [flat]
    match expression:
        case Call(Call() as inner) if _items(inner) and len(f"{indent}{before}{render_expression(inner)}(") > WIDTH:
            # layer(...)(x) with a long inner call: break that one, and keep `(x)` on its closing line if it fits.
            *layer, last = broken(inner, indent, before, f"({', '.join(_arguments(expression))}){after}")
            if len(last) <= WIDTH:
                return [*layer, last]
            return [*layer, *_bracketed(_items(expression), indent, ")(", f"){after}", together=True)]
        case Call(function):
            opening = f"{before}{_trailed(function)}("
            return _bracketed(_items(expression), indent, opening, f"){after}", together=True)
        case Extreme(function, left, right):
            return _bracketed([("", left), ("", right)], indent, f"{before}{function}(", f"){after}", together=True)
        case ListOf((Repeated(value) | Each(value) as repeated,)):
            inside = broken(value, indent + INDENT, "", "")
            return [f"{indent}{before}[", *inside, *_loop_lines(repeated, indent + INDENT), f"{indent}]{after}"]
        case ListOf(items):
            return _bracketed([("", item) for item in items], indent, f"{before}[", f"]{after}")
        case TupleOf(items):
            return _bracketed([("", item) for item in items], indent, f"{before}(", f"){after}")
        case Repeated(value) | Each(value):
            inside = broken(value, indent + INDENT, "", "")
            return [f"{indent}{before}*(", *inside, *_loop_lines(expression, indent + INDENT), f"{indent}){after}"]
        case Subscript(value, indices) if len(indices) > 1:
            deeper, each = indent + INDENT, list(map(_index, indices))
            line = deeper + ", ".join(each)
            lines = [line] if len(line) <= WIDTH else [f"{deeper}{index}," for index in each]
            return [f"{indent}{before}{_trailed(value)}[", *lines, f"{indent}]{after}"]
        case Literal(tuple() as values):
            return broken(TupleOf(tuple(map(Literal, values))), indent, before, after)
        case _:
            return [flat]


def _items(expression: Call) -> list[tuple[str, Expression]]:
    """The arguments of a call, each with its prefix: `keyword=`, or empty if positional."""
    return [("", a) for a in _written_out(expression.args)] + [(f"{k}=", v) for k, v in expression.kwargs]


def _written_out(arguments: tuple[Expression, ...]) -> Iterator[Expression]:
    """The arguments, with those that are repeated once or twice written out."""
    for argument in arguments:
        if isinstance(argument, Repeated) and argument.is_written_out and isinstance(argument.number, Literal):
            yield from [argument.value] * int(str(argument.number.value))
        else:
            yield argument


def _bracketed(
    items: list[tuple[str, Expression]], indent: str, opening: str, closing: str, *, together: bool = False
) -> list[str]:
    """Render items on lines between brackets: all on one line if `together` and they fit, else one per line."""
    if not items:
        return [indent + opening + closing]
    deeper = indent + INDENT
    line = deeper + ", ".join(prefix + render_expression(item) for prefix, item in items)
    if together and len(line) <= WIDTH:
        return [indent + opening, line, indent + closing]
    lines = [line for prefix, item in items for line in broken(item, deeper, prefix, ",")]
    return [indent + opening, *lines, indent + closing]
