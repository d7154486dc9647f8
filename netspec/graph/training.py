"""The training graph: one image or feature vector as input; as output, logits for the sample or for each pixel.

The class whose logit is a constant, if the recipe has one, is part of this graph: a `pad` of the logits by one class.
So it is a class like any other wherever classes are counted, trained or scored, in every backend.
"""

from __future__ import annotations

from dataclasses import replace

from netspec.errors import NetspecError
from netspec.graph.graph import Graph, Node, make_node

# The range of strides of a map of logits that count as one pixel: resizing 33 positions to 65 gives not quite 1.
ONE_PIXEL = (0.7, 1.4)


def training_graph(graph: Graph, constant_logit: float | None = None) -> Graph:
    """The graph with logits as its main and auxiliary outputs: a final softmax is replaced by its input.

    Args:
        graph: the network.
        constant_logit: the logit of one more class, the last one, which is added to each output; None for none.

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
    return graph if constant_logit is None else _with_constant_class(graph, constant_logit)


def _with_constant_class(graph: Graph, logit: float) -> Graph:
    """The graph whose outputs have one more class, the last one, with this logit everywhere."""
    from netspec.ops import Pad  # noqa: PLC0415 # for the few recipes that have it

    pad, taken, padded = Pad(end=1, value=logit), set(graph.values), list[Node]()
    for output in graph.outputs:
        name = "constant_logit"
        while name in taken:
            name += "_"
        taken.add(name)
        padded.append(make_node(name, pad, [graph.values[output]]))
    # Nodes for training alone, and those of the heads are, stay last.
    first = len(graph.nodes) - len(graph.training_only)
    nodes = (*graph.nodes[:first], padded[0], *graph.nodes[first:], *padded[1:])
    heads = tuple(head._replace(value=node.name) for head, node in zip(graph.heads, padded[1:], strict=True))
    return replace(graph, nodes=nodes, outputs=tuple(node.name for node in padded), heads=heads)


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
