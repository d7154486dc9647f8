"""The result of lowering a graph: emitted source or bytes, and a binding for each weight."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from netspec.errors import BackendError
from netspec.files import write_whole
from netspec.graph import Graph
from netspec.graph.weights import check_weights
from netspec.lowering.python.naming import module_name
from netspec.ops.base import Array, Weights
from netspec.passes import Optimized


@dataclass(frozen=True, slots=True)
class Binding:
    """The conversion between a canonical weight and the framework's array, as data that works in both directions.

    To native: reshape to `view`, transpose by `axes`, reshape to `native_shape`.

    Attributes:
        weight: canonical name, `conv1.weight`.
        path: the framework's name for it: `conv1.weight` in a state dict, `conv1/kernel` in Keras.
        shape: canonical shape.
        view: the shape that is transposed; the canonical shape unless an axis has to be split first.
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
        """A binding with defaults: no transposition, no split axes, and the shape that these give."""
        view = view or shape
        axes = axes or tuple(range(len(view)))
        return cls(weight, path, shape, view, axes, native_shape or tuple(view[a] for a in axes))

    @property
    def axes_of_filter(self) -> tuple[int, ...]:
        """The axes of the native array over which one slice along the canonical first axis extends.

        Raises:
            BackendError: the native array has them in one axis together with the slices.
        """
        count, *rest = self.shape
        # The number of each element's slice. Where it does not change along an axis, a view has a stride of 0.
        numbers = np.broadcast_to(np.arange(count).reshape(count, *(1 for _ in rest)), self.shape)
        native = numbers.reshape(self.view).transpose(self.axes).reshape(self.native_shape)
        axes = tuple(axis for axis, stride in enumerate(native.strides) if not stride)
        if math.prod(native.shape[axis] for axis in axes) != math.prod(rest):
            raise BackendError(
                f"{self.weight}: its filters are no axis of its own in the framework's {self.native_shape}"
            )
        return axes

    def to_native(self, array: Array) -> Array:
        """Convert a canonical array to the framework's layout."""
        return np.ascontiguousarray(array.reshape(self.view).transpose(self.axes).reshape(self.native_shape))

    def to_canonical(self, array: Array) -> Array:
        """Convert an array of the framework to canonical layout."""
        transposed = array.reshape([self.view[a] for a in self.axes])
        return np.ascontiguousarray(transposed.transpose(np.argsort(self.axes)).reshape(self.shape))


@dataclass(frozen=True, slots=True)
class Artifact:
    """A lowered graph: deterministic, free of weight values, created without importing the framework.

    Attributes:
        backend: the name of the backend that created it and can load it.
        graph: the graph that was lowered.
        content: Python source, or the bytes of an ONNX model whose weights are inputs.
        entry: the class or function in the source that creates the model; the graph's name in ONNX.
        bindings: one for each of `graph.weights`.
        optimized: how passes derived `graph` from the spec's graph; None if `graph` is the spec's. `to_native` takes
            weights of the spec's graph, `to_canonical` returns weights of `graph`.
    """

    backend: str
    graph: Graph
    content: str | bytes
    entry: str
    bindings: tuple[Binding, ...]
    optimized: Optimized | None = None

    def write_source(self, folder: Path) -> Path:
        """Write Python source to a file of the name under which it is imported, and return its path.

        Raises:
            NetspecError: the folder cannot be written.
        """
        return write_whole(folder / f"{module_name(self.graph.name)}.py", self.content)

    def to_native(self, weights: Weights) -> dict[str, Array]:
        """Convert canonical arrays by name to the framework's arrays by path, in the graph's dtype.

        Raises:
            WeightsError: weights are missing, unexpected, or of another shape; the message names all of them.
        """
        if self.optimized is None:
            check_weights(self.graph, weights)
        else:
            weights = self.optimized.weights(weights)
        dtype = self.graph.dtype.numpy
        return {b.path: b.to_native(weights[b.weight]).astype(dtype, copy=False) for b in self.bindings}

    def to_canonical(self, native: Weights) -> dict[str, Array]:
        """Copy the framework's arrays by path to canonical arrays by name."""
        return {b.weight: b.to_canonical(native[b.path]).copy() for b in self.bindings}
