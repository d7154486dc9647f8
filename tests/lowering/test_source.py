"""Emitted text is formatted as by ruff, and nothing in a spec can become code in it."""

import ast
import functools
import itertools
import math
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from netspec.lowering import find_backend
from netspec.lowering.python.definitions import Class, Function, Module
from netspec.lowering.python.render import render
from netspec.lowering.python.render_expressions import render_expression
from netspec.lowering.python.source import (
    Attribute,
    Binary,
    Call,
    Conditional,
    Each,
    Expression,
    Extreme,
    ListOf,
    Literal,
    LiteralValue,
    Name,
    Negative,
    Range,
    Subscript,
    TupleOf,
    call,
    method,
)
from netspec.lowering.python.statements import Assign, Do, For, Return, Statement
from netspec.lowering.python.subscripts import bounds, part
from netspec.testing.networks import cropped

STRINGS = (
    "",
    "same",
    "it's",
    'say "hi"',
    "both ' and \"",
    'one \' and two ""',
    "\\",
    "\\'",
    "line\nline\r\x00\x1b",
    "é 中 \u202e \ud800",
    '"""',
    "{x} %s ${y}",
    "'); import os; os.system('true'); ('",
)
NUMBERS = (0, 1, -1, True, False, None, 4096, 1e-4, 2e-05, 0.75, 2.0, -0.5, 0.1 + 0.2, 1e16, 1e22, 1e-300, -0.0)
TEXTS = (
    "",
    "plain",
    'ends with "',
    '"starts',
    "ends with \\",
    'has """ inside',
    '"""\nimport os\n"""',
    '\\"""',
    '""""""""',
    "'''",
    "two\nlines",
    "  a paragraph\n\n\n\n   and 'another'\n\n",
    "word " * 40,
    "unbroken" * 15,
    "tab\there \u202e bidi \x00 \r\n \x0c \u2028 end",
    "é 中文字 " * 20,
    "\n\n",
)


@pytest.mark.parametrize("value", [*STRINGS, *NUMBERS, (), (1,), (1, ("a", (2.5, None)))], ids=ascii)
def test_a_literal_is_its_value(value: LiteralValue) -> None:
    text = render_expression(Literal(value))
    assert text.isascii()
    assert repr(ast.literal_eval(text)) == repr(value)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((0, 2, 1), "x[:, :2]"),
        ((1, 5, 1), "x[:, 1:]"),
        ((1, 4, 2), "x[:, 1:4:2]"),
        ((0, 5, 2), "x[:, ::2]"),
        ((0, 5, 1), "x"),
    ],
)
def test_a_part_of_an_axis(given: tuple[int, int, int], text: str) -> None:
    assert render_expression(part(Name("x"), {1: bounds(*given, size=5)})) == text
    assert render_expression(Subscript(call("f", Name("x")), (0,))) == "f(x)[0]"


@pytest.mark.parametrize("value", [Negative(Name("x")), Literal(-2.5), Binary("+", Name("x"), Name("y"))])
def test_an_attribute_of_an_operation_is_not_one_of_its_operand(value: Expression) -> None:
    text = render_expression(value)
    assert render_expression(method(value, "f")) == f"({text}).f()"
    assert render_expression(Subscript(value, (0,))) == f"({text})[0]"
    assert render_expression(Negative(method(Name("x"), "f"))) == "-x.f()"


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, [1], {"a": 1}, b"x", np.float64(1), np.int64(1), 1j, (1, (math.nan,))]
)
def test_what_is_no_literal_is_refused(value: LiteralValue) -> None:
    with pytest.raises(ValueError, match="not a"):
        Literal(value)


@pytest.mark.parametrize(
    "text", ["", "a b", "a;b", "class", "x.class", "1a", "a.", ".a", "a\n", "é", "a()", "__import__('os')"]
)
def test_what_is_no_name_is_refused(text: str) -> None:
    for make in (
        Name,
        lambda t: Assign(t, Name("x")),
        lambda t: Attribute(Name("x"), t),
        lambda t: call("f", **{t: 1}),
        lambda t: Function(t, (), ()),
        lambda t: Function("f", (t,), ()),
        lambda t: Class(t, "nn.Module", "", ()),
    ):
        with pytest.raises(ValueError, match="not a name"):
            make(text)


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_a_docstring_stays_text(text: str) -> None:
    body = (Class("Net", "object", text or "-", (Function("f", ("self",), (Return(Name("self")),), docstring=text),)),)
    tree = ast.parse(render(Module(text or "-", (), body)))
    docstring, definition = tree.body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(definition, ast.ClassDef)
    assert ast.unparse(definition.body[-1]).endswith("return self")
    docstring = ast.get_docstring(tree) or ""
    words = "".join(c if c.isprintable() else " " for c in text.replace('"""', "'''")).split()
    assert docstring.split() == (words or ([] if text else ["-"]))


@pytest.mark.parametrize("comment", ["a\nimport os", "a\rimport os", "a\x0cimport os", "a\u2028import os"])
def test_a_comment_stays_on_its_line(comment: str) -> None:
    function = Function("f", ("x",), (Assign("x", Name("x"), comment), Return(Name("x"))))
    tree = ast.parse(render(Module("m", (), (function,))))
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.Import)]


class Sources:
    """Draws source of the forms that lowerings write, with names and numbers of all lengths."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 # test data
        self._serial = itertools.count()

    def module(self) -> Module:
        definitions = [self._class() if self._random.random() < 0.6 else self._function() for _ in range(3)]
        return Module(
            self._text() or "m", (("import math",), ("import torch", "from torch import nn")), tuple(definitions)
        )

    def _class(self) -> Class:
        return Class(self._name(), "nn.Module", self._text() or "c", (self._function(), self._function()))

    def _function(self) -> Function:
        parameters = tuple(f"{self._name()}: Tensor" for _ in range(self._random.randint(0, 5)))
        statements = tuple(self._statement() for _ in range(self._random.randint(1, 8)))
        several = f"tuple[{', '.join(['Tensor'] * self._random.randint(2, 14))}]"
        returns = self._random.choice(["", "Tensor", several, f"Tensor | {several}", f"{several} | {several}"])
        returns = returns if parameters else "keras.Model"
        return Function(self._name(), parameters, statements, returns, self._text())

    def _statement(self) -> Statement | For:
        kind = self._random.random()
        if kind > 0.9:
            loop = self._each(short=True)  # a name alone that fills a line is not broken
            return For(loop.target, loop.iterable, (Assign(self._name(), loop.value),))
        if kind < 0.1:
            return Do(Call(Attribute(Call(Name("super")), "__init__")))
        if kind < 0.2:
            return Return(TupleOf(self._names(2, 7)) if kind < 0.15 else Name(self._name()))
        target = self._random.choice(["", "self."]) + self._name()
        comment = self._random.choice(["", "(N, 1000)", "(N, 96, 55, 55)", f"(N, {10 ** self._random.randint(0, 9)})"])
        return Assign(target, self._value(), comment)

    def _value(self) -> Expression:
        kind = self._random.randrange(10)
        if kind == 9:
            name = Name(self._name(short=True))  # a long name in arithmetic within arguments is not broken
            return call(
                "nn.Conv2d",
                *self._names(0, 2),
                Extreme("max", Literal(8), Binary("*", name, Literal(8))),
                kernel_size=1,
            )
        if kind == 8:
            return call("nn.Sequential", *self._literals(0, 1), self._each())
        if kind == 7:
            branches = [call(f"nn.{self._name()}", *self._literals(0, 6)) for _ in range(self._random.randint(2, 4))]
            return functools.reduce(lambda rest, value: Conditional(value, self._test(), rest), branches)
        if kind == 6:
            return Subscript(Name(self._name(short=True)), (Range(), Range(*(self._bound() for _ in range(3)))))
        if kind == 0:
            sign = self._random.choice("+*")
            operands: tuple[Expression, ...] = self._names(2, 8)
            return functools.reduce(lambda left, right: Binary(sign, left, right), operands)
        if kind == 1:
            return Name(self._name())
        if kind == 2:
            return call("torch.cat", ListOf(self._names(2, 8)), dim=1)
        if kind == 3:
            sizes = (self._random.randint(1, 99999) for _ in range(self._random.randint(1, 12)))
            return method(Name(self._name()), "reshape", -1, *sizes)
        layer = Call(
            Name(f"nn.{self._name(short=True)}"),
            self._literals(0, 3),
            tuple((self._name(short=True), literal) for literal in self._literals(0, 6)),
        )
        if kind == 4:
            return layer
        several = (ListOf(self._names(2, 6)),)
        return Call(layer, several if self._random.random() < 0.3 else self._names(1, 1))

    def _each(self, *, short: bool = False) -> Each:
        """A loop through one to three tuples, with or without an index."""
        names = [self._name(short=True) for _ in range(self._random.randint(1, 3))]
        tuples = [self._random.choice([Name(self._name(short=short)), *self._literals(1, 1)]) for _ in names]
        value = Call(Name(f"nn.{self._name()}"), (*self._literals(0, 2), *map(Name, names)))
        return Each(value, tuple(names), tuple(tuples), self._random.choice(["", "i"]))

    def _test(self) -> Expression:
        name = Name(self._name(short=True))
        return self._random.choice([name, Binary("==", name, Literal("relu")), Binary(">", name, Literal(1))])

    def _bound(self) -> Expression | None:
        name = Name(self._random.choice(["rows", "self.rows"]))
        return self._random.choice([None, Literal(2), Literal(-2), name, Negative(name), Binary("*", name, name)])

    def _literals(self, least: int, most: int) -> tuple[Literal, ...]:
        return tuple(Literal(self._literal()) for _ in range(self._random.randint(least, most)))

    def _literal(self, depth: int = 0) -> LiteralValue:
        if depth < 2 and self._random.random() < 0.2:
            return tuple(self._literal(depth + 1) for _ in range(self._random.randint(0, 4)))
        return self._random.choice([*NUMBERS, *(s for s in STRINGS if len(s) < 20)])

    def _names(self, least: int, most: int) -> tuple[Name, ...]:
        return tuple(Name(self._name()) for _ in range(self._random.randint(least, most)))

    def _name(self, *, short: bool = False) -> str:
        length = (
            self._random.randint(20, 70) if not short and self._random.random() < 0.2 else self._random.randint(1, 12)
        )
        return "".join(self._random.choices("abcdefgh", k=length)) + str(next(self._serial))

    def _text(self) -> str:
        return self._random.choice(TEXTS)


def test_the_layout_is_that_of_ruff(tmp_path: Path) -> None:
    for seed in range(200):
        (tmp_path / f"m{seed}.py").write_text(render(Sources(seed).module()), encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff", "format", "--isolated", "--no-cache", "--diff", str(tmp_path)]
    result = subprocess.run(ruff, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[:4000] + result.stderr


def test_lines_that_can_be_broken_fit(tmp_path: Path) -> None:
    operands: tuple[Expression, ...] = tuple(Name(f"operand_{i}") for i in range(12))
    total = functools.reduce(lambda left, right: Binary("+", left, right), operands)
    body = (
        Assign("x", total, "(N, 3)"),
        Assign("x", call("torch.cat", ListOf(operands), dim=1)),
        Return(TupleOf(operands)),
    )
    function = Function("forward", tuple(f"operand_{i}: Tensor" for i in range(12)), body, "Tensor", "words " * 60)
    assert max(map(len, render(Module("words " * 60, (), (function,))).splitlines())) <= 88


@pytest.mark.parametrize(
    ("backend", "row"),
    [("torch", ["conv[:, :, 1:8, 2:7]", "x[:, :, 1:, ::2]"]), ("keras", ["conv[:, 1:8, 2:7]", "x[:, 1:, ::2]"])],
)
def test_slices_in_a_row_are_one(backend: str, row: list[str]) -> None:
    """They have different axes, and no value between them is read again or is an output."""
    source = str(find_backend(backend).lower(cropped()).content)
    assert re.findall(r"= (\w+\[:.*?\])  #", source)[: len(row)] == row
    assert len(re.findall(r"\w+\[:", source)) == 2 + 2 + 3
