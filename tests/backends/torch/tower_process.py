"""Training of small networks in towers, or on one device for comparison.

As a script, it is one of the processes that train together, and writes its results to the given file.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from unittest import mock

import netspec_torch.towers
import numpy as np
import torch
from netspec_torch import BACKEND
from numpy.typing import NDArray
from torch.distributed import distributed_c10d

from netspec.graph import Graph, Normalization
from netspec.lowering import Batch, Trainer, TrainerSettings, TrainingState
from netspec.recipe import Recipe
from netspec.spec import load_graph
from netspec.testing.networks import Chain
from netspec.training.dropout_masks import with_masks
from netspec.types import DType
from tests.training.towers import SPEC

SAMPLES, HELD = 8, 5  # samples per step, samples that are predicted at the end
BLOCK = 1000  # elements of an exchange of weights: small ones share it, and the largest of two towers need two
LRN: dict[str, Any] = {"size": 3, "alpha": 1e-2, "beta": 0.75, "k": 2, "convention": "sum"}


def every_crossing() -> Graph:
    """A network with every kind of crossing, and with both kinds of replicated weights.

    Replicated weights belong to nodes that every tower computes, or to nodes of which each tower computes a part.
    """
    return (
        Chain("crossings", image=(3, 9, 8))
        .add("conv1", "conv2d", filters=8, kernel_size=3, padding=1)
        .add("relu1", "relu")
        .add("norm1", "local_response_norm", groups=4, **LRN)
        .add("pool1", "max_pool2d", kernel_size=2, stride=2)
        # No bias: before a batch norm, its exact gradient is zero, and Adam would amplify the rounding errors.
        .add("conv2", "conv2d", filters=16, kernel_size=3, padding=1, groups=4, bias=False)
        .add("norm2", "batch_norm")
        .add("slope", "prelu", shared=True)
        .add("drop1", "dropout", rate=0.3)  # of a divided value
        .add("mix", "layer_norm", axes=[1])  # over all channels: its input is collected
        .add("conv3", "conv2d", filters=16, kernel_size=3, padding=1, groups=4)  # its input is shared out again
        .add("norm3", "local_response_norm", **LRN)  # over all channels, of which it reads those of neighbors
        .add("sum", "add", reads=("norm3", "drop1"))
        .add("more", "conv2d", reads="mix", filters=16, kernel_size=1)  # spread from a collected value
        .add("both", "multiply", reads=("sum", "more"))
        .add("path", "stochastic_depth", rate=0.4)  # drops whole samples of a divided value
        .add("flatten", "flatten")
        .add("fc1", "dense", units=8)
        .add("tanh", "tanh")
        .add("fc2", "dense", units=7)  # indivisible: replicated in each tower
        .add("drop2", "dropout", rate=0.2, mode="standard")  # of a replicated value
        .add("fc3", "dense", units=7)
        .graph()
    )


def in_groups() -> Graph:
    """Layers in two groups for four towers: every form of their exchanges, and of the layers around them."""
    return (
        Chain("groups", image=(6, 9, 8))
        .add("conv1", "conv2d", filters=8, kernel_size=3, padding=1, groups=2)  # reads the input: no gradient
        .add("relu1", "relu")
        .add("norm1", "local_response_norm", groups=2, **LRN)  # with halos, in towers of half a group
        .add("pool1", "max_pool2d", kernel_size=2, stride=2)
        .add("mix1", "layer_norm", axes=[1])  # collected
        .add("conv2", "conv2d", filters=16, kernel_size=3, padding=1, groups=2, bias=False)  # spread
        .add("norm2", "batch_norm")
        .add("conv3", "conv2d", filters=16, kernel_size=3, padding=1, groups=2)  # gathered in each team
        .add("side", "conv2d", reads="norm2", filters=16, kernel_size=1)  # and by all
        .add("sum", "add", reads=("conv3", "side"))
        .add("even", "local_response_norm", reads="sum", **LRN | {"size": 4})  # two channels before, and one behind
        .add("mix", "layer_norm", axes=[1], reads="sum")  # over all channels: collected
        .add("conv4", "conv2d", reads="sum", filters=8, kernel_size=1, groups=2)  # spread from what was collected
        .add("conv5", "conv2d", reads="mix", filters=8, kernel_size=1, groups=4)  # a group for each tower
        .add("both", "multiply", reads=("conv4", "conv5"))
        .add("narrow", "conv2d", reads="even", filters=8, kernel_size=1, groups=2)
        .add("three", "add", reads=("both", "narrow"))
        .add("flatten", "flatten")
        .add("fc1", "dense", units=8, groups=2)
        .add("tanh", "tanh")
        .add("drop1", "dropout", rate=0.3)
        .add("fc2", "dense", units=12, groups=2)
        .add("fc3", "dense", units=7)
        .graph()
    )


def of_pixels() -> Graph:
    """A segmentation network of divided layers."""
    return (
        Chain("pixels", image=(3, 9, 8))
        .add("conv1", "conv2d", filters=8, kernel_size=3)
        .add("relu1", "relu")
        .add("conv2", "conv2d", filters=8, kernel_size=3, padding=1, groups=2)
        .add("relu2", "relu")
        .add("head", "conv2d", filters=3, kernel_size=1)
        .graph()
    )


def of_the_command() -> Graph:
    """The network that the test of the command line trains."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "small.yaml")
        path.write_text(SPEC)
        return load_graph(path)


# By name: a network, the number of its optimizer steps, and a threshold of the gradient norm that most steps exceed, so
# that they are clipped. Those of `command` are so many to show how little rounding grows.
NETWORKS: dict[str, tuple[Graph, int, float]] = {
    "crossings": (every_crossing(), 8, 0.5),
    "groups": (in_groups(), 8, 0.5),
    "command": (of_the_command(), 24, 1.0),
    "pixels": (of_pixels(), 8, 0.5),
    "adamw": (every_crossing(), 8, 0.5),
    "rmsprop": (every_crossing(), 8, 0.5),
}
# By the same names: optimizers other than SGD. Their steps accumulate two batches.
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "adamw": {"name": "adamw", "learning_rate": 0.01, "weight_decay": 0.1},
    "rmsprop": {"name": "rmsprop", "learning_rate": 0.005, "momentum": 0.9, "weight_decay": 0.001},
}
MOMENTUM = {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 0.001}


def start(name: str, towers: int) -> Trainer:
    """Return a trainer in float64, with the same weights in every process."""
    graph, steps, norm = NETWORKS[name]
    graph = graph.astype(DType.FLOAT64)
    random = np.random.default_rng(1)
    weights = {key: np.abs(random.standard_normal(w.shape)) / 3 + 0.1 for key, w in graph.weights.items()}
    signs = {key: random.choice([-1, 1], w.shape) if w.trainable else 1 for key, w in graph.weights.items()}
    recipe = Recipe.model_validate(
        {
            "batch_size": SAMPLES,
            "steps": steps,
            "weight_average": {"decay": 0.6},
            "accumulate": 2 if name in OPTIMIZERS else 1,
            "optimizer": OPTIMIZERS.get(name, MOMENTUM),
            "overrides": {"*.bias": {"lr_scale": 2, "decay_scale": 0}},
            "clip_gradient_norm": norm,
        }
    )
    channels = graph.inputs[0].type.features[0]
    normalization = Normalization(
        np.full((channels, 1, 1), 120, np.float32), np.full((channels, 1, 1), 1 / 60, np.float32)
    )
    settings = TrainerSettings(recipe, normalization, device="cpu", towers=towers, timeout=60)
    return BACKEND.trainer(graph, {key: array * signs[key] for key, array in weights.items()}, settings)


def batches(name: str, rank: int, world: int) -> Iterator[Batch]:
    """Yield the samples of one of `world` ranks in each step, with dropout masks that do not depend on the rank."""
    graph, steps, _ = NETWORKS[name]
    random = np.random.default_rng(2)
    channels, height, width = graph.inputs[0].type.features
    classes, *size = graph.type_of(graph.outputs[0]).features
    for step in range(steps):
        images = random.integers(0, 256, (SAMPLES, height, width, channels), dtype=np.uint8)
        labels, rows = random.integers(-1 if size else 0, classes, (SAMPLES, *size)), np.arange(SAMPLES)
        weights = random.exponential(1.0, labels.shape).astype(np.float32) if size else None
        (batch,) = with_masks(graph, (Batch(images, labels, rows, weights=weights),), 0, step)
        yield batch.part(slice(rank, None, world))


def rate_of(name: str) -> float:
    """Return the learning rate of the first steps."""
    rate: float = OPTIMIZERS.get(name, MOMENTUM)["learning_rate"]
    return rate


def batches_of(name: str, share: Batch) -> list[Batch]:
    """Return the samples of one rank as the batches of a step: two if the step accumulates."""
    half = len(share.labels) // 2
    return [share.part(slice(half)), share.part(slice(half, None))] if name in OPTIMIZERS else [share]


def outcome(name: str, trainer: Trainer) -> dict[str, NDArray[Any]]:
    """Run all steps; return losses, gradients of the first and last step, logits at the end, weights and slots."""
    graph, steps, _ = NETWORKS[name]
    arrays: dict[str, NDArray[Any]] = {}
    losses = []
    for step, batch in enumerate(batches(name, trainer.rank, trainer.world)):
        rate = rate_of(name) / (1 if step < steps // 2 else 10)
        result = trainer.step(batches_of(name, batch), rate, SAMPLES, step, keep_gradients=step in (0, steps - 1))
        losses.append(result.loss)
        arrays |= {f"gradient of {key}, step {step}": array for key, array in (result.gradients or {}).items()}
    images = np.random.default_rng(3).integers(0, 256, (HELD, *graph.inputs[0].type.features), dtype=np.uint8)
    arrays |= {"losses": np.array(losses), "logits": trainer.predict(images.transpose(0, 2, 3, 1))}
    state = trainer.export_state()
    assert_exported_to_leader(trainer, state)
    arrays |= {f"{slot} of {key}": array for slot, slots in state.slots.items() for key, array in slots.items()}
    return arrays | state.weights


def assert_exported_to_leader(trainer: Trainer, state: TrainingState) -> None:
    """Assert that the leading process, and only this one, gets the complete state."""
    exported = trainer.export_to_leader()
    assert (exported is not None) == trainer.leads
    if exported is not None:
        actual, expected = ({"": each.weights, **each.slots} for each in (exported, state))
        assert actual.keys() == expected.keys()
        for slot, arrays in expected.items():
            assert actual[slot].keys() == arrays.keys()
            assert all(np.array_equal(actual[slot][name], array) for name, array in arrays.items())


def random_drops(trainer: Trainer) -> dict[str, NDArray[np.bool_]]:
    """Return what each dropout layer drops in a step of two batches without masks, by PyTorch's own generator."""
    drops: dict[str, list[NDArray[np.bool_]]] = {}

    def record(name: str, module: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        dropped = (output == 0) & (inputs[0] != 0)
        drops.setdefault(name, []).append((dropped.flatten(1).any(1) if name == "path" else dropped).numpy())

    for name in ("drop1", "path", "drop2"):
        getattr(trainer.native, name).register_forward_hook(partial(record, name))
    masked = islice(batches("crossings", trainer.rank, trainer.world), 2)
    unmasked = [Batch(batch.inputs, batch.labels, batch.rows) for batch in masked]
    trainer.step(unmasked, 0.0, 2 * SAMPLES, key=7)
    return {f"dropped by {name}": np.concatenate(masks) for name, masks in drops.items()}


def main(path: Path, name: str, towers: int) -> None:
    """Run one process with one trainer: a group that was left cannot be formed again from the same store.

    PyTorch exchanges objects as pickles. The trainer must not do this, so it raises here.
    """
    torch.set_num_threads(1)
    mock.patch.object(netspec_torch.towers, "BLOCK", BLOCK).start()
    for pickler in ("_pickler", "_unpickler"):
        mock.patch.object(distributed_c10d, pickler, side_effect=AssertionError("a pickle is exchanged")).start()
    trainer = start(name, towers)
    arrays = outcome(name, trainer)
    if name == "crossings":
        arrays |= random_drops(trainer)
    trainer.close()
    np.savez(path.with_name(f"{trainer.rank}{_tower(trainer)}.npz"), **arrays)  # type: ignore[arg-type] # NumPy's stub


def _tower(trainer: Trainer) -> int:
    """Return the number of the tower of this process."""
    note = next(note for note in trainer.notes if ", tower " in note)
    return int(note.partition(", tower ")[2].split()[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
