"""The training graph: one image or feature vector as input; as output, logits for the sample or for each pixel."""

from __future__ import annotations

from dataclasses import replace

from netspec.errors import NetspecError
from netspec.graph.graph import Graph, Node

# The range of strides of a map of logits that count as one pixel: resizing 33 positions to 65 gives not quite 1.
ONE_PIXEL = (0.7, 1.4)


def training_graph(graph: Graph) -> Graph:
    """The graph with logits as its main and auxiliary outputs: a final softmax is replaced by its input.

    Raises:
        NetspecError: the graph has several inputs or main outputs, no weights, or an output that is neither a vector
            nor a map of class scores.
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
            f"{graph.name}: training needs logits (N, classes), or a map of logits (N, classes, H, W), and "
            f"{graph.outputs[0]} is {logits}",
            "end the network with `flatten` or `global_avg_pool2d` and a dense layer, or with a 1x1 convolution",
        )
    if not graph.weights:
        raise NetspecError(f"{graph.name}: it has no weights to train")
    if logits.rank == 4:
        _require_pixels(graph)
    return graph


def _logits(graph: Graph, output: str) -> str:
    """The input of the softmax over classes that computes an output; the output itself if no softmax does."""
    node = graph.values[output]
    # By its kind: its class is imported only for networks that have one.
    over_classes = isinstance(node, Node) and node.op.kind == "softmax" and getattr(node.op, "axis", None) == 1
    return node.inputs[0] if isinstance(node, Node) and over_classes else output


def _require_pixels(graph: Graph) -> None:
    """Raise NetspecError unless each position of a map of logits stands for one pixel of the center of the input."""
    inputs, logits = graph.inputs[0].type.features, graph.type_of(graph.outputs[0]).features
    if len(inputs) != 3 or any(size > limit for size, limit in zip(logits[1:], inputs[1:], strict=True)):
        raise NetspecError(
            f"{graph.name}: logits of {logits[1:]} positions are no map of the pixels of an input of {list(inputs)}",
            "masks are cropped to the size of the output, which may be as large as the input, or smaller",
        )
    from netspec.graph.analysis import analyze  # noqa: PLC0415 # for maps only

    fields = {row.name: row.receptive_field for row in analyze(graph).rows}
    field = fields.get(graph.outputs[0])
    if field is not None and not field.whole and not all(ONE_PIXEL[0] < step < ONE_PIXEL[1] for step in field.step):
        step = "x".join(f"{float(each):g}" for each in field.step)
        raise NetspecError(
            f"{graph.name}: each of its {logits[1]}x{logits[2]} logits stands for {step} pixels of the input, and a "
            "mask has a label for each pixel",
            "enlarge them at the end: `{op: resize, ...}` or `conv_transpose2d`",
        )


def classes_of(graph: Graph) -> int:
    """The number of classes of a training graph."""
    return graph.type_of(graph.outputs[0]).features[0]


def map_size(graph: Graph) -> tuple[int, int] | None:
    """The height and width of a segmentation network's logits; None for a classifier of whole samples."""
    features = graph.type_of(graph.outputs[0]).features
    return (features[1], features[2]) if len(features) == 3 else None


def generator_graph(graph: Graph) -> Graph:
    """The training graph of a generator, whose one input is noise and whose one output is a sample.

    Raises:
        NetspecError: the graph has several inputs or outputs, or no weights.
    """
    for what, names in (("input", [i.name for i in graph.inputs]), ("output", list(graph.outputs))):
        if len(names) != 1:
            raise NetspecError(
                f"{graph.name}: a generator is a network of one {what}, and this one has {len(names)}: "
                + ", ".join(names)
            )
    if not graph.weights:
        raise NetspecError(f"{graph.name}: it has no weights to train")
    return graph
