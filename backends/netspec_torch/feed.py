"""Batches as tensors: checked, moved to the device, normalized there."""

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
    """Turns what a batch holds into what the network and the loss read.

    Args:
        graph: its input and its logits say which shapes and labels are expected.
        normalization: of images; None for features.
        device: where tensors go.
        channels_last: whether images stay as they come, with channels next to one another in memory.
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
            self._normalization = self._figures(normalization)

    def inputs(self, values: NDArray[Any], shifts: NDArray[Any] | None = None, *, in_training: bool = False) -> Tensor:
        """Images or features as the network's input; in training the pixels may be float32.

        Raises:
            BackendError: not the dtype or shape that the network takes.
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
        # A copy whatever it is: what is not converted would be the batch's own memory.
        pixels = self._tensor(values).permute(0, 3, 1, 2).to(self._dtype, copy=True, memory_format=self._layout)
        if shifts is not None:
            self._require("shifts", shifts.shape, (len(values), features[0]))
            pixels += self._tensor(shifts).to(self._dtype)[:, :, None, None]
        return pixels.sub_(mean).mul_(factor)

    def targets(self, batch: Batch) -> Targets:
        """What the loss compares the logits with.

        Raises:
            BackendError: labels, partners or weights of pixels are not as many as there are, or no classes.
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
        """A sample of zeros for a process that has none: it takes part, and is not counted."""
        x = torch.zeros(1, *self._type.features, dtype=self._dtype, device=self._device)
        return x, Targets(torch.zeros(1, *self._map, dtype=torch.int64, device=self._device))

    def _figures(self, normalization: Normalization) -> tuple[Tensor, Tensor]:
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
        """On the device; an array that is read-only or not laid out in a row is copied, for PyTorch knows neither."""
        return torch.from_numpy(np.require(array, requirements=["C", "W"])).to(self._device)

    def _require(self, what: str, received: tuple[int, ...], expected: tuple[int, ...]) -> None:
        if received != expected:
            raise BackendError(f"{what}: expected shape {expected}, received {received}")
