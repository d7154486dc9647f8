"""Conversion of batches to tensors: checked, moved to the device, and normalized there."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from netspec.graph import Graph, Normalization
from netspec.lowering import Batch
from netspec.lowering.batch import require_inputs
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
        (self._input,) = graph.inputs
        self._classes, *self._map = graph.type_of(graph.outputs[0]).features
        self._dtype: torch.dtype = getattr(torch, graph.dtype.value)
        self._device = device
        self._layout = torch.preserve_format if channels_last else torch.contiguous_format
        self._normalization: tuple[Tensor, Tensor] | None = None
        if normalization is not None:
            mean, factor = (self._tensor(array).to(self._dtype) for array in normalization)
            self._normalization = mean, factor

    def inputs(self, values: NDArray[Any], shifts: NDArray[Any] | None = None, *, in_training: bool = False) -> Tensor:
        """Convert images or features to the network's input; in training, pixels may be float32.

        Raises:
            BackendError: the dtype or shape does not fit the network.
        """
        images = self._normalization is not None
        require_inputs(self._input, values, shifts, images=images, in_training=in_training)
        if self._normalization is None:
            return self._tensor(values).to(self._dtype)
        mean, factor = self._normalization
        # Always a copy: the arithmetic below is in place, and must not change the batch.
        pixels = self._tensor(values).permute(0, 3, 1, 2).to(self._dtype, copy=True, memory_format=self._layout)
        if shifts is not None:
            pixels += self._tensor(shifts).to(self._dtype)[:, :, None, None]
        return pixels.sub_(mean).mul_(factor)

    def targets(self, batch: Batch) -> Targets:
        """Convert the labels of a batch to the targets of the loss.

        Raises:
            BackendError: labels, partners or pixel weights have another shape, or a label is not a class.
        """
        batch.require_targets(self._classes, self._map)
        labels, weights = self._labels(batch.labels), None
        if batch.cotangents is not None:
            return Targets(labels, cotangents=self._tensor(batch.cotangents).to(self._dtype))
        if batch.weights is not None:
            weights = self._tensor(batch.weights).to(self._dtype)
        if batch.partners is None or batch.shares is None:
            return Targets(labels, weights)
        shares = self._tensor(batch.shares).to(self._dtype)
        return Targets(labels, weights, self._labels(batch.partners), shares)

    def stand_in(self) -> tuple[Tensor, Targets]:
        """A sample of zeros for a process without samples, which has to take part in collectives; it is not counted."""
        x = torch.zeros(1, *self._input.type.features, dtype=self._dtype, device=self._device)
        return x, Targets(torch.zeros(1, *self._map, dtype=torch.int64, device=self._device))

    def _labels(self, labels: NDArray[Any]) -> Tensor:
        return self._tensor(labels.astype(np.int64, copy=False))

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        """Move an array to the device; first copy it if it is read-only or not contiguous."""
        return torch.from_numpy(np.require(array, requirements=["C", "W"])).to(self._device)
