"""Checkpoints: everything is restored, and files of other runs are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netspec.errors import WeightsError
from netspec.graph import Graph, Input, make_node
from netspec.lowering import TrainingState
from netspec.ops import Dense
from netspec.recipe import Recipe
from netspec.training.checkpoint import Position, Run, Sums, load_checkpoint, save_checkpoint
from netspec.training.schedule import Plateau
from netspec.types import TensorType
from netspec.weights import initialize, load_weights, read_arrays, write_arrays

ADAM = Recipe.model_validate({"batch_size": 2, "epochs": 1, "optimizer": {"name": "adam", "learning_rate": 0.1}})
PLAIN = Recipe.model_validate({"batch_size": 2, "epochs": 1, "optimizer": {"name": "sgd", "learning_rate": 0.1}})
POSITION = Position(
    step=7,
    epoch=Sums(1.25, 3, 14),
    plateau=Plateau(0.1, 0.1 + 0.2, 2),
    best_error=1 / 3,
    best_epoch=2,
    seconds=1.5,
)
RUN = Run(ADAM.model_dump(mode="json"), "digits-1", exact=True)


def network(units: int = 3) -> Graph:
    x = Input("input", TensorType.of(4))
    return Graph("small", (x,), (make_node("fc", Dense(units=units), [x]),), ("fc",))


def state(graph: Graph) -> TrainingState:
    weights = initialize(graph, seed=3)
    random = np.random.default_rng(0)
    slots = {
        slot: {name: random.standard_normal(array.shape).astype(np.float32) for name, array in weights.items()}
        for slot in ("first_moment", "second_moment")
    }
    return TrainingState(dict(weights), slots, updates=7)


def test_a_checkpoint_restores_everything(tmp_path: Path) -> None:
    graph = network()
    before = state(graph)
    path = save_checkpoint(tmp_path / "last.safetensors", graph, before, POSITION, RUN)
    after, position, run = load_checkpoint(path, graph, ADAM)
    assert (position, run, after.updates) == (POSITION, RUN, 7)
    assert list(after.weights) == list(before.weights)
    for name, array in before.weights.items():
        assert after.weights[name].tobytes() == array.tobytes()
        for slot in before.slots:
            assert after.slots[slot][name].tobytes() == before.slots[slot][name].tobytes()


def test_the_same_state_gives_the_same_bytes(tmp_path: Path) -> None:
    graph = network()
    first, second = (
        save_checkpoint(tmp_path / name, graph, state(graph), POSITION, RUN).read_bytes() for name in ("a", "b")
    )
    assert first == second


def test_a_checkpoint_is_a_file_of_weights(tmp_path: Path) -> None:
    graph = network()
    path = save_checkpoint(tmp_path / "last.safetensors", graph, state(graph), POSITION, RUN)
    assert {n: a.tobytes() for n, a in load_weights(path, graph).items()} == {
        n: a.tobytes() for n, a in state(graph).weights.items()
    }


def test_another_network_is_refused(tmp_path: Path) -> None:
    graph = network()
    path = save_checkpoint(tmp_path / "last.safetensors", graph, state(graph), POSITION, RUN)
    with pytest.raises(WeightsError, match="of another network"):
        load_checkpoint(path, network(units=5), ADAM)


def test_another_optimizer_is_refused(tmp_path: Path) -> None:
    graph = network()
    path = save_checkpoint(tmp_path / "last.safetensors", graph, state(graph), POSITION, RUN)
    with pytest.raises(WeightsError, match="kept first_moment, second_moment, and the recipe's keeps nothing"):
        load_checkpoint(path, graph, PLAIN)


def test_weights_alone_are_no_checkpoint(tmp_path: Path) -> None:
    from netspec.weights import save_weights

    graph = network()
    path = save_weights(tmp_path / "w.safetensors", graph, state(graph).weights)
    with pytest.raises(WeightsError, match="not a checkpoint"):
        load_checkpoint(path, graph, ADAM)


def test_a_checkpoint_that_lost_a_weight_is_refused(tmp_path: Path) -> None:
    graph = network()
    path = save_checkpoint(tmp_path / "last.safetensors", graph, state(graph), POSITION, RUN)
    arrays, metadata = read_arrays(path)
    write_arrays(path, {name: array for name, array in arrays.items() if name != "fc.bias"}, metadata)
    with pytest.raises(WeightsError, match=r"missing: fc\.bias"):
        load_checkpoint(path, graph, ADAM)


@pytest.mark.parametrize("length", [0, 10, 200, -5])
def test_a_truncated_file_is_refused(tmp_path: Path, length: int) -> None:
    graph = network()
    path = save_checkpoint(tmp_path / "last.safetensors", graph, state(graph), POSITION, RUN)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        load_checkpoint(path, graph, ADAM)
