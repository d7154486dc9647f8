"""Training and inference in PyTorch, by hand and by netspec."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from netspec.graph.training import training_graph
from netspec.lowering import Batch, TrainerSettings, at_level, find_backend
from netspec.recipe import Recipe, Sgd
from subjects.networks import hand_written, load, pixels, weights_of

RULE = {"learning_rate": 1e-6, "momentum": 0.9, "weight_decay": 5e-4}  # a small rate: all steps repeat one batch


def hand_training(network: str, batch: int, **arguments: Any) -> Callable[[], None]:
    """A training step of plain code: SGD with its defaults, and the loss read at the end."""
    spec = load(network)
    model = hand_written(network, weights_of(spec), **arguments).train()
    optimizer = torch.optim.SGD(
        model.parameters(), lr=RULE["learning_rate"], momentum=RULE["momentum"], weight_decay=RULE["weight_decay"]
    )
    x, labels = torch.from_numpy(pixels(spec, batch)), torch.zeros(batch, dtype=torch.long)

    def step() -> None:
        optimizer.zero_grad()
        loss = cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def netspec_training(network: str, batch: int) -> Callable[[], None]:
    """A step of the trainer that `netspec train` uses, which also normalizes its pixels."""
    graph = training_graph(load(network).graph)
    recipe = Recipe(batch_size=batch, epochs=1, optimizer=Sgd(name="sgd", form="torch", **RULE))
    backend = at_level(find_backend("torch"), "training")
    trainer = backend.trainer(graph, weights_of(load(network)), TrainerSettings(recipe, None, "cpu"))
    batches = [Batch(pixels(load(network), batch), np.zeros(batch, np.int64), np.arange(batch))]

    def step() -> None:
        trainer.step(batches, RULE["learning_rate"], batch, 0)

    return step


class Inference:
    """A subject that makes one forward pass."""

    def __init__(self, model: Any, network: str, batch: int) -> None:
        self._model, self._x = model, torch.from_numpy(pixels(load(network), batch))

    def __call__(self) -> None:
        with torch.no_grad():
            self._model(self._x)

    def output(self) -> Any:
        with torch.no_grad():
            return self._model(self._x).numpy()


def hand_inference(network: str, batch: int) -> Inference:
    """The hand-written model in eager mode."""
    return Inference(hand_written(network, weights_of(load(network))).eval(), network, batch)


def netspec_inference(network: str, batch: int) -> Inference:
    """The model that `netspec build --compile --batch-size` compiles for this batch."""
    warnings.simplefilter("ignore")
    spec = load(network)
    return Inference(spec.build("torch", weights_of(spec), compile=True, batch_size=batch).native, network, batch)
