"""The part of a network that is trained: one image or feature vector in, one row of logits out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.graph import Graph, Node
from netspec.lowering import Normalization
from netspec.ops import Softmax
from netspec.ops.base import Array


def training_graph(graph: Graph) -> Graph:
    """The graph with logits as its one output, and as its auxiliary ones: of a final softmax, what it reads.

    Raises:
        NetspecError: several inputs or outputs, or an output that is no row of class scores.
    """
    for what, names in (("input", [i.name for i in graph.inputs]), ("output", graph.main)):
        if len(names) != 1:
            raise NetspecError(
                f"{graph.name}: training takes a network of one {what}, and this one has {len(names)}: "
                + ", ".join(names)
            )
    heads = tuple(head._replace(value=_logits(graph, head.value)) for head in graph.heads)
    main = _logits(graph, graph.main[0])
    graph = replace(graph, outputs=(main, *(head.value for head in heads)), heads=heads)
    logits = graph.type_of(graph.outputs[0])
    if logits.rank != 2 or not graph.weights:
        raise NetspecError(
            f"{graph.name}: the loss is taken of logits (N, classes), and {graph.outputs[0]} is {logits}"
            if logits.rank != 2
            else f"{graph.name}: it has no weights to train",
            "end the network with `flatten` or `global_avg_pool2d` and a dense layer" if logits.rank != 2 else "",
        )
    return graph


def _logits(graph: Graph, output: str) -> str:
    """What a final softmax reads, or the output itself."""
    node = graph.values[output]
    return node.inputs[0] if isinstance(node, Node) and isinstance(node.op, Softmax) else output


def classes_of(graph: Graph) -> int:
    """The number of classes that a training graph tells apart."""
    return graph.type_of(graph.outputs[0]).features[0]


def network_inputs(
    inputs: NDArray[Any], shifts: NDArray[np.float32] | None, normalization: Normalization | None
) -> Array:
    """The input of the network as a trainer computes it, float32. Shapes: (N, H, W, C) → (N, C, H, W) for images."""
    if normalization is None:
        return inputs.astype(np.float32, copy=False)
    pixels = inputs.astype(np.float32).transpose(0, 3, 1, 2)
    if shifts is not None:
        pixels = pixels + shifts[:, :, None, None]
    values: Array = (pixels - normalization.mean) * normalization.factor
    return values
