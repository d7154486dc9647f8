"""The part of a network that is trained: one image or feature vector in; out one row of logits, or one a pixel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.graph import Graph, Node
from netspec.graph.analysis import analyze
from netspec.lowering import Normalization
from netspec.ops import Softmax
from netspec.ops.base import Array

# Between these is the step from pixel to pixel of a map of logits: resizing 33 positions to 65 misses 1 by a little.
ONE_PIXEL = (0.7, 1.4)


def training_graph(graph: Graph) -> Graph:
    """The graph with logits as its one output, and as its auxiliary ones: of a final softmax, what it reads.

    Raises:
        NetspecError: several inputs or outputs, or an output that is neither a row nor a map of class scores.
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
    if logits.rank not in (2, 4):
        raise NetspecError(
            f"{graph.name}: the loss is taken of logits (N, classes), or of a map of them (N, classes, H, W), and "
            f"{graph.outputs[0]} is {logits}",
            "end the network with `flatten` or `global_avg_pool2d` and a dense layer, or with a 1x1 convolution",
        )
    if not graph.weights:
        raise NetspecError(f"{graph.name}: it has no weights to train")
    if logits.rank == 4:
        _require_pixels(graph)
    return graph


def _logits(graph: Graph, output: str) -> str:
    """What a final softmax reads, or the output itself."""
    node = graph.values[output]
    over_classes = isinstance(node, Node) and isinstance(node.op, Softmax) and node.op.axis == 1
    return node.inputs[0] if isinstance(node, Node) and over_classes else output


def _require_pixels(graph: Graph) -> None:
    """NetspecError where the logits of a map are not those of pixels that lie in the middle of the input."""
    read, given = graph.inputs[0].type.features, graph.type_of(graph.outputs[0]).features
    if len(read) != 3 or any(own > all_ for own, all_ in zip(given[1:], read[1:], strict=True)):
        raise NetspecError(
            f"{graph.name}: logits of {given[1:]} positions are no map of the pixels of an input of {list(read)}",
            "a mask is cut to the size of the output: it may be as large as the input, or smaller",
        )
    costs = {cost.name: cost.receptive_field for cost in analyze(graph).rows}
    field = costs.get(graph.outputs[0])
    if field is not None and not field.whole and not all(ONE_PIXEL[0] < step < ONE_PIXEL[1] for step in field.step):
        step = "x".join(f"{float(each):g}" for each in field.step)
        raise NetspecError(
            f"{graph.name}: its logits {given[1]}x{given[2]} stand for every {step} pixels of the input, and a mask "
            "has one label a pixel",
            "enlarge them at the end: `{op: resize, ...}` or `conv_transpose2d`",
        )


def classes_of(graph: Graph) -> int:
    """The number of classes that a training graph tells apart."""
    return graph.type_of(graph.outputs[0]).features[0]


def map_size(graph: Graph) -> tuple[int, int] | None:
    """Height and width of the logits of a segmentation network; None where a whole sample has one class."""
    features = graph.type_of(graph.outputs[0]).features
    return (features[1], features[2]) if len(features) == 3 else None


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
