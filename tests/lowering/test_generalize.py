"""Instances of a block share a class or function if they differ only in their numbers."""

from __future__ import annotations

from dataclasses import replace

from netspec.lowering.blocks.forms import Forms
from netspec.lowering.blocks.generalize import Generalizer
from netspec.lowering.blocks.groups import Group
from netspec.lowering.blocks.known import Given
from netspec.lowering.blocks.template import MARK, Draft, Signature, Unit
from netspec.lowering.python.source import Name, call
from netspec.lowering.python.statements import Assign


def draft(activation: str, last: str = "F.normalize") -> Draft:
    """An instance that calls an activation, and then another function."""
    units = (
        Unit(activation, (), (Assign(activation, call(f"F.{activation}", Name("x"))),), ("x", activation)),
        Unit("last", (), (Assign("last", call(last, Name(activation))),), (activation, "last")),
    )
    return Draft(units, ("last",), Given())


def groups(*drafts: Draft) -> list[tuple[int, ...]]:
    return [members for members, _ in Generalizer(lambda _: Signature(), ()).group(drafts)]


def test_an_instance_that_fits_nowhere_leaves_no_trace_in_later_comparisons() -> None:
    """The renamed units of the third instance are freed before those of the fourth are made, often at their address."""
    drafts = [draft("relu"), draft("tanh"), draft("sigmoid")]
    for _ in range(20):
        assert groups(*drafts, draft("tanh", "F.gelu")) == [(0, 1), (2,), (3,)]
    assert groups(*drafts, draft("tanh")) == [(0, 1, 3), (2,)]


def unit(name: str, *functions: str, reads: str) -> Unit:
    """A unit that applies functions one after the other."""
    read, output = f"{MARK}{reads}", f"{MARK}{name}"
    inputs = [read, *[output] * len(functions)]
    run = tuple(Assign(output, call(each, Name(given))) for each, given in zip(functions, inputs, strict=False))
    return Unit(name, (), run, (read, output))


def test_an_instance_that_does_not_fit_leaves_the_group_as_it_was() -> None:
    """Its second unit reads another value, which is allowed, and its third one has a statement more, which is not."""
    a, b, c = unit("a", "F.a", reads="x"), unit("b", "F.b", reads="a"), unit("c", "F.c", reads="b")
    other_b, longer_c = unit("b", "F.b", reads="x"), unit("c", "F.c", "F.d", reads="b")
    fullest = Draft((a, b, c), (f"{MARK}c",), Given())
    group = Group(fullest, Forms(lambda _: Signature()), told=True)
    assert group.join(0, fullest)
    assert not group.join(1, replace(fullest, units=(a, other_b, longer_c)))
    assert not group.is_mixed
    assert group.join(2, replace(fullest, units=(a, other_b, c)))
    assert group.is_mixed
