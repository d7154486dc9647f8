"""A network of which this process is one tower, as a model: whole arrays in, whole arrays out, the same in each."""

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
    """The emitted class of a tower's graph with its share of the weights. What it is asked, all towers are.

    Args:
        artifact: of one tower's graph.
        weights: canonical arrays of the whole network.
        settings: how many towers, and where they meet.
        placement: how the whole network lies.

    Raises:
        BackendError: the other processes are not there.
    """

    def __init__(self, artifact: Artifact, weights: Weights, settings: TowerSettings, placement: Placement) -> None:
        self._processes = Processes.join(torch.device("cpu"), settings)
        self._tower, self._placement = Tower(placement, self._processes), placement
        super().__init__(artifact, self._tower.own(weights))
        self._tower.attach(self.native)

    def forward(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Every output of inference by its name in the whole network.

        Raises:
            BackendError: another process is gone.
        """
        with self._processes.told():
            outputs = super().forward(inputs)
        return dict(zip(self._placement.graph.main, outputs.values(), strict=True))

    def forward_training(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Never: which masks the towers have to share, and how their statistics move, is the trainer's."""
        raise BackendError(f"{self._placement.graph.name} in towers has no training mode without a loss", "train it")

    def gradients(self, inputs: Mapping[str, Array], cotangents: Mapping[str, Array]) -> Gradients:
        """Derivatives by autograd, of the whole weights and of the inputs.

        Raises:
            BackendError: another process is gone.
        """
        names = dict(zip(self._placement.graph.main, self.artifact.graph.main, strict=True))
        with self._processes.told():
            own = super().gradients(inputs, {names.get(name, name): array for name, array in cotangents.items()})
            self._tower.bring_together({name: torch.from_numpy(array) for name, array in own.weights.items()})
            return Gradients(self._whole(own.weights), own.inputs)

    def weights(self) -> dict[str, Array]:
        """A copy of every weight of the whole network.

        Raises:
            BackendError: another process is gone.
        """
        with self._processes.told():
            return self._whole(super().weights())

    def close(self) -> None:
        """Leave the group of the towers."""
        self._processes.leave()

    def _whole(self, arrays: Weights) -> dict[str, Array]:
        found = {name: self._tower.whole(name, array, everywhere=True) for name, array in arrays.items()}
        return {name: array for name, array in found.items() if array is not None}
