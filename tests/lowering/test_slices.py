"""Which consecutive slices are written as one."""

import sys

from netspec.graph import Graph
from netspec.lowering.blocks.parts import split
from netspec.lowering.python.slices import slices_to
from netspec.testing.networks import Chain


def sliced(*axes: int) -> Graph:
    """Return a chain of slices along these axes."""
    chain = Chain("sliced", image=(4, 4, 4))
    for number, axis in enumerate(axes):
        chain.add(f"s{number}", "slice", axis=axis, start=0, stop=4)
    return chain.graph()


def rows(graph: Graph) -> list[tuple[str, ...]]:
    """Return the names of the nodes that are written as one expression, by their slices."""
    return [tuple(each.name for each in slices_to(graph, split(graph), node)) for node in graph.nodes]


def test_a_row_ends_where_an_axis_comes_again() -> None:
    assert rows(sliced(2, 3)) == [(), ("s0", "s1")]
    assert rows(sliced(2, 2, 3, 1, 3)) == [("s0",), (), (), ("s1", "s2", "s3"), ("s4",)]


def test_a_row_ends_where_a_slice_is_an_output_or_read_twice() -> None:
    chain = Chain("read", image=(4, 4, 4)).add("a", "slice", axis=2, start=0, stop=3)
    chain.add("b", "slice", axis=3, start=0, stop=3)
    assert rows(chain.graph("a", "b")) == [("a",), ("b",)]
    assert rows(chain.graph("b")) == [(), ("a", "b")]
    graph = chain.add("c", "slice", "a", axis=3, start=1, stop=4).graph("b", "c")
    assert rows(graph) == [("a",), ("b",), ("c",)]


def test_a_row_is_found_however_many_slices_stand_before_it() -> None:
    graph = sliced(*[2, 3] * sys.getrecursionlimit())
    last = graph.nodes[-2:]
    assert slices_to(graph, split(graph), last[1]) == last
