"""Emitted source imports the names that it uses, wherever it uses them, and no others."""

from __future__ import annotations

import pytest

from netspec.lowering.python.definitions import Class, Definition, Function, Verbatim
from netspec.lowering.python.source import Literal, Name, call
from netspec.lowering.python.statements import Assign, Do, For, If, Return
from netspec.lowering.support import used_imports

IMPORTS = {"nn": "from torch import nn"}
USED = call("nn.ReLU")


def function(*body: Do | Assign | For | If | Return, parameters: tuple[str, ...] = (), returns: str = "") -> Function:
    return Function("make", parameters, body, returns)


@pytest.mark.parametrize(
    "definition",
    [
        function(Do(USED)),
        function(Assign("x", call("f", 1, layer=USED))),
        function(For(Name("i"), call("range", 2), (Do(USED),))),
        function(If(Name("training"), (Do(Literal(0)), Do(USED)))),
        function(If(USED, (Do(Literal(0)),))),
        function(Return(Name("x")), parameters=("self", "x: nn.Module | None = None")),
        function(Return(Name("x")), returns="nn.Module"),
        Class("Block", "nn.Module", "", (function(Return(Name("x"))),)),
        Class("Block", "Base", "", (function(Do(USED)),)),
    ],
)
def test_a_name_is_found_wherever_it_is_used(definition: Definition) -> None:
    assert used_imports(IMPORTS, [definition]) == list(IMPORTS.values())


@pytest.mark.parametrize(
    "definition",
    [
        function(Do(call("self.nn.relu", "nn"))),
        function(Return(Name("x")), parameters=("nn: int", 'x: str = "nn"')),
        Class("nn", "Base", "nn.ReLU", (function(Assign("x", Literal("nn.ReLU"), "nn.ReLU")),)),
        Verbatim("x = nn.ReLU()"),  # support code brings its own imports
    ],
)
def test_attributes_texts_and_support_code_need_no_import(definition: Definition) -> None:
    assert used_imports(IMPORTS, [definition]) == []
