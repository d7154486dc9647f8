"""The oracle: a graph interpreted with the ops' NumPy meanings, in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from netspec.graph import Graph, Node
from netspec.ops.base import Array, Weights

Before = Callable[[Node, Sequence[Array]], None]


def evaluate(
    graph: Graph, weights: Weights, inputs: Mapping[str, Array], before: Before = lambda _node, _inputs: None
) -> dict[str, Array]:
    """Every output that a graph has at inference, in float64 whatever comes in.

    Args:
        graph: what to compute. Shapes: inputs and outputs are (N, C, H, W) for maps.
        weights: canonical arrays by name.
        inputs: an array for each of the graph's inputs, all of one batch.
        before: called with each node, in order, and the values that it reads; its weights are read after that.
    """
    values: dict[str, Array] = {name: np.asarray(array, np.float64) for name, array in inputs.items()}
    batch = len(next(iter(values.values())))
    left = {name: len(readers) for name, readers in graph.readers.items()}
    for node in graph.nodes:
        before(node, [values[name] for name in node.inputs])
        own = {name: np.asarray(weights[f"{node.name}.{name}"], np.float64) for name in node.weights}
        value = node.op.reference(own, *(values[name] for name in node.inputs))
        values[node.name] = value if node.inputs else np.broadcast_to(value, node.type.concrete(batch))
        for name in dict.fromkeys(node.inputs):
            left[name] -= 1
            if not left[name] and name not in graph.outputs:
                del values[name]  # the maps of a large network do not all have to live at once
    return {name: values[name] for name in graph.main}
