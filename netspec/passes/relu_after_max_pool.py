"""Apply ReLU after max-pooling instead of before it, to fewer elements."""

from __future__ import annotations

from dataclasses import replace

from netspec.graph import Graph, Node
from netspec.ops import MaxPool2d, Relu
from netspec.passes.rewrite import Pass, Rewrite, sole_reader


def relu_after_max_pool(graph: Graph) -> Rewrite | None:
    """Move a ReLU behind the max-pools that read it, one after another.

    ReLU is monotonic, so the maximum of ReLUs is the ReLU of the maximum. Gradients agree too: they reach the largest
    element of a window if it is positive, else none.

    Precondition: only the first pool reads the ReLU, and only the next one each of the others. Neither the ReLU nor a
    pool is an output, and each pool's output is smaller than its input.
    """
    moves = [(node, pools) for node in graph.nodes if (pools := _pools_after(graph, node))]
    if not moves:
        return None
    relus = {relu.name for relu, _ in moves}
    read = {pools[0]: relu.inputs for relu, pools in moves}  # what the first pool reads in place of the ReLU
    behind = {pools[-1]: relu for relu, pools in moves}
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.name in relus:
            continue
        inputs = (behind[name].name if name in behind else name for name in read.get(node.name, node.inputs))
        nodes.append(replace(node, inputs=tuple(inputs)))
        if node.name in behind:
            relu = behind[node.name]
            nodes.append(replace(relu, inputs=(node.name,), input_types=(node.type,), type=node.type))
    meaning: dict[str, str | None] = {name: None for _, pools in moves for name in pools}
    meaning |= {relu.name: last for last, relu in behind.items()}
    return Rewrite(replace(graph, nodes=tuple(nodes)), tuple(relu.name for relu, _ in moves), meaning=meaning)


def _pools_after(graph: Graph, node: Node) -> list[str]:
    """The max-pools that a ReLU can be moved behind, in their order; none for any other node."""
    pools: list[str] = []
    while isinstance(node.op, MaxPool2d if pools else Relu):
        reader = sole_reader(graph, node.name)
        if reader is None or not isinstance(reader.op, MaxPool2d) or reader.name in graph.outputs:
            break
        if reader.type.size >= node.type.size:
            break
        pools.append(reader.name)
        node = reader
    return pools


PASS = Pass(
    "relu-after-max-pool",
    "ReLU is applied after a max-pool, to fewer elements",
    ("training", "inference"),
    relu_after_max_pool,
)
