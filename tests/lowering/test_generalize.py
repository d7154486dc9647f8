"""Instances of a block share a class or function if they differ only in their numbers."""

from __future__ import annotations

from netspec.lowering.blocks.generalize import Generalizer
from netspec.lowering.blocks.known import Given
from netspec.lowering.blocks.template import Draft, Signature, Unit
from netspec.lowering.python.source import Assign, Name, call


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
