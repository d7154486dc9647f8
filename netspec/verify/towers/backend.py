"""A network in towers as a backend: its models and trainers are several processes of this machine, a tower each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, Self

from numpy.typing import NDArray

from netspec.errors import BackendError
from netspec.graph import Graph
from netspec.lowering import (
    Artifact,
    Backend,
    Batch,
    Gradients,
    Model,
    StepResult,
    TowerSettings,
    Trainer,
    TrainerSettings,
    TrainingState,
)
from netspec.ops.base import Array, Weights
from netspec.passes import Level as Optimization
from netspec.verify.towers.processes import Processes


class InTowers(Backend):
    """A backend whose models and trainers are processes, one for each tower, ended with this context.

    What they make together is asked of all of them, and each has to say the same. They are started with the first
    network, and have one at a time: another one takes its place.

    Args:
        backend: that has networks in towers.
        towers: how many.
        optimize: the level at which it does. The processes find it by its name.
    """

    def __init__(self, backend: Backend, towers: int, optimize: Optimization = "none") -> None:
        self._backend, self._towers, self._optimize = backend, towers, optimize
        self.name = f"{backend.name} in {towers} towers"
        self.requires, self.dtypes, self.lowerings = backend.requires, backend.dtypes, backend.lowerings
        self.trains, self.in_towers = backend.trains, True
        self._processes: Processes | None = None

    def lower(self, graph: Graph) -> Artifact:
        """As the backend does, of the whole network."""
        return self._backend.lower(graph)

    def load(self, artifact: Artifact, weights: Weights, *, donated: bool = False) -> Model:
        """The artifact's network in all the processes.

        Raises:
            BackendError: a process ended, or cannot compute this.
        """
        del donated
        return TowersModel(self._asked(), artifact, weights, TowerSettings(towers=self._towers))

    def write(self, artifact: Artifact, weights: Weights, folder: Path) -> list[Path]:
        """As the backend does, of the whole network."""
        return self._backend.write(artifact, weights, folder)

    def trainer(self, graph: Graph, weights: Weights, settings: TrainerSettings) -> Trainer:
        """The network in all the processes.

        Raises:
            BackendError: a process ended, or cannot train this.
        """
        return TowersTrainer(self._asked(), graph, weights, replace(settings, towers=self._towers))

    def _asked(self) -> Processes:
        if self._processes is None:
            self._processes = Processes(self._towers)
            self._processes.ask("backend", self._backend.name, self._optimize)
        return self._processes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._processes is not None:
            self._processes.end()


class TowersModel(Model):
    """A network's outputs and gradients, of all towers together.

    Args:
        processes: that compute.
        artifact: of the whole network.
        weights: its canonical arrays.
        settings: with the number of towers.
    """

    def __init__(self, processes: Processes, artifact: Artifact, weights: Weights, settings: TowerSettings) -> None:
        self._processes, self.artifact = processes, artifact
        processes.ask("model", artifact.graph, weights, replace(settings, meeting=processes.new_meeting()))

    def forward(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Every output by name.

        Raises:
            VerificationError: the towers do not agree about one.
            BackendError: a process ended, or cannot compute it.
        """
        outputs: dict[str, Array] = self._processes.ask("forward", inputs)
        return outputs

    def forward_training(self, inputs: Mapping[str, Array]) -> NoReturn:
        """Never: in training mode towers are compared as trainers."""
        raise BackendError("a network in towers is in training mode in its trainer alone", "compare its training")

    def gradients(self, inputs: Mapping[str, Array], cotangents: Mapping[str, Array]) -> Gradients:
        """Derivatives of the outputs; see `forward` for what is raised."""
        gradients: Gradients = self._processes.ask("gradients", inputs, cotangents)
        return gradients

    def weights(self) -> dict[str, Array]:
        """Of the whole network; see `forward` for what is raised."""
        weights: dict[str, Array] = self._processes.ask("weights")
        return weights

    def close(self) -> None:
        """Let the towers part; the processes wait for the next network."""
        if self._processes.alive:
            self._processes.ask("close")


class TowersTrainer(Trainer):
    """Training, by all towers together.

    Args:
        processes: that train.
        graph: the whole network.
        weights: canonical arrays to begin with.
        settings: with the number of towers.
    """

    def __init__(self, processes: Processes, graph: Graph, weights: Weights, settings: TrainerSettings) -> None:
        self._processes = processes
        self.notes = processes.ask("trainer", graph, weights, replace(settings, meeting=processes.new_meeting()))

    def step(
        self, batches: Sequence[Batch], rate: float, total: int, key: int, *, keep_gradients: bool = False
    ) -> StepResult:
        """One step in all towers.

        Raises:
            VerificationError: they do not agree about its loss or its gradients.
            BackendError: a process ended, or cannot take it.
        """
        result: StepResult = self._processes.ask("step", batches, rate, total, key, keep_gradients=keep_gradients)
        return result

    def predict(self, inputs: NDArray[Any]) -> Array:
        """The logits, the same in all towers; see `step` for what is raised."""
        logits: Array = self._processes.ask("predict", inputs)
        return logits

    def export_state(self) -> TrainingState:
        """The state of the whole network, the same in all towers; see `step` for what is raised."""
        state: TrainingState = self._processes.ask("export_state")
        return state

    def import_state(self, state: TrainingState) -> None:
        """Give all of them the state; each takes its share."""
        self._processes.ask("import_state", state)

    def close(self) -> None:
        """Let the towers part; the processes wait for the next network."""
        if self._processes.alive:
            self._processes.ask("close")
