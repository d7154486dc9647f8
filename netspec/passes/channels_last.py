"""Mark inputs to be laid out channels last in memory, the layout that convolutions read fastest."""

from __future__ import annotations

from dataclasses import replace

from netspec.graph import Graph, Hint, Input, Node
from netspec.ops import Conv2d, Permute, Reshape
from netspec.passes.rewrite import Pass, Rewrite


def channels_last(graph: Graph) -> Rewrite | None:
    """Mark the inputs that reach a convolution with `Hint.CHANNELS_LAST`; frameworks keep the layout from op to op.

    Precondition: the input is a feature map, and the ops between it and a convolution keep the layout.
    """
    marked = tuple(value.name for value in graph.inputs if value.type.rank == 4 and _reaches_convolution(graph, value))
    if not marked:
        return None
    inputs = (replace(i, hints=i.hints | {Hint.CHANNELS_LAST}) if i.name in marked else i for i in graph.inputs)
    return Rewrite(replace(graph, inputs=tuple(inputs)), marked)


def _reaches_convolution(graph: Graph, value: Input) -> bool:
    seen, pending = {value.name}, [value.name]
    while pending:
        for reader in graph.readers[pending.pop()]:
            if isinstance(reader.op, Conv2d):
                return True
            if reader.name not in seen and _keeps_layout(reader):
                seen.add(reader.name)
                pending.append(reader.name)
    return False


def _keeps_layout(node: Node) -> bool:
    return node.type.rank == 4 and not isinstance(node.op, Permute | Reshape)


PASS = Pass(
    "channels-last",
    "inputs are laid out channels last, as convolutions read them faster",
    ("training", "inference"),
    channels_last,
)
