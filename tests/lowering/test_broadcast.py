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


def fused() -> Chain:
    """A weighting of an input by values that are computed from two learned ones."""
    chain = Chain("fused", x=(4,)).add("a", "parameter", shape=[4]).add("b", "parameter", shape=[4])
    chain.add("both", "concat", ("a", "b")).add("half", "slice", part=0, of=2).add("sum", "reduce_sum", axes=[1])
    chain.add("spread", "reshape", shape=[1]).add("share", "divide", ("half", "spread"))
    return chain.add("scaled", "multiply", ("x", "share"))


def test_functions_of_several_learned_values_stay_one_sample() -> None:
    assert broadcastable_nodes(fused().graph()) == {"a", "b", "both", "half", "sum", "spread", "share"}


def test_learned_values_become_a_batch_together() -> None:
    """A concatenation takes all of one sample, or a batch of each."""
    read_as_batch = fused().add("other", "concat", ("b", "x")).graph("scaled", "other")
    assert broadcastable_nodes(read_as_batch) == frozenset()
    shown = fused().graph("scaled", "both")
    assert broadcastable_nodes(shown) == frozenset()


def test_parts_hand_batches_to_one_another() -> None:
    graph = fused().graph()
    assert broadcastable_nodes(graph, lambda node: node.name == "both") == frozenset()
    assert broadcastable_nodes(graph, lambda node: node.name == "x")


@pytest.mark.parametrize("op", ["dropout", "stochastic_depth"])
def test_a_mask_is_of_each_sample(op: str) -> None:
    """Else all samples of a batch would share the mask of a learned value, in PyTorch alone."""
    chain = Chain("noisy", x=(4,)).add("w", "parameter", shape=[4]).add("drop", op, rate=0.5)
    assert broadcastable_nodes(chain.add("sum", "add", ("x", "drop")).graph()) == frozenset()
