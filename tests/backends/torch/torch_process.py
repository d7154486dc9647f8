"""A few training steps of a small network in one process, or in one of several that divide the samples.

As a script, it is one of the processes that train together, and writes its results to the given file.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from netspec_torch import BACKEND

from netspec.graph import Graph, Normalization
from netspec.lowering import Batch, Trainer, TrainerSettings
from netspec.ops import Dropout
from netspec.recipe import Recipe
from netspec.testing.networks import Chain
from netspec.types import DType

# For each step and each batch, the number of samples that each of two processes gets.
STEPS = (
    [(3, 2)],
    [(3, 2), (1, 3)],
    [(4, 0)],  # the second process gets an empty batch
    [(2, 2), (3,)],  # the second process gets one batch fewer
    [(0, 5)],
    [(1, 1)],
)
RATES = (0.1, 0.1, 0.1, 0.01, 0.01, 0.01)


def network() -> Graph:
    """Batch norms of maps and features, both modes of dropout, and a layer that no output reads."""
    return (
        Chain("spread", image=(3, 6, 5))
        .add("conv", "conv2d", filters=4, kernel_size=3)
        .add("norm", "batch_norm")
        .add("relu", "relu")
        .add("drop_map", "dropout", rate=0.25)
        .add("flatten", "flatten")
        .add("fc1", "dense", units=5)
        .add("still", "batch_norm", running_variance="biased", affine=False)
        .add("drop", "dropout", rate=0.5, mode="standard")
        .add("dead", "dense", reads="flatten", units=2)
        .add("fc2", "dense", reads="drop", units=3)
        .graph("fc2")
        .astype(DType.FLOAT64)
    )


def network_of_maps() -> Graph:
    """A segmentation network with batch normalization and dropout."""
    return (
        Chain("maps", image=(3, 6, 5))
        .add("conv", "conv2d", filters=4, kernel_size=3)
        .add("norm", "batch_norm")
        .add("relu", "relu")
        .add("drop", "dropout", rate=0.25)
        .add("pixels", "conv2d", filters=3, kernel_size=1)
        .graph()
        .astype(DType.FLOAT64)
    )


def start(timeout: float = 60, graph: Graph | None = None) -> Trainer:
    """Return a trainer with the same weights in every process."""
    graph = graph or network()
    random = np.random.default_rng(1)
    weights = {name: np.abs(random.standard_normal(w.shape)) / 2 + 0.1 for name, w in graph.weights.items()}
    recipe = Recipe.model_validate(
        {
            "batch_size": 8,
            "steps": 6,
            "weight_average": {"decay": 0.6},
            "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.01},
            "overrides": {"*.bias": {"lr_scale": 2, "decay_scale": 0}},
            "clip_gradient_norm": 2.0,
        }
    )
    normalization = Normalization(np.full((3, 1, 1), 120, np.float32), np.full((3, 1, 1), 1 / 60, np.float32))
    return BACKEND.trainer(graph, weights, TrainerSettings(recipe, normalization, device="cpu", timeout=timeout))


def steps(rank: int, world: int, graph: Graph | None = None) -> Iterator[tuple[list[Batch], int]]:
    """Yield the batches of one of `world` processes in each step, and the number of samples of all processes."""
    graph = graph or network()
    random = np.random.default_rng(2)
    for sizes_of_batches in STEPS:
        batches: list[Batch] = []
        for sizes in sizes_of_batches:
            batch = _batch(random, sum(sizes), graph)
            edges = np.cumsum([0, *sizes]) if world > 1 else [0, sum(sizes)]
            if rank + 1 < len(edges):
                batches.append(batch.part(slice(edges[rank], edges[rank + 1])))
        yield batches, sum(map(sum, sizes_of_batches))


def _batch(random: np.random.Generator, samples: int, graph: Graph) -> Batch:
    drops = [node for node in graph.nodes if isinstance(node.op, Dropout)]
    masks = {node.name: random.random(node.type.concrete(samples)) >= node.op.rate for node in drops}
    images = random.integers(0, 256, (samples, 6, 5, 3), dtype=np.uint8)
    shape = (samples, *graph.type_of(graph.outputs[0]).features[1:])
    labels = random.integers(-1 if shape[1:] else 0, 3, shape)
    weights = random.exponential(1.0, shape).astype(np.float32) if shape[1:] else None
    return Batch(images, labels, np.arange(samples), masks=masks, weights=weights)


def outcome(trainer: Trainer, graph: Graph | None = None) -> dict[str, np.ndarray]:
    """Run all steps; return losses, numbers of wrong predictions, and the final state."""
    results = [
        trainer.step(batches, rate, total, key=0)
        for (batches, total), rate in zip(steps(trainer.rank, trainer.world, graph), RATES, strict=True)
    ]
    state = trainer.export_state()
    velocity = {f"velocity of {name}": array for name, array in state.slots["velocity"].items()}
    metrics = {"losses": np.array([r.loss for r in results]), "wrong": np.array([r.wrong for r in results])}
    return metrics | state.weights | velocity


def main(path: Path) -> None:
    """Run one process: the steps, a sum over processes, a step with random dropout, and the segmentation network."""
    torch.set_num_threads(1)
    trainer = start()
    results = outcome(trainer)
    results["total"] = trainer.total(np.array([1.0, trainer.rank]))
    unmasked = replace(_batch(np.random.default_rng(3), 4, network()), masks=None)
    dropped: list[torch.Tensor] = []
    trainer.native.drop_map.register_forward_hook(lambda module, inputs, output: dropped.append(output == 0))
    trainer.step([unmasked], 0.0, 8, key=7)
    results["dropped"] = dropped[0].numpy()
    trainer.close()
    trainer_of_maps = start(graph=network_of_maps())
    results |= {f"maps, {name}": array for name, array in outcome(trainer_of_maps, network_of_maps()).items()}
    trainer_of_maps.close()
    np.savez(path.with_name(f"{path.name}{trainer.rank}.npz"), **results)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
