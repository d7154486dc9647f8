"""The trained outputs of a network: its logits, and those of its auxiliary heads."""

from pathlib import Path

import pytest

from netspec.errors import NetspecError
from netspec.graph import Graph, Head
from netspec.graph.training import classes_of, map_size, training_graph
from netspec.lowering import find_backend
from netspec.passes import optimize
from netspec.spec import load_graph
from netspec.testing.networks import Chain, auxiliary_heads

HEADS = Path(__file__).parent.parent / "golden" / "heads.yaml"


def test_the_logits_of_a_head_are_what_its_softmax_reads() -> None:
    graph = training_graph(load_graph(HEADS)).check()
    assert graph.outputs == ("fc", "aux1.fc", "aux2_fc")
    assert graph.heads == (Head("aux1", "aux1.fc"), Head("aux2", "aux2_fc"))  # by the names that the recipe uses
    assert classes_of(graph) == 5
    assert "aux2" in graph.training_only  # the softmax that nothing reads any more
    assert "prob" not in graph.training_only
    source = str(find_backend("torch").lower(optimize(graph, "training").graph).content)
    training = source.partition("if self.training:")[2]
    assert "self.aux1(" in training
    assert "return fc, aux1, aux2_fc" in training


def test_a_dropped_head_changes_nothing_else() -> None:
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


def test_a_map_of_logits_is_one_of_pixels_in_the_middle_of_the_input() -> None:
    small = Chain("small", image=(3, 9, 8)).add("conv", "conv2d", filters=4, kernel_size=3)
    probabilities = small.add("prob", "softmax", axis=1).graph()
    graph = training_graph(probabilities)
    assert (graph.outputs, classes_of(graph), map_size(graph)) == (("conv",), 4, (7, 6))
    assert map_size(training_graph(auxiliary_heads())) is None
    along_rows = Chain("rows", image=(3, 9, 8)).add("conv", "conv2d", filters=4, kernel_size=3)
    assert training_graph(along_rows.add("odd", "softmax", axis=2).graph()).outputs == ("odd",)


def test_a_map_of_logits_at_another_scale_is_refused() -> None:
    coarse = Chain("coarse", image=(3, 16, 16)).add("pool", "max_pool2d", kernel_size=2, stride=2)
    coarse.add("head", "conv2d", filters=2, kernel_size=1)
    with pytest.raises(NetspecError, match=r"each of its 8x8 logits stands for 2x2 pixels .* for each pixel\nhint: "):
        training_graph(coarse.graph())
    finer = coarse.add("up", "resize", size=15, mode="bilinear", coordinates="half_pixel")
    assert map_size(training_graph(finer.graph())) == (15, 15)  # 16 / 15 of a pixel
    larger = Chain("larger", image=(3, 4, 4)).add("up", "conv_transpose2d", filters=2, kernel_size=2, stride=2)
    with pytest.raises(NetspecError, match=r"logits of \(8, 8\) positions are no map of the pixels of an input"):
        training_graph(larger.graph())
    sequence = Chain("sequence", x=(3, 4)).add("fc", "dense", units=2).graph()
    with pytest.raises(NetspecError, match=r"a map of logits \(N, classes, H, W\), and fc is \(N, 3, 2\)"):
        training_graph(sequence)
