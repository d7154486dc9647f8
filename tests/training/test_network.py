"""What is trained of a network: logits, and those of its auxiliary heads."""

from pathlib import Path

import pytest

from netspec.errors import NetspecError
from netspec.graph import Graph, Head
from netspec.lowering import find_backend
from netspec.passes import optimize
from netspec.spec import load_graph
from netspec.testing.networks import Chain, auxiliary_heads
from netspec.training.network import classes_of, training_graph

HEADS = Path(__file__).parent.parent / "golden" / "heads.yaml"


def test_the_logits_of_a_head_are_what_its_softmax_reads() -> None:
    graph = training_graph(load_graph(HEADS)).check()
    assert graph.outputs == ("fc", "aux1.fc", "aux2_fc")
    assert graph.heads == (Head("aux1", "aux1.fc"), Head("aux2", "aux2_fc"))  # by the names that the recipe uses
    assert classes_of(graph) == 5
    assert "aux2" in graph.for_heads  # the softmax that nothing reads any more
    assert "prob" not in graph.for_heads
    source = str(find_backend("torch").lower(optimize(graph, "training").graph).content)
    training = source.partition("if self.training:")[2]
    assert "self.aux1(" in training
    assert "return (fc, aux1, aux2_fc)" in training


def test_a_head_that_is_dropped_has_no_part() -> None:
    whole, without = (load_graph(HEADS, {"heads": given}) for given in (True, False))
    assert without.heads == ()
    assert set(whole.weights) - set(without.weights) == {
        f"{layer}.{weight}"
        for layer in ("aux1.conv", "aux1.fc", "aux2_conv", "aux2_fc")
        for weight in ("weight", "bias")
    }
    inferred = optimize(whole, "inference").graph
    assert inferred.nodes == optimize(without, "inference").graph.nodes
    assert (inferred.outputs, inferred.heads) == (("prob",), ())


def test_only_the_main_output_counts_as_one() -> None:
    assert training_graph(auxiliary_heads()).main == ("fc",)

    def two() -> Graph:
        return Chain("two", x=(4,)).add("a", "dense", units=2).add("b", "dense", units=2).graph("a", "b")

    with pytest.raises(NetspecError, match="one output, and this one has 2: a, b"):
        training_graph(two())
