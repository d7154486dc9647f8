"""A backend whose models and trainers are several processes of this machine, one for each tower."""

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
    """A backend that runs a network in towers, a process for each. The processes end when the context manager exits.

    Every request goes to all processes, and all have to give the same answer. The processes start with the first
    network, and hold one network at a time: loading another replaces it.

    Args:
        backend: one that supports towers. The processes look it up by its name.
        towers: their number.
        optimize: the level of optimization.
    """

    def __init__(self, backend: Backend, towers: int, optimize: Optimization = "none") -> None:
        self._backend, self._towers, self._optimize = backend, towers, optimize
        self.name = f"{backend.name} in {towers} towers"
        self.requires, self.dtypes, self.lowerings = backend.requires, backend.dtypes, backend.lowerings
        self.trains, self.supports_towers = backend.trains, True
        self._processes: Processes | None = None

    def lower(self, graph: Graph) -> Artifact:
        """Lower the whole network, as the backend does."""
        return self._backend.lower(graph)

    def load(self, artifact: Artifact, weights: Weights, *, donated: bool = False) -> Model:
        """Load the artifact's network in all processes.

        Raises:
            BackendError: a process ended, or cannot compute the network.
        """
        del donated
        return TowersModel(self._started(), artifact, weights, TowerSettings(towers=self._towers))

    def write(self, artifact: Artifact, weights: Weights, folder: Path) -> list[Path]:
        """Write the whole network, as the backend does."""
        return self._backend.write(artifact, weights, folder)

    def trainer(self, graph: Graph, weights: Weights, settings: TrainerSettings) -> Trainer:
        """Make a trainer of the network in all processes.

        Raises:
            BackendError: a process ended, or cannot train the network.
        """
        return TowersTrainer(self._started(), graph, weights, replace(settings, towers=self._towers))

    def _started(self) -> Processes:
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
    """A model that all processes compute together.

    Args:
        processes: one for each tower.
        artifact: of the whole network.
        weights: canonical arrays of the whole network.
        settings: the number of towers, and timeouts.
    """

    def __init__(self, processes: Processes, artifact: Artifact, weights: Weights, settings: TowerSettings) -> None:
        self._processes, self.artifact = processes, artifact
        processes.ask("model", artifact.graph, weights, replace(settings, meeting=processes.new_meeting()))

    def forward(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name.

        Raises:
            VerificationError: the towers' outputs differ.
            BackendError: a process ended, or cannot compute the outputs.
        """
        outputs: dict[str, Array] = self._processes.ask("forward", inputs)
        return outputs

    def forward_training(self, inputs: Mapping[str, Array]) -> NoReturn:
        """Not supported: training mode is compared by trainers.

        Raises:
            BackendError: always.
        """
        raise BackendError("a network in towers is in training mode in its trainer alone", "compare its training")

    def gradients(self, inputs: Mapping[str, Array], cotangents: Mapping[str, Array]) -> Gradients:
        """Derivatives of the outputs. Raises as `forward` does."""
        gradients: Gradients = self._processes.ask("gradients", inputs, cotangents)
        return gradients

    def weights(self) -> dict[str, Array]:
        """The weights of the whole network. Raises as `forward` does."""
        weights: dict[str, Array] = self._processes.ask("weights")
        return weights

    def close(self) -> None:
        """Let the towers leave their group. The processes stay, for the next network."""
        if self._processes.alive:
            self._processes.ask("close")


class TowersTrainer(Trainer):
    """A trainer that all processes run together.

    Args:
        processes: one for each tower.
        graph: the whole network.
        weights: initial canonical arrays.
        settings: as for any trainer, with the number of towers.
    """

    def __init__(self, processes: Processes, graph: Graph, weights: Weights, settings: TrainerSettings) -> None:
        self._processes = processes
        self.notes = processes.ask("trainer", graph, weights, replace(settings, meeting=processes.new_meeting()))

    def step(
        self, batches: Sequence[Batch], rate: float, total: int, key: int, *, keep_gradients: bool = False
    ) -> StepResult:
        """Take one step in all towers.

        Raises:
            VerificationError: the towers' losses or gradients differ.
            BackendError: a process ended, or cannot take the step.
        """
        result: StepResult = self._processes.ask("step", batches, rate, total, key, keep_gradients=keep_gradients)
        return result

    def predict(self, inputs: NDArray[Any]) -> Array:
        """The logits. Raises as `step` does."""
        logits: Array = self._processes.ask("predict", inputs)
        return logits

    def export_state(self) -> TrainingState:
        """The training state of the whole network. Raises as `step` does."""
        state: TrainingState = self._processes.ask("export_state")
        return state

    def import_state(self, state: TrainingState) -> None:
        """Give the state to all towers; each keeps its share."""
        self._processes.ask("import_state", state)

    def close(self) -> None:
        """Let the towers leave their group. The processes stay, for the next network."""
        if self._processes.alive:
            self._processes.ask("close")
