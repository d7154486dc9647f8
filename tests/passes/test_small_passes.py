"""The small passes: identities, idle dropout, unused nodes, ReLU after a max-pool, channels last."""

import numpy as np
import pytest

from netspec.graph import Graph, Hint
from netspec.passes import channels_last, relu_after_max_pool, remove_dropout, remove_identities, remove_unused
from netspec.passes.remove_unused import Drop
from netspec.testing.networks import Chain
from tests.passes.pass_helpers import alone, changed, check_values, names, weights_of


def image() -> Chain:
    return Chain("g", image=(4, 6, 5))


def test_identities_are_gone_along_a_chain_of_them() -> None:
    graph = (
        image()
        .add("same", "identity")
        .add("in_order", "permute", axes=[1, 2, 3])
        .add("unpadded", "pad2d", padding=0)
        .add("as_wide", "pad")
        .add("as_it_was", "reshape", shape=[4, 6, 5])
        .add("flat", "flatten")
        .add("flat2", "flatten")
        .add("fc", "dense", units=2)
        .graph()
    )
    rewrite = changed(remove_identities.PASS, graph)
    assert names(rewrite.graph) == ["flat", "fc"]
    assert rewrite.changed == ("same", "in_order", "unpadded", "as_wide", "as_it_was", "flat2")
    assert rewrite.graph.nodes[0].inputs == ("image",)


@pytest.mark.parametrize(
    "graph",
    [
        image().add("act", "relu").add("same", "identity").graph(),
        image().add("turned", "permute", axes=[1, 3, 2]).add("act", "relu").graph(),
        image().add("pad", "pad2d", padding={"left": 1}).add("act", "relu").graph(),
        image().add("view", "reshape", shape=[4, 30]).add("act", "relu").graph(),
        image().add("flat", "flatten").add("act", "relu").graph(),
        image().add("drop", "dropout", rate=0.0).add("act", "relu").graph(),
    ],
    ids=["an output", "a permutation", "padding", "a reshape", "a flatten", "dropout has a mask in training"],
)
def test_what_moves_elements_or_is_an_output_stays(graph: Graph) -> None:
    assert remove_identities.PASS.run(graph) is None


def test_an_output_that_is_read_on_stays() -> None:
    graph = image().add("a", "identity").add("b", "identity").add("act", "relu").graph("a", "act")
    rewrite = changed(remove_identities.PASS, graph)
    assert names(rewrite.graph) == ["a", "act"]
    assert rewrite.graph.nodes[1].inputs == ("a",)


def test_idle_dropout_is_gone_and_other_dropout_is_not() -> None:
    graph = (
        image()
        .add("inverted", "dropout", rate=0.5)
        .add("standard", "dropout", rate=0.5, mode="standard")
        .add("never", "dropout", rate=0.0, mode="standard")
        .add("act", "relu")
        .add("shown", "dropout", rate=0.5)
        .graph()
    )
    assert names(changed(remove_dropout.PASS, graph).graph) == ["standard", "act", "shown"]
    assert remove_dropout.PASS.levels == ("inference",)


def test_what_no_output_needs_is_gone_with_its_weights() -> None:
    graph = (
        image()
        .add("conv", "conv2d", filters=2, kernel_size=1)
        .add("idle", "conv2d", filters=2, kernel_size=1, bias=False)
        .add("idle_too", "relu")
        .add("act", "relu", reads="conv")
        .graph()
    )
    rewrite = changed(remove_unused.PASS, graph)
    assert names(rewrite.graph) == ["conv", "act"]
    assert rewrite.folds == (Drop("idle.weight"),)
    assert list(alone(remove_unused.PASS, graph).weights(weights_of(graph))) == ["conv.weight", "conv.bias"]
    assert remove_unused.PASS.run(graph.with_outputs(["act", "idle_too"])) is None
    assert remove_unused.PASS.levels == ("inference",)  # in training, weights decay without a gradient


def test_a_relu_and_the_max_pool_after_it_change_places() -> None:
    graph = (
        image()
        .add("relu", "relu")
        .add("pool", "max_pool2d", kernel_size=3, stride=2, padding=1, round="ceil")
        .add("conv", "conv2d", filters=2, kernel_size=1)
        .add("end", "tanh", reads="pool")
        .graph("conv", "end")
    )
    rewrite = changed(relu_after_max_pool.PASS, graph)
    assert [(node.name, node.inputs) for node in rewrite.graph.nodes] == [
        ("pool", ("image",)),
        ("relu", ("pool",)),
        ("conv", ("relu",)),
        ("end", ("relu",)),
    ]
    assert rewrite.changed == ("relu",)
    assert rewrite.meaning == {"relu": "pool", "pool": None}
    assert rewrite.graph.nodes[1].type == graph.type_of("pool")


def test_several_relus_and_max_pools_change_places() -> None:
    graph = image().add("relu1", "relu").add("pool1", "max_pool2d", kernel_size=2)
    graph = graph.add("relu2", "relu").add("pool2", "max_pool2d", kernel_size=2).add("end", "tanh").graph()
    rewrite = changed(relu_after_max_pool.PASS, graph)
    assert names(rewrite.graph) == ["pool1", "relu1", "pool2", "relu2", "end"]


def test_a_relu_moves_behind_several_max_pools_in_a_row() -> None:
    chain = image().add("relu", "relu").add("pool1", "max_pool2d", kernel_size=2)
    chain.add("pool2", "max_pool2d", kernel_size=2).add("pool3", "max_pool2d", kernel_size=3, stride=1, padding=1)
    rewrite = changed(relu_after_max_pool.PASS, chain.add("end", "tanh").graph())
    assert names(rewrite.graph) == ["pool1", "pool2", "relu", "pool3", "end"]  # the last one does not shrink it
    assert rewrite.meaning == {"pool1": None, "pool2": None, "relu": "pool2"}
    between = changed(relu_after_max_pool.PASS, chain.graph("pool2", "end"))
    assert names(between.graph) == ["pool1", "relu", "pool2", "pool3", "end"]


def relu_pool(**pool: object) -> Chain:
    return image().add("relu", "relu").add("pool", "max_pool2d", **{"kernel_size": 2, **pool})


@pytest.mark.parametrize(
    "graph",
    [
        relu_pool().graph(),
        relu_pool().add("end", "tanh").graph("relu", "end"),
        relu_pool().add("end", "tanh").add("flat", "flatten", reads="relu").graph("end", "flat"),
        relu_pool(kernel_size=3, stride=1, padding=1).add("end", "tanh").graph(),
        image().add("relu", "relu").add("pool", "avg_pool2d", kernel_size=2).add("end", "tanh").graph(),
        image().add("act", "leaky_relu").add("pool", "max_pool2d", kernel_size=2).add("end", "tanh").graph(),
    ],
    ids=["the pool is shown", "the ReLU is", "another reads it", "no fewer elements", "an average", "no ReLU"],
)
def test_what_would_change_a_value_or_save_nothing_stays(graph: Graph) -> None:
    assert relu_after_max_pool.PASS.run(graph) is None


def test_gradients_are_the_same_at_ties_and_below_zero() -> None:
    from netspec.lowering import at_level, find_backend
    from netspec.types import DType

    graph = relu_pool().add("end", "leaky_relu").graph().astype(DType.FLOAT64)
    image = np.where(np.arange(240).reshape(2, 4, 6, 5) % 7 < 3, -1.0, 2.0)  # windows of one value, of either sign
    cotangents = {"end": np.arange(1.0, 1 + 2 * 4 * 3 * 2).reshape(2, 4, 3, 2)}
    torch = find_backend("torch")
    plain, moved = (
        backend.load(backend.lower(graph), {}).gradients({"image": image}, cotangents).inputs["image"]
        for backend in (torch, at_level(torch, "training"))
    )
    assert plain.any()
    np.testing.assert_array_equal(moved, plain)


def laid_out(graph: Graph) -> set[str]:
    return {value.name for value in graph.inputs if Hint.CHANNELS_LAST in value.hints}


def test_maps_that_convolutions_are_reached_from_are_laid_out() -> None:
    graph = (
        Chain("g", image=(4, 6, 5), mask=(4, 6, 5), tokens=(3, 7))
        .add("norm", "batch_norm", reads="image")
        .add("conv", "conv2d", filters=4, kernel_size=1)
        .add("end", "tanh", reads="mask")
        .add("end2", "tanh", reads="tokens")
        .graph("conv", "end", "end2")
    )
    rewrite = changed(channels_last.PASS, graph)
    assert laid_out(rewrite.graph) == {"image"} == set(rewrite.changed)


@pytest.mark.parametrize(
    "graph",
    [
        image().add("turned", "permute", axes=[2, 3, 1]).add("conv", "conv2d", filters=2, kernel_size=1).graph(),
        image().add("view", "reshape", shape=[4, 5, 6]).add("conv", "conv2d", filters=2, kernel_size=1).graph(),
        image().add("pool", "max_pool2d", kernel_size=2).add("flat", "flatten").add("fc", "dense", units=2).graph(),
        Chain("g", x=(3, 4))
        .add("map", "reshape", shape=[3, 2, 2])
        .add("c", "conv2d", filters=1, kernel_size=1)
        .graph(),
    ],
    ids=["permuted", "reshaped", "no convolution", "no map"],
)
def test_what_gains_nothing_from_its_layout_keeps_it(graph: Graph) -> None:
    assert channels_last.PASS.run(graph) is None


def test_all_passes_together_keep_values() -> None:
    from netspec.passes import optimize
    from netspec.testing import pass_networks
    from netspec.testing.networks import NETWORKS

    made = [build() for build in NETWORKS.values()]
    small = (
        "normalized",
        "prenormalized",
        "scaled",
        "subtracted",
        "positioned",
        "dropped",
        "pooled",
        "padded",
        "shared",
    )
    made += [getattr(pass_networks, name)() for name in small]
    for graph in made:
        for level in ("training", "inference"):
            check_values(optimize(graph, level))
