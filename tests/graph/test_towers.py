"""Which parts of a network form towers: layers that keep them apart, that join them, and that make none."""

from pathlib import Path
from typing import Any

import pytest

from netspec.graph.towers import Run, find_runs, is_channelwise
from netspec.spec import load_graph
from netspec.testing.networks import NETWORKS, Chain

SPECS = Path(__file__).parents[2] / "specs"
LRN: dict[str, Any] = {"size": 3, "alpha": 1e-4, "beta": 0.75, "k": 2, "convention": "sum"}


def runs(name: str) -> list[tuple[int, str]]:
    return [(run.count, " ".join(run.nodes)) for run in find_runs(load_graph(SPECS / f"{name}.yaml"))]


def test_alexnets_towers_meet_at_conv3_and_at_the_dense_layers() -> None:
    assert runs("alexnet") == [
        (2, "conv1 relu1 norm1 pool1 conv2 relu2 norm2 pool2"),
        (2, "conv3 relu3 conv4 relu4 conv5 relu5 pool5 flatten"),
    ]


def test_without_communication_they_meet_at_the_last_layer_only() -> None:
    ((count, nodes),) = runs("alexnet-no-communication")
    assert (count, nodes.split()[0], nodes.split()[-1]) == (2, "conv1", "drop7")


def test_a_norm_over_all_channels_joins_them() -> None:
    assert runs("alexnet-caffe")[0] == (2, "norm1 pool1 conv2 relu2")


@pytest.mark.parametrize("name", ["alexnet-one-tower", "alexnet-owt", "lenet5", "cifar-alexnet-keras", "mlp"])
def test_ungrouped_networks_have_none(name: str) -> None:
    assert runs(name) == []


def test_depthwise_groups_are_not_towers() -> None:
    chain = Chain("g", image=(32, 8, 8)).add("depthwise", "conv2d", filters=32, kernel_size=3, groups=32)
    assert find_runs(chain.add("norm", "group_norm", groups=2).graph()) == ()


def test_more_groups_within_towers_stay_in_them() -> None:
    chain = Chain("g", image=(8, 8, 8)).add("a", "conv2d", filters=8, kernel_size=1, groups=2)
    chain.add("b", "conv2d", filters=8, kernel_size=1, groups=8).add("c", "conv2d", filters=8, kernel_size=1, groups=4)
    assert find_runs(chain.graph()) == (Run(2, ("a", "b", "c")),)


def test_three_groups_after_two() -> None:
    chain = Chain("g", image=(6, 4, 4)).add("a", "conv2d", filters=6, kernel_size=1, groups=2)
    chain.add("b", "conv2d", filters=6, kernel_size=1, groups=3).add("c", "relu")
    assert find_runs(chain.graph()) == (Run(2, ("a",)), Run(3, ("b", "c")))


def test_values_that_are_added_are_in_the_same_towers() -> None:
    """A residual sum keeps towers only if both of its inputs are in towers."""
    chain = Chain("g", image=(4, 4, 4)).add("a", "conv2d", filters=4, kernel_size=1)
    chain.add("b", "conv2d", filters=4, kernel_size=1, groups=2).add("c", "add", reads=("a", "b"))
    assert find_runs(chain.graph()) == (Run(2, ("a", "b", "c")),)


@pytest.mark.parametrize("kind", ["multiply", "add", "subtract", "divide"])
def test_a_broadcast_value_is_read_whole(kind: str) -> None:
    chain = Chain("g", image=(4, 4, 4)).add("a", "conv2d", filters=4, kernel_size=1, groups=2)
    chain.add("gate", "conv2d", reads="image", filters=1, kernel_size=1).add("c", kind, reads=("a", "gate"))
    assert find_runs(chain.graph()) == (Run(2, ("a", "c")),)


@pytest.mark.parametrize(
    ("kind", "attributes", "apart"),
    [
        ("relu", {}, True),
        ("prelu", {}, True),
        ("dropout", {"rate": 0.5}, True),
        ("max_pool2d", {"kernel_size": 2}, True),
        ("global_avg_pool2d", {}, True),
        ("flatten", {}, True),
        ("batch_norm", {}, True),
        ("local_response_norm", LRN | {"groups": 2}, True),
        ("local_response_norm", LRN, False),
        ("local_response_norm", LRN | {"region": "map"}, True),
        ("group_norm", {"groups": 4}, True),
        ("group_norm", {"groups": 1}, False),
        ("instance_norm", {}, True),
        ("layer_scale", {}, True),
        ("layer_scale", {"axis": 2}, False),
        ("layer_norm", {"axes": [2, 3]}, True),
        ("layer_norm", {"axes": [1]}, False),
        ("rms_norm", {"axes": [2, 3]}, True),
        ("rms_norm", {"axes": [1]}, False),
        ("l2_normalize", {"axes": [1]}, False),
        ("l2_normalize", {"axes": [2, 3]}, True),
        ("reduce_mean", {"axes": [2, 3]}, True),
        ("reduce_max", {"axes": [2, 3], "keepdims": True}, True),
        ("reduce_l2", {"axes": [2, 3]}, True),
        ("reduce_mean", {"axes": [1], "keepdims": True}, False),
        ("reduce_mean", {"axes": [2]}, False),
        ("rescale", {"scale": -1, "offset": 1}, True),
        ("power", {"exponent": 2}, True),
        ("clip", {"min": 0}, True),
        ("pad", {"axis": 2, "end": 1}, True),
        ("pad", {"end": 4}, False),
        ("slice", {"axis": 2, "stop": 2}, True),
        ("slice", {"part": 0, "of": 2}, False),
        ("channel_shuffle", {"groups": 2}, False),
        ("softmax", {"axis": 1}, False),
        ("conv2d", {"filters": 4, "kernel_size": 1}, False),
        ("conv2d", {"filters": 4, "kernel_size": 1, "groups": 4}, True),
        ("conv_transpose2d", {"filters": 4, "kernel_size": 2}, False),
        ("conv_transpose2d", {"filters": 4, "kernel_size": 2, "groups": 2}, True),
        ("resize", {"scale": 2.0, "mode": "nearest", "coordinates": "asymmetric"}, True),
        ("reshape", {"shape": [2, -1]}, False),
        ("permute", {"axes": [2, 1, 3]}, False),
    ],
)
def test_which_ops_keep_two_towers_apart(kind: str, attributes: dict[str, Any], apart: bool) -> None:
    assert is_channelwise(Chain("g", image=(4, 6, 6)).add("it", kind, **attributes).graph().nodes[0], 2) is apart


def test_an_odd_number_of_channels_cannot_be_divided_between_two_towers() -> None:
    (flatten,) = Chain("g", image=(3, 4, 4)).add("it", "flatten").graph().nodes  # of 48 features, from 3 channels
    assert not is_channelwise(flatten, 2)
    assert is_channelwise(flatten, 3)


def test_a_concatenation_of_channels_joins_towers() -> None:
    chain = Chain("g", image=(4, 4, 4)).add("a", "relu").add("b", "concat", reads=("a", "image"))
    chain.add("c", "concat", reads=("a", "image"), axis=2)
    assert [is_channelwise(node, 2) for node in chain.graph().nodes] == [True, False, True]


@pytest.mark.parametrize("network", NETWORKS)
def test_no_node_is_in_two_runs(network: str) -> None:
    graph = NETWORKS[network]()
    members = [name for run in find_runs(graph) for name in run.nodes]
    assert len(members) == len(set(members))
    assert all(graph.type_of(name).features for name in members)
