"""A constant keeps its values: through training, in files of weights, and in every backend's source."""

from pathlib import Path

import numpy as np
import pytest

from netspec.errors import WeightsError
from netspec.graph import Graph
from netspec.lowering import Batch, TrainerSettings, find_backend
from netspec.passes import optimize
from netspec.recipe import Recipe
from netspec.reference import evaluate
from netspec.testing.networks import Chain
from netspec.verify import verify
from netspec.weights import initialize, load_weights, save_weights

CODES = [[1, -1, 1], [-1, 1, 0.5]]
RULES = Recipe.model_validate(
    {
        "batch_size": 4,
        "steps": 1,
        "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.1},
        "weight_average": {"decay": 0.5},
    }
)


def distances(codes: list[list[float]] | None = None) -> Graph:
    """Distances of three features to two codes, with another constant that nothing reads."""
    chain = Chain("distances", x=(5,)).add("fc", "dense", units=3).add("row", "reshape", shape=[1, 3])
    chain.add("codes", "constant", reads=(), values=codes or CODES).add("alone", "constant", reads=(), values=[1, 2])
    chain.add("gap", "subtract", reads=("row", "codes")).add("square", "power", exponent=2.0)
    return chain.add("sum", "reduce_sum", axes=[2]).graph("sum")


@pytest.mark.parametrize("backend", ["torch", "keras"])
def test_training_does_not_change_it(backend: str) -> None:
    graph = distances()
    trainer = find_backend(backend).trainer(graph, initialize(graph), TrainerSettings(RULES, None, "cpu"))
    random = np.random.default_rng(0)
    batch = Batch(random.standard_normal((4, 5)), np.array([0, 1, 1, 0]), np.arange(4))
    result = trainer.step([batch], 0.1, 4, 0, keep_gradients=True)
    state = trainer.export_state()
    assert list(result.gradients or ()) == ["fc.weight", "fc.bias"]
    np.testing.assert_array_equal(state.weights["codes.values"], CODES)
    np.testing.assert_array_equal(state.weights["alone.values"], [1, 2])
    assert all(list(arrays) == ["fc.weight", "fc.bias"] for arrays in state.slots.values())


def test_a_file_with_other_values_is_refused(tmp_path: Path) -> None:
    graph, other = distances(), distances([[1, -1, 1], [-1, 1, 1]])
    file = save_weights(tmp_path / "weights.safetensors", graph, initialize(graph))
    np.testing.assert_array_equal(load_weights(file, graph)["codes.values"], CODES)
    with pytest.raises(WeightsError, match=r"codes\.values holds other values than the `constant` of distances"):
        load_weights(file, other)


def test_statistics_that_begin_with_values_are_not_constant(tmp_path: Path) -> None:
    start = {"running_mean": {"values": [0.5, 1]}}
    graph = Chain("norm", x=(2,)).add("norm", "batch_norm", initialize=start).graph()
    trained = {name: array + 1 for name, array in initialize(graph).items()}
    file = save_weights(tmp_path / "weights.safetensors", graph, trained)
    np.testing.assert_array_equal(load_weights(file, graph)["norm.running_mean"], [1.5, 2])


def test_it_is_verified_with_its_own_values() -> None:
    assert verify(distances(), [find_backend(name) for name in ("torch", "keras", "onnx")], "gradient").passed


def test_what_is_computed_from_it_alone_is_folded() -> None:
    chain = Chain("folded", x=(3,)).add("codes", "constant", reads=(), values=[1, 2, 3])
    graph = chain.add("double", "rescale", scale=2.0).add("sum", "add", reads=("x", "double")).graph("sum")
    folded = optimize(graph, "inference")
    assert [node.op.kind for node in folded.graph.nodes] == ["parameter", "add"]
    x = np.zeros((2, 3))
    weights = folded.weights(initialize(graph))
    np.testing.assert_array_equal(evaluate(folded.graph, weights, {"x": x})["sum"], [[2, 4, 6]] * 2)
