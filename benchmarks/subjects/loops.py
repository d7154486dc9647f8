"""Training steps of AlexNet, batch 32, in the loop of `netspec train` and in a bare loop.

Both train the same emitted module. The bare loop is the one that a good engineer writes by hand: it converts a batch
that is in memory already, takes a step of fused SGD, and reads the loss. The loop of `netspec train` also reads images
in threads, crops and flips them, shifts their colors, and writes metrics and TensorBoard events.
"""

from __future__ import annotations

import atexit
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from netspec.errors import NetspecError
from netspec.graph.training import training_graph
from netspec.lowering import TrainerSettings, at_level, find_backend
from netspec.preprocessing import normalization
from netspec.recipe import ConstantSchedule, Recipe
from netspec.spec import elaborate, read_spec
from netspec.training.checkpoint import Position, Run
from netspec.training.data.batches import Batches
from netspec.training.data.dataset import Dataset
from netspec.training.data.statistics import Components
from netspec.training.events import Observers
from netspec.training.loop import Loop
from netspec.training.material import recipe_of as recipe_in
from netspec.training.metrics import MetricsFile, TensorBoard
from netspec.training.schedule import Schedule
from netspec.training.stop import StopSignals
from netspec.weights import initialize

BATCH, SIDE = 32, 256


class Pixels(Dataset):
    """Random images that are decoded already, like those of `netspec data prepare`."""

    def __init__(self, length: int = 512) -> None:
        self.origin, self.classes, self.fingerprint = "random pixels", ("one",), "random"
        self.labels = np.zeros(length, np.int64)
        self._images = np.random.default_rng(0).integers(0, 256, (length, SIDE, SIDE, 3), dtype=np.uint8)

    def read(self, index: int) -> NDArray[np.uint8]:
        image: NDArray[np.uint8] = self._images[index]
        return image

    def describe(self, index: int) -> str:
        return f"image {index}"


def recipe_of(steps: int) -> Recipe:
    """Return the recipe of AlexNet with this number of steps and a constant learning rate."""
    recipe = recipe_in(read_spec("specs/alexnet.yaml"))
    constant = ConstantSchedule(name="constant")
    return recipe.model_copy(update={"batch_size": BATCH, "epochs": None, "steps": steps, "schedule": constant})


class NetspecLoop:
    """The loop of `netspec train`. Each call is a run of `steps` steps, which writes into `folder`."""

    def __init__(self, steps: int, folder: Path) -> None:
        spec = read_spec("specs/alexnet.yaml")
        self.graph, self.recipe = training_graph(elaborate(spec)), recipe_of(steps)
        preprocessing = self.graph.inputs[0].preprocessing
        settings = TrainerSettings(self.recipe, normalization(preprocessing, (3, 224, 224)), "cpu")
        self.trainer = at_level(find_backend("torch"), "training").trainer(self.graph, initialize(self.graph), settings)
        colors = Components(np.full(3, 120.0), np.array([10_000.0, 1_000.0, 100.0]), np.eye(3))
        self.batches = Batches(Pixels(), (3, 224, 224), preprocessing, self.recipe, colors)
        self.observers = Observers(MetricsFile(folder / "metrics.jsonl", 0), TensorBoard(folder / "events", 0))

    def __call__(self) -> None:
        loop = Loop(
            graph=self.graph,
            seed=0,
            trainer=self.trainer,
            batches=self.batches,
            schedule=Schedule(self.recipe, self.batches.steps_per_epoch),
            folder=None,
            run=Run({}, "random", exact=False),
            observers=self.observers,
            evaluate=None,
            diverged=lambda step, loss, _: NetspecError(f"{loss} in step {step}"),
            exact=False,
            checkpoint_every=10**9,
            stop=StopSignals(),
        )
        loop.finish(Position())


class BareLoop:
    """A loop by hand over the same module, with the same update rule."""

    def __init__(self, steps: int) -> None:
        graph = training_graph(elaborate(read_spec("specs/alexnet.yaml")))
        backend = at_level(find_backend("torch"), "training")
        self.module = backend.load(backend.lower(graph), initialize(graph)).native.train()
        rule = {"lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}
        self.optimizer = torch.optim.SGD(self.module.parameters(), **rule, fused=True)
        self.pixels = torch.randint(0, 256, (BATCH, 224, 224, 3), dtype=torch.uint8)
        self.labels = torch.zeros(BATCH, dtype=torch.long)
        self.mean = torch.tensor([123.68, 116.779, 103.939])[:, None, None]
        self.steps = steps

    def __call__(self) -> None:
        for _ in range(self.steps):
            x = self.pixels.permute(0, 3, 1, 2).to(torch.float32) - self.mean
            loss = cross_entropy(self.module(x), self.labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            loss.item()


def netspec_loop(steps: int) -> NetspecLoop:
    """Return the loop of `netspec train`."""
    folder = TemporaryDirectory()
    atexit.register(folder.cleanup)  # keeps the folder until the process ends
    return NetspecLoop(steps, Path(folder.name))


def bare_loop(steps: int) -> BareLoop:
    """Return the loop by hand."""
    return BareLoop(steps)
