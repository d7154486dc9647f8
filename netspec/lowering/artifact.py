"""What a backend makes of a graph: emitted text or bytes, and where each weight goes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netspec.graph import Graph
from netspec.graph.weights import check_weights
from netspec.ops.base import Array, Weights
from netspec.passes import Optimized


@dataclass(frozen=True, slots=True)
class Binding:
    """Canonical weight ↔ native array, as data: reshape to `view`, transpose by `axes`, reshape to `native_shape`.

    Attributes:
        weight: canonical name, `conv1.weight`.
        path: where the framework keeps it, `conv1.weight` in a state dict or `conv1/kernel` in Keras.
        shape: canonical shape.
        view: the shape in which axes are moved; canonical where nothing has to be split.
        axes: the order of the axes of `view` in the native array.
        native_shape: the framework's shape.
    """

    weight: str
    path: str
    shape: tuple[int, ...]
    view: tuple[int, ...]
    axes: tuple[int, ...]
    native_shape: tuple[int, ...]

    @classmethod
    def of(
        cls,
        weight: str,
        path: str,
        shape: tuple[int, ...],
        axes: tuple[int, ...] | None = None,
        view: tuple[int, ...] | None = None,
        native_shape: tuple[int, ...] | None = None,
    ) -> Binding:
        """A binding with what is left out filled in: no move, no split, the shape that the move gives."""
        view = view or shape
        axes = axes or tuple(range(len(view)))
        return cls(weight, path, shape, view, axes, native_shape or tuple(view[a] for a in axes))

    def to_native(self, array: Array) -> Array:
        """The framework's array of a canonical one."""
        return np.ascontiguousarray(array.reshape(self.view).transpose(self.axes).reshape(self.native_shape))

    def to_canonical(self, array: Array) -> Array:
        """The canonical array of the framework's one."""
        moved = array.reshape([self.view[a] for a in self.axes])
        back = moved.transpose(np.argsort(self.axes))
        return np.ascontiguousarray(back.reshape(self.shape))


@dataclass(frozen=True, slots=True)
class Artifact:
    """A lowered graph: deterministic, free of weight values, made without importing the framework.

    Attributes:
        backend: the name of the backend that made it and can load it.
        graph: what was lowered.
        content: Python source, or the bytes of an ONNX model whose weights are inputs.
        entry: the class or function in the source that makes the model; the graph's name in ONNX.
        bindings: where each weight goes, one for each of `graph.weights`.
        optimized: how `graph` came from the spec's graph, where passes made it: weights are given as those of the
            spec's, and come back as those of `graph`.
    """

    backend: str
    graph: Graph
    content: str | bytes
    entry: str
    bindings: tuple[Binding, ...]
    optimized: Optimized | None = None

    def to_native(self, weights: Weights) -> dict[str, Array]:
        """The framework's arrays by path, in the graph's dtype, from canonical ones by name.

        Raises:
            WeightsError: a weight is missing, unexpected, or of another shape; all of them are named.
        """
        if self.optimized is None:
            check_weights(self.graph, weights)
        else:
            weights = self.optimized.weights(weights)
        dtype = self.graph.dtype.numpy
        return {b.path: b.to_native(weights[b.weight]).astype(dtype, copy=False) for b in self.bindings}

    def to_canonical(self, native: Weights) -> dict[str, Array]:
        """Canonical arrays by name, copied from the framework's by path."""
        return {b.weight: b.to_canonical(native[b.path]).copy() for b in self.bindings}
