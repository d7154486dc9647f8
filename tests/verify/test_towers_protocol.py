"""Messages between the processes of `verify_towers` arrive unchanged, and nothing else can be sent."""

import io
import json
import pickle
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings

from netspec.graph import Graph, Preprocessing, make_node
from netspec.graph.graph import Input
from netspec.graph.mean import MeanImage
from netspec.lowering import Batch, TrainerSettings, TrainingState
from netspec.ops import OPS
from netspec.recipe import Recipe
from netspec.spec import load_graph
from netspec.testing.drawn.strategies import DrawnSpec, specs
from netspec.types import DType, TensorType
from netspec.verify.towers import protocol
from netspec.verify.towers.protocol import Reply, Request, receive, send

SPECS = Path(__file__).parents[2] / "specs"
Both: TypeAlias = "tuple[Connection[Any, Any], Connection[Any, Any]]"


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    ours, theirs = Pipe()
    with ours, theirs:
        yield ours, theirs


def received(both: Both, value: Any) -> Any:
    send(both[0], value)
    return receive(both[1])


@pytest.mark.parametrize("kind", OPS)
def test_every_op_is_received_unchanged(both: Both, kind: str) -> None:
    """Each sample of an op, with resolved attributes, as in a graph."""
    for sample in OPS[kind].samples():
        inputs = [Input(f"x{i}", TensorType.of(*features)) for i, features in enumerate(sample.inputs)]
        node = make_node("node", sample.op, inputs[: sample.op.inputs[1]])
        assert received(both, node) == node


@pytest.mark.parametrize("name", ["googlenet", "swin", "alexnet-caffe", "unet", "mobilenet-v3-large"])
def test_networks_are_received_unchanged(both: Both, name: str) -> None:
    graph = load_graph(SPECS / f"{name}.yaml").astype(DType.FLOAT64)
    found = received(both, graph)
    assert found == graph.check()
    assert [scope.formulas for scope in found.scopes] == [scope.formulas for scope in graph.scopes]
    assert [scope.names for scope in found.scopes] == [scope.names for scope in graph.scopes]


@settings(max_examples=30)
@given(drawn=specs(most_layers=8))
def test_random_networks_are_received_unchanged(drawn: DrawnSpec, both: Both) -> None:
    assert received(both, drawn.graph) == drawn.graph


def test_numbers_of_a_recipe_are_received_bit_for_bit(both: Both) -> None:
    random = np.random.default_rng(0)
    for rate in np.exp(random.uniform(-300, 300, 200)).tolist():
        optimizer = {"name": "sgd", "learning_rate": rate, "momentum": random.random()}
        recipe = Recipe.model_validate({"batch_size": 1, "steps": 1, "optimizer": optimizer})
        settings = TrainerSettings(recipe, must_agree={"the data": "#1"}, meeting="file:///a")
        assert received(both, settings) == settings


def test_arrays_are_received_unchanged_and_writable(both: Both) -> None:
    random = np.random.default_rng(0)
    arrays = {
        "transposed": random.standard_normal((3, 4)).T,
        "none": np.empty((0, 3), np.float32),
        "one": np.array(1.5),
        "mask": random.random((2, 3)) < 0.5,
        "pixels": random.integers(0, 256, (2, 5), dtype=np.uint8),
        "labels": np.arange(3),
    }
    found: dict[str, np.ndarray[Any, Any]] = received(both, Request("step", (arrays,))).arguments[0]
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)
        found[name].fill(0)


def test_arguments_and_results_of_a_trainer_are_received_unchanged(both: Both) -> None:
    image = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    value = Input("x", TensorType.of(3, 2, 2), Preprocessing(mean=MeanImage.of(image), std=(1.5,)))
    assert received(both, Graph("g", (value,), (), ("x",))).inputs == (value,)
    batch = Batch(image, np.zeros(1, np.int64), np.arange(1), masks={"drop": np.ones((1, 2), bool)})
    found = received(both, (batch, TrainingState({"w": image}, {"velocity": {}}, 3), [float("inf")], None))
    assert isinstance(found, tuple)
    assert found[0].masks["drop"].all()
    assert (found[1].updates, found[1].slots, found[2], found[3]) == (3, {"velocity": {}}, [float("inf")], None)
    assert received(both, Reply(error=("what", "hint"))) == Reply(error=("what", "hint"))


@pytest.mark.parametrize("value", [io.StringIO(), np.array([None]), {1, 2}, Path("x"), 1j, np.array(["a"])])
def test_unlisted_types_are_not_sent(both: Both, value: object) -> None:
    with pytest.raises(TypeError, match="not sent"):
        send(both[0], value)
    assert not both[1].poll()


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ([], {"Path": {"x": 1}}),
        ([], {"Popen": {"args": "true"}}),
        ([["|O", [1]]], {"array": 0}),
    ],
)
def test_unlisted_types_are_not_constructed(both: Both, arrays: list[Any], text: dict[str, Any]) -> None:
    for part in (arrays, text):
        both[0].send_bytes(json.dumps(part).encode())
    with pytest.raises(TypeError, match="not sent"):
        receive(both[1])
    while both[1].poll():
        both[1].recv_bytes()


def test_a_pickle_is_not_read(both: Both) -> None:
    both[0].send_bytes(pickle.dumps([1]))
    with pytest.raises(ValueError, match=r"utf-8|JSON|Expecting"):
        receive(both[1])


def test_listed_types_have_distinct_names() -> None:
    names = [*protocol.RECORDS, *protocol.ENUMS, *protocol.MODELS, "array", "mapping", "list", "tuple", "frozenset"]
    assert len(set(names)) == len(names)
