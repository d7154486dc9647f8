from dataclasses import replace

import pytest

from netspec.errors import NetspecError, WeightsError
from netspec.graph import Graph, Head
from netspec.graph.text import spec_hash
from netspec.passes import PASSES, Cost, optimize
from netspec.testing.networks import Chain, towers
from netspec.testing.pass_networks import normalized
from tests.passes.pass_helpers import check_values, names, weights_of


def everything() -> Graph:
    """A network with work for each pass, partly at the same layers."""
    return (
        Chain("everything", image=(3, 12, 11))
        .add("same", "identity")
        .add("pad", "pad2d", padding=1)
        .add("conv", "conv2d", filters=4, kernel_size=3, bias=False)
        .add("norm", "batch_norm")
        .add("relu", "relu")
        .add("pool", "max_pool2d", kernel_size=2)
        .add("idle", "dropout", rate=0.5)
        .add("half", "dropout", rate=0.5, mode="standard")
        .add("act", "relu")
        .add("pool2", "max_pool2d", kernel_size=2)
        .add("conv2", "conv2d", filters=4, kernel_size=1)
        .add("norm2", "batch_norm")
        .add("value", "parameter", shape=[4, 1, 1])
        .add("wave", "sin")
        .add("shifted", "add", reads=("norm2", "wave"))
        .add("scaled", "rescale", reads="image", scale=2.0, offset=1.0)
        .add("conv3", "conv2d", filters=2, kernel_size=1)
        .add("unused", "conv2d", filters=2, kernel_size=1)
        .add("end", "tanh", reads="shifted")
        .add("side", "global_avg_pool2d", reads="act")
        .graph("end", "conv3", "side", heads=[Head("side", "side")])
    )


def test_none_is_the_graph_itself() -> None:
    graph = towers()
    optimized = optimize(graph, "none")
    assert optimized.graph is optimized.plain is graph
    assert (optimized.steps, optimized.folds, optimized.meaning) == ((), (), ())


def test_at_inference_every_pass_finds_something() -> None:
    optimized = optimize(everything(), "inference")
    assert [step.name for step in optimized.steps] == [each.name for each in PASSES]
    assert names(optimized.graph) == ["conv", "pool", "relu", "pool2", "act", "conv2", "conv3", "end"]
    check_values(optimized)
    assert optimized.graph.inference


def test_values_are_followed_through_pass_after_pass() -> None:
    optimized = optimize(everything(), "inference")
    # The norm went into conv, whose ReLU went behind the pool; what lies between dropout and its layer is not scaled.
    assert optimized.plain_values() == {
        "conv": "norm",
        "relu": "pool",
        "conv2": "shifted",
        "conv3": "conv3",
        "end": "end",
    }
    assert set(names(optimized.graph)) - set(optimized.plain_values()) == {"pool", "act", "pool2"}


def test_training_keeps_weights_and_dropout() -> None:
    graph = everything()
    optimized = optimize(graph, "training")
    assert list(optimized.graph.weights) == list(graph.weights)
    assert not optimized.folds
    assert {"idle", "half", "unused", "norm"} <= set(names(optimized.graph))
    assert not optimized.graph.inference
    check_values(optimized)


def test_the_cost_after_each_step_is_the_graphs() -> None:
    graph = everything()
    optimized = optimize(graph, "inference")
    assert optimized.steps[-1].cost == Cost.of(optimized.graph)
    costs = [Cost.of(graph), *(step.cost for step in optimized.steps)]
    assert [c.written for c in costs] == sorted((c.written for c in costs), reverse=True)
    # Nothing is written by a view, nor in place.
    assert Cost.of(Chain("g", x=(2, 3)).add("flat", "flatten").graph()) == Cost(1, 0, 0)
    fc = Chain("g", x=(4,)).add("fc", "dense", units=5).add("act", "relu").graph()
    assert Cost.of(fc) == Cost(2, 25, 2 * 5 * 4)
    assert Cost.of(optimize(fc, "training").graph) == Cost(2, 25, 5 * 4)


def test_a_pass_can_be_left_out() -> None:
    optimized = optimize(normalized(), "inference", ["fold-affine"])
    assert "norm" in names(optimized.graph)


def test_unknown_levels_and_passes_are_errors() -> None:
    with pytest.raises(
        NetspecError, match="the level of optimization: expected one of none, training, inference, received 'all'"
    ):
        optimize(towers(), "all")  # type: ignore[arg-type] # on purpose
    with pytest.raises(NetspecError, match="there is no pass 'fold'; there are remove-identities, remove-dropout, "):
        optimize(towers(), "inference", ["fold"])


def test_weights_must_be_the_plain_graphs() -> None:
    optimized = optimize(normalized(), "inference")
    weights = weights_of(optimized.plain)
    with pytest.raises(WeightsError, match=r"missing: norm.running_mean"):
        optimized.weights({name: array for name, array in weights.items() if name != "norm.running_mean"})
    with pytest.raises(WeightsError, match=r"missing: conv.weight|missing: norm.weight"):
        optimized.weights(optimized.weights(weights))


def test_optimization_is_deterministic_and_changes_the_hash() -> None:
    graph = everything()
    first, second = optimize(graph, "inference"), optimize(graph, "inference")
    assert first == second
    hashes = {spec_hash(optimize(graph, level).graph) for level in ("none", "training", "inference")}
    assert len(hashes) == 3
    assert spec_hash(first.graph) != spec_hash(replace(first.graph, inference=False))


def test_names_of_passes_are_distinct() -> None:
    assert len({each.name for each in PASSES}) == len(PASSES)
