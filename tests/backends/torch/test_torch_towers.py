"""Towers, each a process over gloo with its share of the weights, compute the same as the network on one device."""

import ast
from pathlib import Path

import numpy as np
import pytest
from netspec_torch import BACKEND

from netspec.graph.placement import place
from netspec.graph.tower import tower_graph
from netspec.spec import load_graph
from tests.backends.torch import tower_process
from tests.training.towers import start
from tests.waiting import HANG

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("name", "towers", "ranks"),
    [
        *(("crossings", 2, 1), ("crossings", 4, 1), ("crossings", 2, 2)),
        *(("groups", 2, 1), ("groups", 4, 1), ("groups", 4, 2)),
        *(("command", 2, 1), ("pixels", 2, 1), ("adamw", 2, 2), ("rmsprop", 2, 2)),
    ],
)
def test_training_in_towers_is_training_on_one_device(tmp_path: Path, name: str, towers: int, ranks: int) -> None:
    """Forward, gradients, losses, weights and slots agree over 8 or more steps in float64.

    Covers momentum, decay, clipping, weight averages, a drop of the rate, dropout by shared masks, batch statistics,
    accumulation, and weights that are exchanged together and in blocks. With two towers and two ranks, the processes
    form a mesh.
    """
    script = [tower_process.__file__, str(tmp_path / "results"), name, str(towers)]
    for process in start([script] * (towers * ranks)):
        _, errors = process.communicate(timeout=HANG)
        assert process.returncode == 0, errors
    expected = tower_process.outcome(name, tower_process.start(name, 1))
    processes = [(rank, tower) for rank in range(ranks) for tower in range(towers)]
    results = {process: dict(np.load(tmp_path / f"{process[0]}{process[1]}.npz")) for process in processes}
    for process, arrays in results.items():
        for key, array in expected.items():
            np.testing.assert_allclose(arrays[key], array, rtol=0, atol=1e-10, err_msg=f"{key}, {process}")
        np.testing.assert_array_equal(arrays["losses"], results[0, 0]["losses"])
    assert np.ptp(expected["losses"]) > 0.1
    if name == "crossings":
        _assert_random_drops(results)


# Dropout of a divided value, of whole samples, and of a replicated value.
DROPS = ("dropped by drop1", "dropped by path", "dropped by drop2")


def _assert_random_drops(results: dict[tuple[int, int], dict[str, np.ndarray]]) -> None:
    """Assert that, without masks, the towers of a rank agree on dropped samples and replicated values, nothing else."""
    for (rank, tower), arrays in results.items():
        for (rank2, tower2), others in results.items():
            if (rank, tower) != (rank2, tower2):
                equal = {key: np.array_equal(arrays[key], others[key]) for key in arrays if key.startswith("dropped")}
                assert equal == dict(zip(DROPS, (False, rank == rank2, rank == rank2), strict=True))
        halves = np.split(arrays["dropped by drop2"], 2)
        assert not np.array_equal(*halves)  # the two batches of the step


@pytest.mark.parametrize("towers", [2, 4])
def test_the_network_has_every_crossing_and_both_kinds_of_replicated_weights(towers: int) -> None:
    placement = place(tower_process.every_crossing(), towers)
    assert {crossing.kind for crossing in placement.crossings} == {"gather", "collect", "spread", "share", "halo"}
    assert {weight.partial for weight in placement.weights if weight.axis is None} == {True, False}


def test_the_network_in_groups_has_both_crossings_of_groups_and_others_of_the_same_values() -> None:
    placement = place(tower_process.in_groups(), 4)
    crossings = {
        (c.value, c.kind, c.groups) for c in placement.crossings if c.value in {"relu1", "mix1", "norm2", "sum"}
    }
    assert crossings == {
        *{("relu1", "halo", 2), ("mix1", "spread_group", 2), ("norm2", "gather_group", 2), ("norm2", "gather", 1)},
        *{("sum", "collect", 1), ("sum", "spread_group", 2), ("sum", "halo", 1)},
    }
    assert all(crossing.groups == 1 for crossing in place(tower_process.in_groups(), 2).crossings)


@pytest.mark.parametrize(
    "name", ["alexnet", "alexnet-caffe", "cifar-alexnet-keras", "resnet", "mobilenet-v2", "googlenet"]
)
def test_a_towers_source_stands_alone_and_has_its_share_of_the_weights(name: str) -> None:
    placement = place(load_graph(ROOT / "specs" / f"{name}.yaml"), 2)
    graph = tower_graph(placement).check()
    artifact = BACKEND.lower(graph)
    imported = {
        alias.name.split(".")[0] if isinstance(statement, ast.Import) else str(statement.module).split(".")[0]
        for statement in ast.parse(str(artifact.content)).body
        if isinstance(statement, ast.Import | ast.ImportFrom)
        for alias in statement.names
    }
    assert imported <= {"torch", "typing", "math", "collections"}
    assert sum(weight.size for weight in graph.weights.values()) == placement.tower_weights
    assert list(graph.weights) == list(placement.graph.weights)
    assert placement.tower_weights / placement.whole_weights <= 0.55


KEPT = """
import numpy as np
from netspec.graph import Normalization
from netspec.lowering import Batch, TrainerSettings
from netspec.spec import elaborate, read_spec
from netspec_torch import BACKEND

spec = read_spec("specs/alexnet.yaml")
graph = elaborate(spec)
weights = {name: np.zeros(weight.shape, np.float32) for name, weight in graph.weights.items()}
plain = Normalization(np.zeros((3, 1, 1), np.float32), np.ones((3, 1, 1), np.float32))
trainer = BACKEND.trainer(graph, weights, TrainerSettings(spec.training, plain, "cpu", towers=2))
batch = Batch(np.zeros((1, 224, 224, 3), np.uint8), np.zeros(1, np.int64), np.arange(1))
trainer.step([batch], 0.01, 1, 0)
weights = sum(weight.numel() for weight in trainer.native.parameters())
(velocity,) = trainer._optimizer.slots().values()
print(weights, sum(tensor.numel() for tensor in velocity.values()), trainer.notes[-1], sep=chr(10))
trainer.close()
"""


def test_each_of_two_processes_has_half_of_alexnets_weights_and_optimizer_state() -> None:
    whole = sum(weight.size for weight in load_graph(ROOT / "specs" / "alexnet.yaml").weights.values())
    for process in start([["-c", KEPT]] * 2):
        output, trace = process.communicate(timeout=HANG)
        assert process.returncode == 0, trace
        weights, velocity, note = output.splitlines()
        assert int(weights) == int(velocity) <= 0.55 * whole
        assert note == f"trained weights here: {int(weights):,} of {whole:,} (0.500), and of the optimizer's velocity"


LOST = """
import os
import numpy as np
from netspec.errors import BackendError
from netspec.graph import Normalization
from netspec.lowering import Batch, TrainerSettings
from netspec.recipe import Recipe
from netspec.testing.networks import towers
from netspec_torch import BACKEND

random, graph = np.random.default_rng(0), towers()
weights = {name: random.standard_normal(w.shape) / 10 for name, w in graph.weights.items()}
recipe = Recipe.model_validate({"batch_size": 4, "steps": 2, "optimizer": {"name": "sgd", "learning_rate": 0.1}})
plain = Normalization(np.zeros((3, 1, 1), np.float32), np.ones((3, 1, 1), np.float32))
trainer = BACKEND.trainer(graph, weights, TrainerSettings(recipe, plain, device="cpu", towers=2))
batch = Batch(random.integers(0, 256, (4, 23, 19, 3), dtype=np.uint8), np.zeros(4, np.int64), np.arange(4))
trainer.step([batch], 0.1, 4, 0)
if os.environ["RANK"] == "1":
    os._exit(0)
try:
    trainer.step([batch], 0.1, 4, 0)
except BackendError as error:
    print(error)
"""


def test_a_lost_tower_is_reported() -> None:
    output, _ = (process.communicate(timeout=HANG)[0] for process in start([["-c", LOST]] * 2))
    assert output.count("process 0 of 2 lost the others") == 1


TWICE = """
import torch, torch.distributed as dist
from netspec_torch.support.exchange import Collect, Gather, GatherGroup, Share, Spread, SpreadGroup
from netspec_torch.support.halo import Halo

dist.init_process_group("gloo")
for layer in (Gather(1), Collect(1), Spread(1), Share(1), GatherGroup(1, 2), SpreadGroup(1, 2), Halo(1, 1, 2, 1)):
    x = torch.ones(2, 4, 3, requires_grad=True)
    (g,) = torch.autograd.grad(layer(x).pow(3).sum(), x, create_graph=True)
    try:
        g.sum().backward()
    except RuntimeError as error:
        print(layer, "once_differentiable" in str(error))
dist.destroy_process_group()
"""


def test_exchanges_have_no_second_derivative() -> None:
    """A second derivative would lack the contributions of the other towers, so PyTorch must refuse it."""
    output, _ = (process.communicate(timeout=HANG)[0] for process in start([["-c", TWICE]] * 2))
    assert output.count("True") == 7


RESIDUAL = """
name: residual
source: a test
input: {shape: [5, 8]}
blocks:
  residual:
    layers:
      norm: {op: layer_norm, axes: [2]}
      fc: {op: dense, units: 8}
      sum: {op: add, inputs: [fc, input]}
layers:
  stem: {op: dense, units: 8}
  stage: {block: residual, repeat: 4}
  last: {op: layer_norm, axes: [2]}
"""


def test_instances_exchange_inputs_that_only_they_read_and_stay_a_chain(tmp_path: Path) -> None:
    """An instance passes a single value, its share of the output, to the next one."""
    spec = tmp_path / "residual.yaml"
    spec.write_text(RESIDUAL)
    graph = tower_graph(place(load_graph(spec), 2)).check()
    assert {f"stage.{i}.collect_input" for i in range(4)} <= graph.values.keys()
    source = str(BACKEND.lower(graph).content)
    assert "*(Residual() for _ in range(3)), Residual(has_collect_sum=True)" in source


def test_a_value_that_several_instances_read_is_exchanged_once(tmp_path: Path) -> None:
    spec = tmp_path / "residual.yaml"
    spec.write_text(
        RESIDUAL.replace(
            "  last:", "  two: {block: residual, inputs: [stem]}\n  both: {op: add, inputs: [stage, two]}\n  last:"
        )
    )
    graph = tower_graph(place(load_graph(spec), 2)).check()
    names = [node.name for node in graph.nodes]
    assert names[:3] == ["spread_input", "stem", "collect_stem"]
    assert not {"stage.0.collect_input", "two.collect_input"} & {*names}
