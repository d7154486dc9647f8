"""The reference interpreter: it evaluates a graph with the NumPy definitions of its ops, in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from netspec.graph import Graph, Node
from netspec.ops.base import Array, Weights

Before = Callable[[Node, Sequence[Array]], None]


def evaluate(
    graph: Graph, weights: Weights, inputs: Mapping[str, Array], before: Before = lambda _node, _inputs: None
) -> dict[str, Array]:
    """Return the outputs of a graph at inference by name, in float64 whatever the dtype of the inputs.

    Args:
        graph: the graph to evaluate. Shapes: feature maps are (N, C, H, W).
        weights: canonical arrays by name.
        inputs: an array for each of the graph's inputs, all of the same batch size.
        before: called before each node, in order, with the node and its inputs. Weights are looked up after the call,
            so it may still change them.
    """
    values: dict[str, Array] = {name: np.asarray(array, np.float64) for name, array in inputs.items()}
    batch = len(next(iter(values.values())))
    unread = {name: len(readers) for name, readers in graph.readers.items()}  # readers that are still to come
    for node in graph.nodes:
        before(node, [values[name] for name in node.inputs])
        node_weights = {name: np.asarray(weights[f"{node.name}.{name}"], np.float64) for name in node.weights}
        value = node.op.reference(node_weights, *(values[name] for name in node.inputs))
        values[node.name] = value if node.inputs else np.broadcast_to(value, node.type.concrete(batch))
        for name in dict.fromkeys(node.inputs):
            unread[name] -= 1
            if not unread[name] and name not in graph.outputs:
                del values[name]  # free memory: the maps of a large network need not all be alive at once
    return {name: values[name] for name in graph.main}
