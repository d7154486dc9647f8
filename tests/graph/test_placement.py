"""How a graph lies on several devices: what each computes and keeps, and what crosses between them."""

from pathlib import Path
from typing import Any

import pytest

from netspec.graph import Graph
from netspec.graph.placement import Crossing, Kind, Placement, UnplaceableError, place
from netspec.spec import load_graph
from netspec.testing.networks import Chain

SPECS = Path(__file__).parents[2] / "specs"


def of_spec(name: str, towers: int = 2) -> Placement:
    return place(load_graph(SPECS / f"{name}.yaml"), towers)


def crossings(placement: Placement) -> list[tuple[str, str, str]]:
    return [(c.value, c.kind, " ".join(c.readers)) for c in placement.crossings]


def ways(placement: Placement) -> str:
    return " ".join(place.way for place in placement.places)


def test_alexnet_lies_as_figure_2_draws_it() -> None:
    placement = of_spec("alexnet")
    assert crossings(placement) == [
        ("input", "spread", "conv1"),
        ("pool2", "gather", "conv3"),
        ("flatten", "gather", "fc6"),
        ("drop6", "gather", "fc7"),
        ("drop7", "gather", "fc8"),
        ("fc8", "collect", ""),
    ]
    columns = [place.name for place in placement.places if place.way == "column"]
    assert columns == ["conv1", "conv3", "fc6", "fc7", "fc8"]
    assert all(weight.axis == 0 for weight in placement.weights)


def test_alexnets_weights_and_bytes() -> None:
    placement = of_spec("alexnet")
    assert placement.tower_weights / placement.whole_weights <= 0.55
    gathered = 256 * 13 * 13 + 256 * 6 * 6 + 2 * 4096
    assert placement.moved(128) == 128 * 4 * (2 * gathered + 1000) // 2
    assert placement.moved_gradients == 0


@pytest.mark.parametrize(
    ("kind", "forward", "backward"),
    [("gather", 1, 1), ("collect", 1, 0), ("spread", 0, 2), ("share", 0, 1)],
)
def test_what_a_crossing_moves_is_what_its_collectives_move(kind: Kind, forward: int, backward: int) -> None:
    """An all-gather and a reduce-scatter move the others' share of a value, and an all-reduce is one of each."""
    for towers, others in ((2, 32), (4, 48)):
        crossing = Crossing("x", kind, (), size=64, towers=towers, differentiable=True)
        assert (crossing.forward, crossing.backward) == (forward * others, backward * others)
        assert crossing._replace(differentiable=False).backward == 0


def test_the_network_without_communication_meets_at_the_last_layer_alone() -> None:
    assert crossings(of_spec("alexnet-no-communication")) == [
        ("input", "spread", "conv1"),
        ("drop7", "gather", "fc8"),
        ("fc8", "collect", ""),
    ]


def test_a_norm_over_all_channels_gathers_them_and_what_follows_takes_its_share() -> None:
    found = crossings(of_spec("alexnet-caffe"))
    assert ("relu1", "collect", "norm1") in found
    assert ("pool1", "share", "conv2") in found


def chain() -> Chain:
    return Chain("small", image=(3, 8, 8)).add("conv", "conv2d", filters=8, kernel_size=3)


def test_channels_are_kept_apart_through_norms_activations_pools_and_sums() -> None:
    graph = (
        chain()
        .add("norm", "batch_norm")
        .add("relu", "relu")
        .add("groups", "group_norm", groups=4)
        .add("slope", "prelu", shared=True)
        .add("sum", "add", reads=("slope", "norm"))
        .add("pool", "max_pool2d", kernel_size=2, stride=2)
        .add("mean", "global_avg_pool2d")
        .graph()
    )
    placement = place(graph, 4)
    assert ways(placement) == "column" + " apart" * 7
    assert [(w.name, w.axis, w.partial) for w in placement.weights if w.axis is None] == [("slope.weight", None, True)]
    assert placement.moved_gradients == 2 * 4 * 3 // 4


@pytest.mark.parametrize(
    ("op", "attributes"),
    [("concat", {"reads": ("conv", "conv")}), ("softmax", {"axis": 1}), ("layer_norm", {"axes": [1, 2, 3]})],
)
def test_what_mixes_channels_is_whole_in_each(op: str, attributes: dict[str, Any]) -> None:
    placement = place(chain().add("mix", op, **attributes).graph(), 2)
    assert ways(placement) == "column whole"
    assert crossings(placement)[-1] == ("conv", "collect", "mix")


def test_a_value_that_all_read_is_collected_once_and_spread_from_there() -> None:
    graph = (
        chain()
        .add("mix", "softmax", axis=1)
        .add("next", "conv2d", reads="conv", filters=8, kernel_size=1)
        .graph("mix", "next")
    )
    assert crossings(place(graph, 2)) == [
        ("image", "spread", "conv"),
        ("conv", "collect", "mix"),
        ("conv", "spread", "next"),
        ("next", "collect", ""),
    ]


def test_a_last_layer_of_an_odd_width_is_whole_and_says_why() -> None:
    graph = chain().add("flatten", "flatten").add("fc", "dense", units=5).graph()
    (last,) = (own for own in place(graph, 2).places if own.name == "fc")
    assert (last.way, last.why) == ("whole", "5 outputs cannot be shared out among 2 towers")


def test_a_gradient_that_nothing_needs_does_not_cross() -> None:
    (spread, *_) = place(chain().graph(), 2).crossings
    assert (spread.kind, spread.differentiable, spread.forward + spread.backward) == ("spread", False, 0)


def unplaceable(graph: Graph, towers: int) -> str:
    with pytest.raises(UnplaceableError) as caught:
        place(graph, towers)
    return str(caught.value)


def test_what_cannot_be_divided_says_which_layer_and_why() -> None:
    message = unplaceable(load_graph(SPECS / "alexnet.yaml"), 4)
    assert message.startswith("conv2 works in 2 groups, which cannot be shared out among 4 towers")
    only = Chain("none", features=(6,)).add("fc", "dense", units=5).graph()
    assert "no layer of none can be divided among 2 towers (fc: 5 outputs" in unplaceable(only, 2)
    deep = unplaceable(load_graph(SPECS / "vgg.yaml"), 3)
    assert "conv2_1.conv: 128 outputs cannot be shared out among 3 towers; and 13 more layers)" in deep
    assert "conv2_2" not in deep


@pytest.mark.parametrize("towers", [2, 4])
def test_every_weight_is_in_the_towers_once(towers: int) -> None:
    placement = of_spec("cifar-alexnet-keras", towers)
    shapes = placement.graph.weights
    for weight in placement.weights:
        parts = [weight.part(tower, towers) for tower in range(towers)]
        if weight.axis is None:
            assert parts == [()] * towers
        else:
            ends = [part[-1] for part in parts]
            assert [(end.start, end.stop) for end in ends] == [
                (
                    i * shapes[weight.name].shape[weight.axis] // towers,
                    (i + 1) * shapes[weight.name].shape[weight.axis] // towers,
                )
                for i in range(towers)
            ]
