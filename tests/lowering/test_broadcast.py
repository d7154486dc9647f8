"""Which learned values stay a single sample, also in networks deeper than Python's stack."""

import sys

import pytest

from netspec.graph import Graph
from netspec.lowering import find_backend
from netspec.lowering.broadcast import broadcastable_nodes
from netspec.testing.networks import Chain

DEPTH = sys.getrecursionlimit() + 10


def deep(*, learned: bool) -> Graph:
    """The sum of an input and the end of a long chain, which starts from a learned value or from another input."""
    chain = Chain("deep", x=(4,), y=(4,))
    if learned:
        chain.add("y0", "parameter", shape=[4])
    for number in range(DEPTH):
        chain.add(f"relu{number}", "relu")
    return chain.add("sum", "add", ("x", f"relu{DEPTH - 1}")).graph()


@pytest.mark.parametrize("backend", ["torch", "keras", "onnx"])
@pytest.mark.parametrize("learned", [False, True])
def test_a_chain_deeper_than_the_stack_is_lowered(backend: str, learned: bool) -> None:
    graph = deep(learned=learned)
    assert find_backend(backend).lower(graph).content


def test_a_value_of_learned_values_stays_one_sample_if_all_its_readers_broadcast_it() -> None:
    assert not broadcastable_nodes(deep(learned=False))
    graph = deep(learned=True)
    assert broadcastable_nodes(graph) == {node.name for node in graph.nodes} - {"sum"}
    chain = Chain("shared", x=(4,)).add("w", "parameter", shape=[4]).add("act", "tanh").add("sum", "add", ("x", "act"))
    assert broadcastable_nodes(chain.graph()) == {"w", "act"}
    assert not broadcastable_nodes(
        chain.add("fc", "dense", "act", units=2).graph("sum", "fc")
    )  # one reads it as a batch
    assert broadcastable_nodes(chain.graph("sum", "fc", "act")) == frozenset()
    twice = Chain("twice", x=(4,)).add("a", "parameter", shape=[4]).add("b", "parameter", shape=[4])
    assert not broadcastable_nodes(
        twice.add("sum", "add", ("a", "b", "x")).graph()
    )  # a + b would be another of one sample
