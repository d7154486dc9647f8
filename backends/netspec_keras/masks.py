"""Dropout in training, by given masks or by the layers' own seed generators."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from netspec.graph import Graph
from netspec.lowering import Batch
from netspec.lowering.batch import require_masks
from netspec.ops.dropout import Dropping
from netspec.types import TensorType
from netspec_keras.layout import flattened_channels_last, native_name, native_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEEDS = 2**31 - 2  # TensorFlow takes seeds modulo this


class DropoutLayers:
    """The dropout layers of an emitted model, by node."""

    def __init__(self, graph: Graph, model: keras.Model) -> None:
        self._flattened = flattened_channels_last(graph)
        self._ops = {node.name: node.op for node in graph.nodes if isinstance(node.op, Dropping)}
        self._features = {name: op.mask_features(graph.type_of(name)) for name, op in self._ops.items()}
        nodes = {native_name(name): name for name in self._ops}
        # The model lacks the layers that no output needs.
        self._layers = {nodes[layer.name]: layer for layer in model.layers if layer.name in nodes}
        self._random_layers = [layer for layer in self._layers.values() if layer.rate > 0]

    def arguments(self, batch: Batch, key: int, position: int) -> dict[str, Any]:
        """The arguments of a traced function: native masks, or seeds for the batch at this position in its step.

        Raises:
            BackendError: the masks are not those of the network's dropout nodes.
        """
        if batch.masks is None:
            seeds = np.random.SeedSequence([key, position]).generate_state(len(self._random_layers))
            return {"seeds": seeds.astype(np.int64) % SEEDS}
        shapes = {name: (len(batch.labels), *features) for name, features in self._features.items()}
        require_masks(batch.masks, shapes)
        masks = ((batch.masks[name], self._flattened.get(name)) for name in self._layers)
        return {"masks": tuple(_native(mask, flattened) for mask, flattened in masks)}

    @contextmanager
    def taking(self, arguments: Mapping[str, Any]) -> Iterator[None]:
        """Make the layers use these masks or seeds while a function is traced."""
        if "masks" not in arguments:
            for position, layer in enumerate(self._random_layers):
                layer.seed_generator.state.assign(tf.stack([arguments["seeds"][position], 0]))
            yield
            return
        try:
            for (name, layer), mask in zip(self._layers.items(), arguments["masks"], strict=True):
                # Not by setattr, which Keras tracks.
                vars(layer)["call"] = partial(_apply_mask, mask, self._ops[name].training_scale)
            yield
        finally:
            for layer in self._layers.values():
                vars(layer).pop("call", None)


def _native(mask: NDArray[np.bool_], flattened: TensorType | None) -> NDArray[np.bool_]:
    """Convert a canonical mask to the layout of its value, which may be a map flattened in the order H, W, C."""
    if math.prod(mask.shape[1:]) == 1:  # one mask value for each sample
        return mask
    if flattened is not None:
        mask = mask.reshape(flattened.concrete(len(mask)))
    native = mask.transpose(native_order(mask.ndim))
    return np.ascontiguousarray(native.reshape(len(mask), -1) if flattened is not None else native)


def _apply_mask(mask: tf.Tensor, scale: float, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
    """Replacement of a layer's `call` in training: inputs · mask · scale."""
    del training
    return inputs * tf.cast(mask, inputs.dtype) * scale
