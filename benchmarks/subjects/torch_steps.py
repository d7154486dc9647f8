"""Training and inference in PyTorch, by hand and emitted."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from netspec.lowering import Batch, TrainerSettings, at_level, find_backend
from netspec.recipe import Recipe, Sgd
from netspec.training.network import training_graph
from subjects.networks import hand_written, load, pixels, weights_of

RULE = {"learning_rate": 1e-6, "momentum": 0.9, "weight_decay": 5e-4}  # small: steps go on and on with one batch


def hand_training(network: str, batch: int, **arguments: Any) -> Callable[[], None]:
    """A step as it is written plainly: the default SGD, the loss read at the end."""
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


def own_training(network: str, batch: int) -> Callable[[], None]:
    """A step of the trainer of `netspec train`, which also normalizes the pixels that it is given."""
    graph = training_graph(load(network).graph)
    recipe = Recipe(batch_size=batch, epochs=1, optimizer=Sgd(name="sgd", form="torch", **RULE))
    backend = at_level(find_backend("torch"), "training")
    trainer = backend.trainer(graph, weights_of(load(network)), TrainerSettings(recipe, None, "cpu"))
    given = [Batch(pixels(load(network), batch), np.zeros(batch, np.int64), np.arange(batch))]
    return lambda: trainer.step(given, RULE["learning_rate"], batch, 0) and None


class Inference:
    """Called, a forward pass."""

    def __init__(self, model: Any, network: str, batch: int) -> None:
        self._model, self._x = model, torch.from_numpy(pixels(load(network), batch))

    def __call__(self) -> None:
        with torch.no_grad():
            self._model(self._x)

    def output(self) -> Any:
        with torch.no_grad():
            return self._model(self._x).numpy()


def hand_inference(network: str, batch: int) -> Inference:
    """Eager, as it is written plainly."""
    return Inference(hand_written(network, weights_of(load(network))).eval(), network, batch)


def own_inference(network: str, batch: int) -> Inference:
    """Compiled, as `netspec build --compile` does."""
    warnings.simplefilter("ignore")
    spec = load(network)
    return Inference(spec.build("torch", weights_of(spec), compile=True).native, network, batch)
