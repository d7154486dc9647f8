"""Placement of local response normalization: the neighboring channels that other towers have are a halo."""

import pytest

from netspec.graph import Graph
from netspec.graph.crossing import Crossing
from netspec.graph.placement import place
from netspec.graph.tower import tower_graph
from netspec.testing.networks import Chain
from tests.graph.placed import chain, ways


def lrn(size: int, groups: int = 1) -> Graph:
    attributes = {"size": size, "alpha": 0.1, "beta": 0.75, "k": 2, "convention": "sum", "groups": groups}
    return chain().add("norm", "local_response_norm", **attributes).graph()


@pytest.mark.parametrize(
    ("size", "groups", "towers", "way"),
    [
        *((5, 1, 2, "halo"), (5, 2, 2, "apart"), (5, 2, 4, "halo"), (5, 1, 4, "halo")),
        (5, 1, 8, "whole"),  # two neighbors on either side have what it reads
        (4, 2, 8, "whole"),  # and before
        (3, 4, 8, "halo"),
        (1, 4, 8, "apart"),
        (1, 1, 8, "apart"),
    ],
)
def test_channels_that_the_next_tower_has_are_a_halo(size: int, groups: int, towers: int, way: str) -> None:
    placement = place(lrn(size, groups), towers)
    assert ways(placement) == f"column {way}"
    tower = tower_graph(placement).check()
    assert [str(tower.type_of(name)) for name in tower.outputs] == ["(N, 8, 6, 6)"]


def test_groups_of_which_towers_have_parts_of_several_are_whole() -> None:
    chain = Chain("odd", image=(3, 8, 8)).add("conv", "conv2d", filters=12, kernel_size=3)
    attributes = {"size": 3, "alpha": 0.1, "beta": 0.75, "k": 2, "convention": "sum", "groups": 3}
    placement = place(chain.add("norm", "local_response_norm", **attributes).graph(), 2)
    assert ways(placement) == "column whole"


@pytest.mark.parametrize(("towers", "groups", "received"), [(2, 1, 2), (4, 2, 2), (4, 1, 3), (64, 1, 3)])
def test_a_halo_is_of_few_channels(towers: int, groups: int, received: int) -> None:
    """Of a tower with two neighbors; in teams of two, of the one whose neighbor sends more."""
    halo = Crossing("x", "halo", (), 64 * 128, towers, True, groups, reach=(2, 1), channels=128)
    assert (halo.forward, halo.backward) == (received * 64, received * 64)
    assert halo._replace(differentiable=False).backward == 0


def test_a_halo_is_read_and_cut_off_again() -> None:
    tower = tower_graph(place(lrn(4, 2), 4)).check()
    assert [f"{node.name}: {node.op.kind} {node.type}" for node in tower.nodes[1:]] == [
        "conv: conv2d (N, 2, 6, 6)",
        "halo_conv: halo (N, 5, 6, 6)",
        "norm: local_response_norm (N, 5, 6, 6)",
        "share_norm: slice (N, 2, 6, 6)",
        "collect_norm: collect (N, 8, 6, 6)",
    ]
