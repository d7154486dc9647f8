"""A model of which this process computes one tower: it takes and returns whole arrays, the same in each process."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from netspec.errors import BackendError
from netspec.graph.placement import Placement
from netspec.lowering import Artifact, Gradients, TowerSettings
from netspec.ops.base import Array, Weights
from netspec_torch.distributed import Processes
from netspec_torch.model import TorchModel
from netspec_torch.towers import Tower


class TowerModel(TorchModel):
    """The emitted module of a tower's graph, with its share of the weights. All towers have to call the same methods.

    Args:
        artifact: of one tower's graph.
        weights: canonical arrays of the whole network.
        settings: the number of towers, and where their processes meet.
        placement: of the whole network.

    Raises:
        BackendError: the other processes cannot be reached.
    """

    def __init__(self, artifact: Artifact, weights: Weights, settings: TowerSettings, placement: Placement) -> None:
        self._processes = Processes.join(torch.device("cpu"), settings)
        self._tower, self._placement = Tower(placement, self._processes), placement
        super().__init__(artifact, self._tower.own(weights))
        self._tower.attach(self.native)

    def forward(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs of inference, by their names in the whole network.

        Raises:
            BackendError: another process is gone.
        """
        with self._processes.explain_lost_process():
            outputs = super().forward(inputs)
        return dict(zip(self._placement.graph.main, outputs.values(), strict=True))

    def forward_training(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Not supported: dropout masks and running statistics of towers are the trainer's work.

        Raises:
            BackendError: always.
        """
        raise BackendError(f"{self._placement.graph.name} in towers has no training mode without a loss", "train it")

    def gradients(self, inputs: Mapping[str, Array], cotangents: Mapping[str, Array]) -> Gradients:
        """Derivatives by the whole weights and the inputs, by autograd.

        Raises:
            BackendError: another process is gone.
        """
        names = dict(zip(self._placement.graph.main, self.artifact.graph.main, strict=True))
        with self._processes.explain_lost_process():
            local = super().gradients(inputs, {names.get(name, name): array for name, array in cotangents.items()})
            self._tower.reduce_gradients({name: torch.from_numpy(array) for name, array in local.weights.items()})
            return Gradients(self._whole(local.weights), local.inputs)

    def weights(self) -> dict[str, Array]:
        """A copy of each weight of the whole network.

        Raises:
            BackendError: another process is gone.
        """
        with self._processes.explain_lost_process():
            return self._whole(super().weights())

    def close(self) -> None:
        """Leave the process group."""
        self._processes.leave()

    def _whole(self, arrays: Weights) -> dict[str, Array]:
        return self._tower.whole(arrays.items(), everywhere=True)
