"""Random specs in two and in four towers: outputs, their gradients and those of a step equal those of one device.

For other numbers of towers, only the graph and the shares of the weights are checked.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from netspec.graph import Graph, Input, Node, make_node
from netspec.graph.placement import UnplaceableError, place
from netspec.graph.tower import tower_graph, tower_weights
from netspec.lowering import find_backend
from netspec.ops import Dense, Flatten
from netspec.testing.drawn.failing import show
from netspec.testing.drawn.strategies import DrawnSpec, specs
from netspec.types import DType
from netspec.verify.cases import check_weights_of
from netspec.verify.towers.backend import InTowers
from netspec.verify.towers.proof import compare_step, compare_values
from netspec.verify.training.case import PAPER, TrainingCase
from tests.forked import fork_towers
from tests.properties.test_backends_agree import expected_of, inputs_of

TORCH = find_backend("torch")


@pytest.fixture(scope="module")
def two() -> Iterator[InTowers]:
    yield from forked_towers(2)


@pytest.fixture(scope="module")
def four() -> Iterator[InTowers]:
    yield from forked_towers(4)


def forked_towers(towers: int) -> Iterator[InTowers]:
    """Yield processes that need not import PyTorch: they are forks."""
    with pytest.MonkeyPatch.context() as patch, InTowers(TORCH, towers) as many:
        fork_towers(patch)
        yield many


def classifier(graph: Graph, units: int) -> Graph:
    """Return the graph with a dense layer after its last output as its only output: the logits that training needs."""
    values: list[Input | Node] = [graph.values[graph.outputs[-1]]]
    if values[-1].type.rank > 2:
        values.append(make_node("flattened", Flatten(), values[-1:]))
    values.append(make_node("logits", Dense(units=units), values[-1:]))
    added = tuple(value for value in values[1:] if isinstance(value, Node))
    return replace(graph, nodes=(*graph.nodes, *added), outputs=("logits",)).check()


def check_in_towers(drawn: DrawnSpec, units: int, towers: int, many: InTowers) -> None:
    show(drawn)
    graph = classifier(drawn.graph, units)
    try:
        place(graph, towers)
    except UnplaceableError:
        assume(False)
    weights = check_weights_of(graph)
    expected_of(graph, weights, inputs_of(graph), DType.FLOAT32)  # one that blows rounding up is none to compare
    rows = compare_values(graph.with_outputs((*drawn.graph.outputs, "logits")), weights, TORCH, many)
    if len(graph.inputs) == 1:
        rows.append(compare_step(TrainingCase(graph, weights, PAPER), TORCH, many))
    assert [str(row) for row in rows if not row.passed] == []


@settings(max_examples=60)
@given(drawn=specs(most_layers=8), units=st.sampled_from([4, 5]))  # divided, and whole in each
def test_a_random_spec_in_two_towers_is_itself(drawn: DrawnSpec, units: int, two: InTowers) -> None:
    check_in_towers(drawn, units, 2, two)


@settings(max_examples=60)
@given(
    drawn=st.sampled_from([4, 8]).flatmap(lambda multiple: specs(most_layers=8, multiple=multiple)),
    units=st.sampled_from([4, 5]),
)
def test_a_random_spec_in_four_towers_is_itself(drawn: DrawnSpec, units: int, four: InTowers) -> None:
    """Widths are multiples of four, or few of the layers could be divided; of eight, so that some have halos."""
    check_in_towers(drawn, units, 4, four)


@given(drawn=specs(most_layers=8))
def test_each_tower_of_a_random_spec_has_a_graph_and_the_weights_for_it(drawn: DrawnSpec) -> None:
    show(drawn)
    graph = classifier(drawn.graph, 24)
    weights = check_weights_of(graph)
    for towers in (2, 3, 4, 6, 8):
        with suppress(UnplaceableError):
            placement = place(graph, towers)
            local = tower_graph(placement).check()
            assert [local.type_of(name) for name in local.outputs] == [graph.type_of(name) for name in graph.outputs]
            for tower in range(towers):
                shapes = {name: array.shape for name, array in tower_weights(placement, weights, tower).items()}
                assert shapes == {name: weight.shape for name, weight in local.weights.items()}
