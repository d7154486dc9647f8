"""The names of the numbers of a class or function: they follow the source of the number, not a chance equality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from netspec.graph import Formula
from netspec.lowering.blocks.formulas import UNKNOWN, read_formula, value_in
from netspec.lowering.blocks.kinds import kinds_of, may_name
from netspec.lowering.blocks.known import ABSENT, Given
from netspec.lowering.blocks.numbers import Numbers
from netspec.lowering.blocks.places import Place
from netspec.lowering.python.render_expressions import render_expression
from netspec.lowering.python.source import Binary, Literal, Name, Negative, TupleOf


def numbers_of(
    says: Mapping[str, str] | None = None,
    channels: str = "",
    constants: Mapping[str, int] | None = None,
    **hints: tuple[object, ...],
) -> Numbers:
    """Return the numbers of instances with these arguments. `says` has the block's text of a number or default."""
    formulas = []
    for where, code in (says or {}).items():
        layer, _, attribute = where.rpartition(".")
        formulas.append(Formula(layer, attribute, code))
    rows = [{name: own[i] for name, own in hints.items()} for i in range(len(next(iter(hints.values()))))]
    given = []
    for row in rows:
        seen = {**row, **(constants or {})} | ({"channels": row[channels]} if channels else {})
        given.append(Given(tuple(row.items()), tuple(formulas), seen, channels))  # type: ignore[arg-type]
    return Numbers(given, {"self"})


def at(member: str, role: str = "size", default: object = None) -> Place:
    return Place(member, member, role, kinds_of(role), default)  # type: ignore[arg-type]


def test_numbers_are_named_after_the_arguments_of_the_block() -> None:
    names = numbers_of(width=(64, 128, 128), stride=(1, 2, 1), groups=(1, 1, 1))
    assert names.expression((64, 128, 128), at("conv", "out_channels")) == Name("width")
    assert names.expression((256, 512, 512), at("conv", "out_channels")) == Binary("*", Name("width"), Literal(4))
    assert names.expression((16, ABSENT, 32), at("conv", "in_channels")) == Binary("//", Name("width"), Literal(4))
    assert names.expression((ABSENT, 2, 1), at("conv", "stride", 1)) == Name("stride")
    assert names.expression((7, 8, 9), at("conv", "padding", 0)) == Name("padding")
    assert names.expression((7, 8, ABSENT), at("other", "padding")) == Name("padding"), "the same values, one parameter"
    assert names.expression((3, 4, 3), at("conv", "padding", 0)) == Name("conv_padding")
    assert names.expression((True, False, False), at("conv", "bias", True)) == Name("bias"), "True is not 1"
    found = {p.name: (p.values, p.default, p.annotation) for p in names.used.parameters()}
    assert found["stride"] == ((1, 2, 1), 1, "int")
    assert found["bias"] == ((True, False, False), True, "bool")
    assert found["padding"][1] is None, "one of its places has no default"
    assert next(iter(found)) == "width", "what has to be given comes first"


def test_a_tuple_of_known_values_is_not_a_new_parameter() -> None:
    names = numbers_of(width=(64, 128, 256))
    found = names.expression(((64, 1), ABSENT, (256, 1)), at("scale"))
    assert found == TupleOf((Name("width"), Literal(1)))
    found = names.expression(((128,), (256,), (512,)), at("norm"))
    assert found == TupleOf((Binary("*", Name("width"), Literal(2)),))
    assert [p.name for p in names.used.parameters()] == ["width"]
    assert names.expression(((64, 1), (128, 1), (256, 2)), at("other")) == Name("other_size")
    assert names.expression(((64,), (128, 1), (256,)), at("third")) == Name("third_size")
    assert names.expression(((1,), (True,), (1,)), at("fourth")) == Name("fourth_size"), "True is not 1"


@pytest.mark.parametrize(
    ("hint", "role"),
    [
        ("count", "kernel_size"),
        ("count", "stride"),
        ("filters", "stride"),
        ("stride", "kernel_size"),
        ("stride", "out_channels"),
        ("kernel_size", "padding"),
        ("rate", "eps"),
        ("kernel_size", "size"),
        ("stride", "size"),
        ("groups", "in_channels"),
    ],
)
def test_a_value_that_is_equal_by_chance_gives_no_name_to_another_kind(hint: str, role: str) -> None:
    for factor in (1, 2):
        names = numbers_of(**{hint: (1, 2, 4)})
        found = names.expression(tuple(factor * v for v in (1, 2, 4)), at("conv", role))
        assert found == Name("conv_size" if role == "size" else role)


def test_the_kind_of_a_name_is_its_use_in_the_spec() -> None:
    says = {"conv.filters": "stride", "conv.stride": "count"}
    names = numbers_of(says, stride=(8, 16), count=(1, 2), spare=(1, 2))
    assert names.expression((8, 16), at("conv", "out_channels")) == Name("stride"), "whatever the spec calls it"
    assert names.expression((1, 2), at("conv", "stride", 1)) == Name("count")
    assert names.expression((8, 16), at("other", "stride", 1)) == Name("other_stride"), "a new one: those are channels"


def test_the_spec_decides_between_two_names_of_equal_values() -> None:
    says = {"first.filters": "narrow", "second.filters": "wide"}
    names = numbers_of(says, wide=(8, 16), narrow=(8, 16))
    assert names.expression((8, 16), at("first", "out_channels")) == Name("narrow")
    assert names.expression((8, 16), at("second", "out_channels")) == Name("wide")


def test_expressions_are_those_of_the_spec() -> None:
    says = {
        "conv.padding": "kernel // 2",
        "conv.kernel_size": "kernel",
        "conv.filters": "channels // 2",
        "map.shape": "side ** 2",
        "cut.shape": "(side - 1) * heads",
        "cut.axis": "max(side, 1)",
    }
    names = numbers_of(
        says, channels="in_channels", constants={"heads": 3}, kernel=(1, 3, 5), in_channels=(8, 16, 64), side=(2, 4, 7)
    )
    rendered = {
        names.expression((0, 1, 2), at("conv", "padding", 0)): "kernel // 2",
        names.expression((4, 8, 32), at("conv", "out_channels")): "in_channels // 2",
        names.expression((4, 16, 49), at("map")): "side * side",
        names.expression(((3, 2), (9, 4), (18, 7)), at("cut")): "((side - 1) * 3, side)",
    }
    assert [render_expression(expression) for expression in rendered] == list(rendered.values())
    assert [p.name for p in names.used.parameters()] == ["in_channels", "kernel", "side"]
    assert names.expression((0, 1, 3), at("conv", "padding", 0)) == Name("padding"), "a pass changed one of them"
    assert names.expression((0, 1, 2), at("other", "padding", 0)) == Name("other_padding"), (
        "of another layer it says nothing"
    )


def test_a_name_that_the_spec_computes_is_computed() -> None:
    says = {"hidden": "expansion * width", "same": "hidden * 2 // 2", "conv.filters": "hidden", "more.filters": "same"}
    names = numbers_of(says, width=(4, 8), expansion=(1, 6), hidden=(4, 48), same=(4, 48))
    assert names.expression((4, 48), at("conv", "out_channels")) == Name("hidden")
    assert names.expression((4, 48), at("more", "out_channels")) == Name("hidden"), "another name for it"
    assert [p.name for p in names.used.parameters()] == ["width", "expansion"], "in the order of the spec"
    assert names.used.computed() == (("hidden", Binary("*", Name("expansion"), Name("width"))),)
    given = numbers_of(says, width=(4, 8), expansion=(1, 6), hidden=(4, 40), same=(4, 40))
    assert given.expression((4, 40), at("conv", "out_channels")) == Name("hidden")
    assert [p.name for p in given.used.parameters()] == ["hidden"], "it was given, and not left to the spec"
    assert given.used.computed() == ()


def test_defaults_are_those_of_the_spec() -> None:
    says = {
        "rate": "0",
        "groups": "2",
        "bias": "False",
        "kernel": "3",
        "width": "2 * groups",
        "conv.kernel_size": "kernel",
    }
    names = numbers_of(
        says, kernel=(5, 7), rate=(0.1, 0.2), groups=(1, 2), bias=(True, False), width=(9, 4), stride=(1, 2)
    )
    names.expression((5, 7), at("conv", "kernel_size"))
    names.expression((1, 2), at("conv", "stride", 1))
    names.expression((1, 2), at("conv", "groups", 1))
    names.expression((9, 4), at("conv", "out_channels"))
    names.expression((True, False), at("conv", "bias", True))
    names.expression((0.1, 0.2), at("drop", "rate"))
    found = [(p.name, p.default, p.annotation) for p in names.used.parameters()]
    assert found == [
        ("width", None, "int"),
        ("kernel", 3, "int"),
        ("rate", 0, "float"),
        ("groups", 2, "int"),
        ("stride", 1, "int"),
        ("bias", False, "bool"),
    ]


def test_a_name_for_the_channels_that_arrive_is_not_computed_from_itself() -> None:
    says = {"width": "channels", "twice": "2 * channels", "conv.filters": "width", "more.filters": "twice"}
    names = numbers_of(says, channels="in_channels", width=(4, 8), twice=(8, 16), in_channels=(4, 8))
    assert names.expression((4, 8), at("conv", "out_channels")) == Name("width")
    assert names.expression((4, 8), at("conv", "in_channels")) == Name("width")
    assert names.expression((8, 16), at("more", "out_channels")) == Name("twice")
    assert {p.name for p in names.used.parameters()} == {"width", "twice"}


def test_a_condition_may_be_computed() -> None:
    says = {"deep": "depth > 2", "conv.when": "deep", "act.when": "deep", "conv.kernel_size": "depth"}
    names = numbers_of(says, depth=(1, 3), deep=(False, True), other=(3, 4))
    assert names.conditions.flag("conv", (False, True)) == Name("deep")
    assert names.conditions.flag("act", (False, True)) == Name("deep")
    assert names.conditions.flag("drop", (True, False)) == Name("has_drop")
    assert names.used.computed() == (("deep", Binary(">", Name("depth"), Literal(2))),)
    assert [p.name for p in names.used.parameters()] == ["depth", "has_drop"]


def test_the_presence_of_a_layer_is_the_condition_of_the_spec() -> None:
    says = {"se.when": "squeezed > 0", "act.when": "act", "drop.when": "index > 0", "roll.when": "shift > 0"}
    names = numbers_of(says, squeezed=(0, 4, 8), act=(True, True, False), shift=(0, 3, 3))
    assert names.conditions.flag("se", (False, True, True)) == Binary(">", Name("squeezed"), Literal(0))
    assert names.conditions.flag("act", (True, True, False)) == Name("act")
    assert names.conditions.flag("drop", (False, False, True)) == Name("has_drop")
    assert names.conditions.flag("last", (False, False, True)) == Name("has_drop"), "together"
    assert names.conditions.flag("roll", (False, True, False)) == Name("has_roll"), "the condition says another thing"
    defaults = {p.name: p.default for p in names.used.parameters()}
    assert defaults == {"squeezed": None, "act": True, "has_drop": False, "has_roll": False}, "as most have it"


def test_input_channels_have_the_name_of_a_parameter_with_the_same_values() -> None:
    says = {"expand.when": "width != channels", "fc.units": "channels // 4", "conv.filters": "filters"}
    names = numbers_of(says, channels="in_channels", filters=(8, 16, 8), width=(8, 64, 8), in_channels=(8, 16, 8))
    flag = names.conditions.flag("expand", (False, True, False))
    assert flag == Binary("!=", Name("width"), Name("filters"))
    assert names.expression((8, 16, 8), at("conv", "in_channels")) == Name("filters")
    assert names.expression((2, 4, 2), at("fc", "out_features")) == Binary("//", Name("filters"), Literal(4))
    assert [p.name for p in names.used.parameters()] == ["filters", "width"]


def test_a_value_that_only_some_instances_have_uses_names_that_are_in_use() -> None:
    says = {"roll.when": "shift > 0", "roll.shifts": "-shift"}
    names = numbers_of(says, shift=(0, 3, 3), side=(8, 8, 4))
    assert names.spec_expression((ABSENT, -3, -3), at("roll")) is None, "no name for the sake of one number"
    names.conditions.flag("roll", (False, True, True))
    assert names.spec_expression((ABSENT, -3, -3), at("roll")) == Negative(Name("shift"))
    assert names.spec_expression((ABSENT, (-3, 5), (-3, 5)), at("roll")) == TupleOf(
        (Negative(Name("shift")), Literal(5))
    )


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("a + 2 * b[1] - c.d", 7 + 10 - 4),
        ("-a", -7),
        ("a < 9", True),
        ("t == t", True),
        ("t == 't'", False),
        ("r > 0", True),
        ("r * 2", UNKNOWN),
        ("t == 'text' and a > 9", False),
        ("t == 'text' and a", UNKNOWN),
        ("a < 3 or t == 't' or a == 7", True),
        ("t * 3", UNKNOWN),
        ("a * 2.5", UNKNOWN),
        ("a // 0", UNKNOWN),
        ("2 ** 3 ** 2", UNKNOWN),
        ("a ** a ** a", UNKNOWN),
        ("a ** 2", 49),
        ("(a // 2) ** 2", 9),
        ("(a ** 2) ** 2", UNKNOWN),
        ("max(a, b[1], 3)", 7),
        ("min(a, b[1]) - 1", 4),
        ("min(a, r)", UNKNOWN),
        ("max(a)", UNKNOWN),
        ("max(a, t)", UNKNOWN),
        ("len(b)", UNKNOWN),
        ("b[7]", UNKNOWN),
        ("nowhere", UNKNOWN),
    ],
)
def test_a_formula_is_computed_or_left_alone(code: str, value: object) -> None:
    expression = read_formula(code)
    seen = {"a": 7, "b": (3, 5), "c": {"d": 4}, "t": "text", "r": 0.5}
    assert (UNKNOWN if expression is None else value_in(expression, seen)) == value


def test_a_name_of_unknown_kind_is_used_for_channels_only() -> None:
    nothing: frozenset[str] = frozenset()
    assert may_name(nothing, kinds_of("out_channels"))
    assert not may_name(nothing, kinds_of("kernel_size"))
    assert may_name(kinds_of("filters"), kinds_of("groups")), "a depthwise convolution has as many"


def test_readers_of_a_value_share_its_channels_though_an_instance_lacks_some() -> None:
    """A dual path network projects the joined value in the first instance only, and reads it in all."""
    names = numbers_of(in_channels=(9, 33, 33), channels="in_channels")

    def reader(member: str, read: str = "joined") -> Place:
        return replace(at(member, "in_channels"), reads=read)

    assert names.expression((16, ABSENT, ABSENT), reader("shortcut")) == Name("joined_channels")
    assert names.expression((16, 56, 64), reader("conv")) == Name("joined_channels")
    assert names.expression((ABSENT, 56, ABSENT), reader("last")) == Name("joined_channels")
    assert names.expression((16, 7, ABSENT), reader("other")) == Name("joined_channels_2"), "in a branch of its own"
    assert names.expression((17, ABSENT, ABSENT), reader("head", "joined_sum")) == Name("joined_sum_channels")
    found = {parameter.name: parameter.values for parameter in names.used.parameters()}
    assert found == {
        "joined_channels": (16, 56, 64),
        "joined_channels_2": (16, 7, 16),
        "joined_sum_channels": (17, 17, 17),
    }
