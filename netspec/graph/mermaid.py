"""A graph as a Mermaid flowchart, which GitHub and many editors render."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netspec.graph.folding import fold
from netspec.graph.graph import Graph, Node
from netspec.graph.scopes import Scope, ancestors
from netspec.types import TensorType

# Mermaid interprets HTML in labels, and its escapes are #name; and #code;.
_ENTITIES = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;"}


def print_mermaid(graph: Graph, *, unfold: bool = False) -> str:
    """Return the flowchart: a box for each layer with its op and shape, rounded boxes for inputs and outputs.

    An instance of a block is one box, or with `unfold` a frame around the boxes of its layers.

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
    # Names appear in labels only, since Mermaid treats some, such as `end` and `o`, as keywords.
    owners = {} if unfold else fold(graph)
    boxes = _boxes(graph, owners)
    lines = ["flowchart TD"]
    lines += [f"{boxes[i.name]}([{_label(i.name, shape_of(i.type))}])" for i in graph.inputs]
    last_of = {box: name for name, box in boxes.items()}  # the last layer of each box
    edges: dict[str, None] = {}
    frames = _Frames(graph if unfold else None)
    for node in graph.nodes:
        lines += frames.move_to(node.name)
        box = boxes[node.name]
        edges |= {f"{boxes[name]} --> {box}": None for name in node.inputs if boxes[name] != box}
        if last_of[box] != node.name:
            continue
        scope = owners.get(node.name)
        title, kind = (scope.path, scope.block) if scope else (node.name, _op(node))
        lines.append(f"{frames.indent}{box}[{_label(title, kind, shape_of(node.type))}]")
        if not unfold:
            lines += edges
            edges = {}
    lines += [*frames.move_to(""), *edges, *_outputs(graph, boxes)]
    return "\n    ".join(lines)


def _boxes(graph: Graph, owners: Mapping[str, Scope]) -> dict[str, str]:
    """The identifier of the box of each value, and of each instance of a block by its path."""
    boxes: dict[str, str] = {}
    for index, name in enumerate(graph.values):
        boxes[name] = boxes.setdefault(owners[name].path, f"v{index}") if name in owners else f"v{index}"
    return boxes


def _outputs(graph: Graph, boxes: Mapping[str, str]) -> Iterator[str]:
    """The boxes of the outputs, and the edges to them."""
    for index, name in enumerate(graph.outputs):
        title = "auxiliary output" if name in graph.auxiliary else "output"
        label = _label(title, name) if len(graph.outputs) > 1 else _label(title)
        yield from (f"o{index}([{label}])", f"{boxes[name]} --> o{index}")


class _Frames:
    """The frames around the current line, which are opened and closed from node to node."""

    def __init__(self, graph: Graph | None) -> None:
        self._blocks = {scope.path: scope.block for scope in graph.scopes} if graph else {}
        self._open: list[str] = []
        self._count = 0

    @property
    def indent(self) -> str:
        """The indentation of the current line."""
        return "    " * len(self._open)

    def move_to(self, name: str) -> list[str]:
        """Return the lines that close the frames that a node is not in, and open those that it is in."""
        frames = [path for path in ancestors(name) if path in self._blocks]
        lines = []
        while self._open != frames[: len(self._open)]:
            self._open.pop()
            lines.append(f"{self.indent}end")
        for path in frames[len(self._open) :]:
            label = _label(f"{path}: {self._blocks[path]}" if self._blocks[path] else path)
            lines.append(f"{self.indent}subgraph s{self._count}[{label}]")
            self._open.append(path)
            self._count += 1
        return lines


def shape_of(type: TensorType) -> str:
    """Return the shape without the batch as text, such as `96x55x55`."""
    return "x".join(map(str, type.features))


def _op(node: Node) -> str:
    groups = getattr(node.op, "groups", 1)
    return node.op.kind if groups == 1 else f"{node.op.kind}, {groups} groups"


def _label(*lines: str) -> str:
    escaped = ("".join(_ENTITIES.get(c, c) for c in line) for line in lines)
    return f'"{"<br/>".join(escaped)}"'
