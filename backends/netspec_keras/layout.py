"""The layout of values in Keras: a map (N, C, H, W) is (N, H, W, C) there, and other values are as in the graph."""

from __future__ import annotations

import re
from typing import Final

from netspec.arrays import np
from netspec.graph import Graph, Node
from netspec.ops import Dense, Flatten, Identity
from netspec.ops.activation import Elementwise
from netspec.ops.base import Array
from netspec.types import TensorType

# Arguments of layers.Permute, where axis 1 is the first after the batch.
TO_CHANNELS_FIRST: Final = (3, 1, 2)
TO_CHANNELS_LAST: Final = (2, 3, 1)
SEPARATOR: Final = "-"  # between the parts of a layer's name
# The names that Keras gives to the functions and operators in emitted source.
_FUNCTION: Final = re.compile(
    r"(absolute|add|clip|cos|divide|einsum|exp|get_item|log|matmul|max|maximum|mean|min|minimum|multiply|negative|norm|"
    r"normalize|pad|power|rms_norm|roll|rsqrt|sin|split|sqrt|square|subtract|sum|swapaxes|transpose)(_\d+)?"
)


def native_path(path: str) -> str:
    """The prefix of the layers' names in a part, without dots, which the names of PyTorch's parameters cannot contain.

    >>> native_path("layer1.0")
    'layer1-0'
    """
    return path.replace(".", SEPARATOR)


def native_name(path: str) -> str:
    """The name of the layer of a node or an input.

    Keras names the functions of `keras.ops` in a model itself: `sum`, `sum_1` and so on. No layer may have such a name.

    >>> native_name("layer1.0.conv1"), native_name("sum"), native_name("sum1")
    ('layer1-0-conv1', 'sum-layer', 'sum1')
    """
    return f"{path}{SEPARATOR}layer" if _FUNCTION.fullmatch(path) else native_path(path)


def native_order(rank: int) -> tuple[int, ...]:
    """The canonical axis at each native position.

    >>> native_order(4), native_order(3)
    ((0, 2, 3, 1), (0, 1, 2))
    """
    return (0, *TO_CHANNELS_LAST) if rank == 4 else tuple(range(rank))


def native_of(array: Array) -> Array:
    """Copy an array to native layout: an output can be an input itself, and must not be the caller's memory."""
    return array.transpose(native_order(array.ndim)).copy()


def canonical_of(array: Array) -> Array:
    """Convert an array from native to canonical layout."""
    return np.ascontiguousarray(array.transpose(np.argsort(native_order(array.ndim))))


def native_axis(axis: int, rank: int) -> int:
    """The native position of a canonical axis, -1 for the last.

    >>> native_axis(1, 4), native_axis(2, 4), native_axis(1, 3)
    (-1, 1, 1)
    """
    position = native_order(rank).index(axis)
    return -1 if position == rank - 1 else position


def native_type(value: TensorType) -> TensorType:
    """The type that Keras sees: with the axes in its order."""
    return value._replace(shape=tuple(value.shape[axis] for axis in native_order(value.rank)))


def native_features(value: TensorType) -> tuple[int, ...]:
    """The shape that Keras sees, without the batch."""
    return native_type(value).features


def flattened_channels_last(graph: Graph) -> dict[str, TensorType]:
    """The values that hold a flattened map in the order H, W, C, and the type of that map.

    `layers.Flatten` gives this order without a permutation. It is used if only dense layers read the value, directly or
    through elementwise layers: the rows of their kernels are bound in the same order. Other readers need C, H, W.
    The outputs of the graph have no influence.
    """
    types: dict[str, TensorType] = {}
    for node in graph.nodes:
        if isinstance(node.op, Flatten) and node.name not in types and mixes_order(node.input_types[0]):
            types |= dict.fromkeys(_values_up_to_dense(graph, node), node.input_types[0])
    return types


def mixes_order(value: TensorType) -> bool:
    """Whether flattening the map in the orders C, H, W and H, W, C gives different results."""
    return value.rank == 4 and value.features[0] > 1 and value.size > value.features[0]


def _values_up_to_dense(graph: Graph, flatten: Node) -> list[str]:
    """The values from a flatten up to the dense layers that read them; empty if there are none, or other readers."""
    reached, pending, dense = [flatten.name], [flatten.name], False
    while pending:
        for reader in graph.readers[pending.pop()]:
            if isinstance(reader.op, Elementwise | Identity | Flatten):
                reached.append(reader.name)
                pending.append(reader.name)
            elif isinstance(reader.op, Dense) and reader.op.groups == 1:
                dense = True
            else:
                return []
    return reached if dense else []
