"""A graph as a Mermaid flowchart, which GitHub and many editors draw."""

from __future__ import annotations

from netspec.graph.graph import Graph, Node
from netspec.types import TensorType

# Mermaid reads HTML in labels, and writes characters as #name; or #code;.
_ENTITIES = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;"}


def print_mermaid(graph: Graph) -> str:
    """The flowchart: a box a layer with its op and shape, rounded ones for inputs and outputs.

    >>> from netspec.graph import Graph, Input, make_node
    >>> from netspec.ops import Dense
    >>> from netspec.types import TensorType
    >>> x = Input("x", TensorType.of(4))
    >>> print(print_mermaid(Graph("small", (x,), (make_node("fc", Dense(units=3), [x]),), ("fc",))))
    flowchart TD
        v0(["x<br/>4"])
        v1["fc<br/>dense<br/>3"]
        v0 --> v1
        o0(["output"])
        v1 --> o0
    """
    # Names are labels only: `end` and `o` mean something to Mermaid where they stand for a box.
    boxes = {name: f"v{index}" for index, name in enumerate(graph.values)}
    lines = ["flowchart TD"]
    lines += [f"{boxes[i.name]}([{_label(i.name, shape_of(i.type))}])" for i in graph.inputs]
    for node in graph.nodes:
        lines.append(f"{boxes[node.name]}[{_label(node.name, _op(node), shape_of(node.type))}]")
        lines += [f"{boxes[name]} --> {boxes[node.name]}" for name in node.inputs]
    for index, name in enumerate(graph.outputs):
        label = _label("output", name) if len(graph.outputs) > 1 else _label("output")
        lines += [f"o{index}([{label}])", f"{boxes[name]} --> o{index}"]
    return "\n    ".join(lines)


def shape_of(type: TensorType) -> str:
    """A type's axes after the batch, `96x55x55`."""
    return "x".join(map(str, type.features))


def _op(node: Node) -> str:
    groups = getattr(node.op, "groups", 1)
    return node.op.kind if groups == 1 else f"{node.op.kind}, {groups} groups"


def _label(*lines: str) -> str:
    escaped = ("".join(_ENTITIES.get(c, c) for c in line) for line in lines)
    return f'"{"<br/>".join(escaped)}"'
