import numpy as np
import pytest

from netspec.graph import Graph
from netspec.ops import Rescale
from netspec.passes.channel_map import ChannelMap
from netspec.passes.fold_affine_ahead import PASS, FoldAhead
from netspec.testing.networks import Chain
from tests.passes.pass_helpers import changed, names

LAYERS: dict[str, tuple[str, dict[str, object]]] = {
    "conv": ("conv2d", {"filters": 6, "kernel_size": 3}),
    "without bias": ("conv2d", {"filters": 6, "kernel_size": 3, "bias": False}),
    "in groups": ("conv2d", {"filters": 6, "kernel_size": 3, "groups": 2, "stride": 2, "bias": False}),
    "depthwise": ("conv2d", {"filters": 8, "kernel_size": 1, "groups": 4}),
}


def normed() -> Chain:
    return Chain("g", image=(4, 6, 5)).add("norm", "batch_norm", epsilon=1e-2)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_norm_and_the_convolution_after_it_become_one(layer: str) -> None:
    kind, attributes = LAYERS[layer]
    rewrite = changed(PASS, normed().add("layer", kind, **attributes).graph())
    assert names(rewrite.graph) == ["layer"]
    assert rewrite.changed == ("norm",)
    assert rewrite.graph.nodes[0].inputs == ("image",)
    assert "layer.bias" in rewrite.graph.weights
    assert not rewrite.meaning


@pytest.mark.parametrize("groups", [1, 2])
def test_a_norm_and_the_dense_layer_after_it_become_one(groups: int) -> None:
    graph = Chain("g", x=(4,)).add("norm", "batch_norm").add("fc", "dense", units=6, groups=groups, bias=False).graph()
    assert names(changed(PASS, graph).graph) == ["fc"]


def test_tokens_are_scaled_along_their_features() -> None:
    chain = Chain("g", x=(3, 4)).add("scale", "layer_scale", axis=-1).add("fc", "dense", units=2, bias=False)
    rewrite = changed(PASS, chain.graph())
    assert list(rewrite.graph.weights) == ["fc.weight"]


@pytest.mark.parametrize("kind", ["conv2d", "conv_transpose2d"])
@pytest.mark.parametrize("groups", [1, 2])
def test_scales_are_folded_into_padded_and_transposed_convolutions_too(kind: str, groups: int) -> None:
    chain = Chain("g", image=(4, 6, 5)).add("scale", "layer_scale")
    chain.add("layer", kind, filters=6, kernel_size=3, padding=1, groups=groups, bias=False)
    rewrite = changed(PASS, chain.graph())
    assert names(rewrite.graph) == ["layer"]
    assert list(rewrite.graph.weights) == ["layer.weight"]


def test_maps_in_a_row_are_folded_into_every_layer_that_reads_them() -> None:
    chain = normed().add("p", "parameter", shape=[4, 1, 1]).add("turned", "subtract", reads=("p", "norm"))
    chain.add("a", "conv2d", filters=2, kernel_size=3).add("b", "conv2d", reads="turned", filters=3, kernel_size=1)
    rewrite = changed(PASS, chain.add("c", "conv2d", reads="norm", filters=3, kernel_size=1).graph("a", "b", "c"))
    assert names(rewrite.graph) == ["a", "b", "c"]
    assert rewrite.changed == ("norm", "p", "turned")
    assert {value for node in rewrite.graph.nodes for value in node.inputs} == {"image"}


def test_folded_weights_are_as_worked_out_by_hand() -> None:
    weights = {"fc.weight": np.array([[1.0, 2.0], [3.0, 4.0]])}
    before = weights["fc.weight"].copy()
    found = dict(weights)
    FoldAhead("fc", ChannelMap("map", Rescale(scale=2.0, offset=-1.0), "x")).apply(found)
    np.testing.assert_array_equal(found["fc.weight"], [[2.0, 4.0], [6.0, 8.0]])
    np.testing.assert_array_equal(found["fc.bias"], [-3.0, -7.0])
    np.testing.assert_array_equal(weights["fc.weight"], before)


def test_initializers_of_changed_weights_are_removed() -> None:
    graph = normed().add("layer", "conv2d", filters=2, kernel_size=1, initialize={"weight": 0.5}).graph()
    assert not changed(PASS, graph).graph.nodes[0].op.initialize


@pytest.mark.parametrize(
    "graph",
    [
        normed().add("conv", "conv2d", filters=4, kernel_size=3).graph("norm", "conv"),
        normed().add("conv", "conv2d", filters=4, kernel_size=3, padding={"left": 1}).graph(),
        normed().add("up", "conv_transpose2d", filters=4, kernel_size=3).graph(),
        normed().add("conv", "conv2d", filters=4, kernel_size=3).add("act", "tanh", reads="norm").graph("conv", "act"),
        normed().add("act", "relu").add("conv", "conv2d", filters=4, kernel_size=3).graph(),
        Chain("g", x=(4, 3)).add("norm", "batch_norm").add("fc", "dense", units=2).graph(),
        Chain("g", x=(3, 4)).add("p", "parameter", shape=[3, 1]).add("s", "add", reads=("x", "p"))
        .add("fc", "dense", units=2).graph(),
        Chain("g", image=(4, 6, 5)).add("norm", "batch_norm").graph(),
    ],
    ids=["an output", "padding", "transposed", "another reader", "a ReLU", "a norm along L", "a sum along L", "unread"],
)  # fmt: skip
def test_what_it_leaves_alone(graph: Graph) -> None:
    assert PASS.run(graph) is None


def test_not_in_training() -> None:
    assert PASS.levels == ("inference",)
