"""Conversion of batches to tensors: checked, moved to the device, and normalized there."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netspec.errors import BackendError
from netspec.graph import Graph
from netspec.lowering import Batch, Normalization
from netspec_torch.loss import Targets


class Feed:
    """Converts batches to the input of the network and the targets of the loss.

    Args:
        graph: the network, whose input and logits determine the expected shapes and labels.
        normalization: the normalization of images; None for features.
        device: the device of the tensors.
        channels_last: whether images keep the channels-last memory format in which they come.
    """

    def __init__(
        self, graph: Graph, normalization: Normalization | None, device: torch.device, *, channels_last: bool
    ) -> None:
        self._type = graph.inputs[0].type
        self._classes, *self._map = graph.type_of(graph.outputs[0]).features
        self._dtype: torch.dtype = getattr(torch, graph.dtype.value)
        self._device = device
        self._layout = torch.preserve_format if channels_last else torch.contiguous_format
        self._normalization: tuple[Tensor, Tensor] | None = None
        if normalization is not None:
            self._normalization = self._mean_and_factor(normalization)

    def inputs(self, values: NDArray[Any], shifts: NDArray[Any] | None = None, *, in_training: bool = False) -> Tensor:
        """Convert images or features to the network's input; in training, pixels may be float32.

        Raises:
            BackendError: the dtype or shape does not fit the network.
        """
        features = self._type.features
        if self._normalization is None:
            self._require("features", values.shape[1:], features)
            return self._tensor(values).to(self._dtype)
        self._require("images", values.shape[1:], (*features[1:], features[0]))
        if values.dtype != np.uint8 and not (in_training and values.dtype == np.float32):
            expected = "uint8 or float32" if in_training else "uint8"
            raise BackendError(f"expected images of {expected}, received {values.dtype}")
        mean, factor = self._normalization
        # Always a copy: the arithmetic below is in place, and must not change the batch.
        pixels = self._tensor(values).permute(0, 3, 1, 2).to(self._dtype, copy=True, memory_format=self._layout)
        if shifts is not None:
            self._require("shifts", shifts.shape, (len(values), features[0]))
            pixels += self._tensor(shifts).to(self._dtype)[:, :, None, None]
        return pixels.sub_(mean).mul_(factor)

    def targets(self, batch: Batch) -> Targets:
        """Convert the labels of a batch to the targets of the loss.

        Raises:
            BackendError: labels, partners or pixel weights have another shape, or a label is not a class.
        """
        batch.require_targets(self._classes, self._map)
        labels, weights = self._labels(batch.labels), None
        if batch.weights is not None:
            weights = self._tensor(batch.weights).to(self._dtype)
        if batch.partners is None or batch.shares is None:
            return Targets(labels, weights)
        shares = self._tensor(batch.shares).to(self._dtype)
        return Targets(labels, weights, self._labels(batch.partners), shares)

    def stand_in(self) -> tuple[Tensor, Targets]:
        """A sample of zeros for a process without samples, which has to take part in collectives; it is not counted."""
        x = torch.zeros(1, *self._type.features, dtype=self._dtype, device=self._device)
        return x, Targets(torch.zeros(1, *self._map, dtype=torch.int64, device=self._device))

    def _mean_and_factor(self, normalization: Normalization) -> tuple[Tensor, Tensor]:
        features = self._type.features
        for name, array in (("mean", normalization.mean), ("factor", normalization.factor)):
            if len(features) != 3 or array.shape not in {features, (features[0], 1, 1)}:
                raise BackendError(
                    f"the normalization's {name} of shape {array.shape} does not fit the input {self._type}"
                )
        mean, factor = (self._tensor(a).to(self._dtype) for a in (normalization.mean, normalization.factor))
        return mean, factor

    def _labels(self, labels: NDArray[Any]) -> Tensor:
        return self._tensor(labels.astype(np.int64, copy=False))

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        """Move an array to the device; first copy it if it is read-only or not contiguous."""
        return torch.from_numpy(np.require(array, requirements=["C", "W"])).to(self._device)

    def _require(self, what: str, received: tuple[int, ...], expected: tuple[int, ...]) -> None:
        if received != expected:
            raise BackendError(f"{what}: expected shape {expected}, received {received}")
