"""Placement of a graph on several devices: what each computes and stores, and what they exchange."""

from typing import Any

import pytest

from netspec.graph import Graph
from netspec.graph.crossing import Crossing
from netspec.graph.placement import MOST_TOWERS, UnplaceableError, place
from netspec.graph.places import reads
from netspec.graph.tower import tower_graph
from netspec.ops.collective import CollectiveKind
from netspec.spec import load_graph
from netspec.spec.model import PlacementSpec
from netspec.testing.networks import Chain
from tests.graph.placed import SPECS, chain, crossings, of_spec, ways


def test_alexnet_is_placed_as_in_figure_2() -> None:
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
def test_what_a_crossing_moves_is_what_its_collectives_move(kind: CollectiveKind, forward: int, backward: int) -> None:
    """An all-gather and a reduce-scatter move the others' share of a value, and an all-reduce is one of each."""
    for towers, others in ((2, 32), (4, 48)):
        crossing = Crossing("x", kind, (), size=64, towers=towers, differentiable=True)
        assert (crossing.forward, crossing.backward) == (forward * others, backward * others)
        assert crossing._replace(differentiable=False).backward == 0


@pytest.mark.parametrize(
    ("towers", "groups", "forward", "backward"), [(4, 2, 16, 16), (8, 2, 24, 24), (8, 4, 8, 8), (64, 32, 1, 1)]
)
def test_a_gather_in_groups_moves_the_shares_of_the_other_towers_of_a_team(
    towers: int, groups: int, forward: int, backward: int
) -> None:
    gather = Crossing("x", "gather_group", (), size=64, towers=towers, differentiable=True, groups=groups)
    assert (gather.forward, gather.backward) == (forward, backward)
    spread = gather._replace(kind="spread_group")  # whose gradients are then gathered by all
    assert (spread.forward, spread.backward) == (0, backward + 64 * (towers - 1) // towers)
    assert spread._replace(differentiable=False).backward == 0


def test_on_four_towers_two_compute_each_group_of_alexnet() -> None:
    placement = of_spec("alexnet", 4)
    assert crossings(placement) == [
        ("input", "spread", "conv1"),
        ("relu1", "halo", "norm1"),
        ("pool1", "gather_group", "conv2"),
        ("relu2", "halo", "norm2"),
        ("pool2", "gather", "conv3"),
        ("relu3", "gather_group", "conv4"),
        ("relu4", "gather_group", "conv5"),
        ("flatten", "gather", "fc6"),
        ("drop6", "gather", "fc7"),
        ("drop7", "gather", "fc8"),
        ("fc8", "collect", ""),
    ]
    assert {c.groups for c in placement.crossings if "group" in c.kind or c.kind == "halo"} == {2}
    assert all(weight.axis == 0 for weight in placement.weights)
    assert placement.tower_weights / placement.whole_weights == pytest.approx(0.25, rel=1e-3)


def test_resnexts_32_groups_are_placed_on_64_towers() -> None:
    placement = of_spec("resnext", 64)
    inner = {c.groups for c in placement.crossings if c.readers and all(".conv2." in f"{r}." for r in c.readers)}
    assert inner == {32}
    assert {c.kind for c in placement.crossings if c.groups == 32} == {"gather_group"}


def in_groups(kind: str, groups: int, filters: int) -> Graph:
    size = {"units": filters} if kind == "dense" else {"filters": filters, "kernel_size": 1}
    features = (12,) if kind == "dense" else (12, 4, 4)
    return Chain("g", x=features).add("it", kind, groups=groups, **size).graph()


@pytest.mark.parametrize("kind", ["conv2d", "dense"])
@pytest.mark.parametrize(
    ("towers", "groups", "way", "read"),
    [(2, 2, "apart", "divided"), (2, 4, "apart", "divided"), (4, 2, "column", "group"), (6, 2, "column", "group")],
)
def test_a_layer_in_groups_is_divided_by_groups_or_within_them(
    kind: str, towers: int, groups: int, way: str, read: str
) -> None:
    graph = in_groups(kind, groups, 24)
    placement = place(graph, towers)
    assert ways(placement) == way
    assert {form.form for form in reads(graph.nodes[0], placement.places[0]).values()} == {read}
    assert all(weight.axis == 0 for weight in placement.weights)


@pytest.mark.parametrize(
    ("kind", "towers", "groups", "filters", "fitting"),
    [
        ("conv2d", 2, 3, 12, "3, 6, 12"),
        ("conv2d", 3, 2, 12, "2, 4, 6, 12"),
        ("dense", 4, 2, 6, "2, 6"),  # a team of two, and three units in its group
        ("conv_transpose2d", 4, 2, 8, "2"),  # its weight has the inputs of all groups on its first axis
    ],
)
def test_groups_that_do_not_fit_say_which_numbers_of_towers_do(
    kind: str, towers: int, groups: int, filters: int, fitting: str
) -> None:
    with pytest.raises(UnplaceableError, match=f"it works in {groups} groups of {filters // groups} outputs") as caught:
        place(in_groups(kind, groups, filters), towers)
    assert caught.value.hint == f"numbers of towers that fit all groups: {fitting}"


def test_groups_that_no_number_of_towers_fits_say_so() -> None:
    graph = Chain("g", x=(77, 4, 4)).add("a", "conv2d", filters=77, kernel_size=1, groups=7)
    with pytest.raises(UnplaceableError) as caught:
        place(graph.add("b", "conv2d", filters=77, kernel_size=1, groups=11).graph(), 2)
    assert caught.value.hint == "no number of towers fits all groups"


def test_the_hint_tries_as_many_towers_as_a_spec_may_have() -> None:
    assert PlacementSpec.model_json_schema()["properties"]["towers"]["maximum"] == MOST_TOWERS


def test_layers_in_different_groups_read_a_value_by_an_exchange_each() -> None:
    """On six towers, teams of three read halves and teams of two read thirds; a whole value is cut for each team."""
    chain = Chain("several", image=(6, 4, 4)).add("a", "conv2d", filters=12, kernel_size=1)
    for name, groups in (("two", 2), ("three", 3), ("all", 1), ("six", 6)):
        chain.add(name, "conv2d", reads="a", filters=12, kernel_size=1, groups=groups)
    placement = place(chain.graph("two", "three", "all", "six"), 6)
    assert [(c.kind, c.groups, " ".join(c.readers)) for c in placement.crossings if c.value == "a"] == [
        ("gather", 1, "all"),
        ("gather_group", 2, "two"),
        ("gather_group", 3, "three"),
    ]
    tower = tower_graph(placement).check()
    read = {name: str(tower.values[name].inputs[0]) for name in ("two", "three", "all", "six")}  # type: ignore[union-attr]
    assert read == {"two": "gather_group_a", "three": "gather_group_a_", "all": "gather_a", "six": "a"}
    assert [str(tower.type_of(read[name])) for name in read] == [
        *("(N, 6, 4, 4)", "(N, 4, 4, 4)", "(N, 12, 4, 4)", "(N, 2, 4, 4)")
    ]


def test_without_communication_towers_meet_at_the_last_layer_only() -> None:
    assert crossings(of_spec("alexnet-no-communication")) == [
        ("input", "spread", "conv1"),
        ("drop7", "gather", "fc8"),
        ("fc8", "collect", ""),
    ]


def test_a_norm_over_all_channels_gathers_them_and_what_follows_takes_its_share() -> None:
    graph = chain().add("mix", "layer_norm", axes=[1]).add("next", "conv2d", filters=8, kernel_size=1, groups=2).graph()
    assert crossings(place(graph, 2))[1:3] == [("conv", "collect", "mix"), ("mix", "share", "next")]


def test_a_norm_over_neighboring_channels_reads_those_of_the_neighbors_alone() -> None:
    assert crossings(of_spec("alexnet-caffe"))[1:4] == [
        ("relu1", "halo", "norm1"),
        ("relu2", "halo", "norm2"),
        ("pool2", "gather", "conv3"),
    ]


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
def test_a_layer_that_mixes_channels_is_whole_in_each_tower(op: str, attributes: dict[str, Any]) -> None:
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
    assert (last.way, last.why) == ("whole", "5 outputs cannot be divided among 2 towers")


def test_an_op_that_is_computed_whole_says_why_unless_it_reads_only_whole_values() -> None:
    """Groups of channels that no tower has whole, channels in another order, a window beyond the next tower."""
    graph = (
        chain()
        .add("norm", "group_norm", groups=2)
        .add("relu", "relu")  # reads only the whole result of `norm`
        .add("conv2", "conv2d", filters=8, kernel_size=1)
        .add("shuffle", "channel_shuffle", groups=4)
        .add("conv3", "conv2d", filters=8, kernel_size=1)
        .add("wide", "local_response_norm", size=7, alpha=1, beta=0.75, k=2, convention="sum")
        .add("conv4", "conv2d", filters=8, kernel_size=1)
        .add("padded", "pad", end=1)
        .graph()
    )
    assert {own.name: own.why for own in place(graph, 4).places if own.way == "whole"} == {
        "norm": "channels are mixed or moved",
        "relu": "",
        "shuffle": "channels are mixed or moved",
        "wide": "channels beyond the next tower are read",
        "padded": "9 channels cannot be divided among 4 towers",
    }


def test_a_gradient_that_nothing_needs_does_not_cross() -> None:
    (spread, *_) = place(chain().graph(), 2).crossings
    assert (spread.kind, spread.differentiable, spread.forward + spread.backward) == ("spread", False, 0)


def unplaceable(graph: Graph, towers: int) -> str:
    with pytest.raises(UnplaceableError) as caught:
        place(graph, towers)
    return str(caught.value)


def test_the_error_for_an_indivisible_network_names_the_layer() -> None:
    message = unplaceable(load_graph(SPECS / "alexnet.yaml"), 3)
    assert message.startswith("conv2 works in 2 groups of 128 outputs, which cannot be divided among 3 towers")
    only = Chain("none", features=(6,)).add("fc", "dense", units=5).graph()
    assert "no layer of none can be divided among 2 towers (fc: 5 outputs" in unplaceable(only, 2)
    deep = unplaceable(load_graph(SPECS / "vgg.yaml"), 3)
    assert "conv2_1.conv: 128 outputs cannot be divided among 3 towers; and 13 more layers)" in deep
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
