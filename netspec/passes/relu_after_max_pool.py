"""Apply ReLU after max-pooling instead of before it, to fewer elements."""

from __future__ import annotations

from dataclasses import replace

from netspec.graph import Graph, Node
from netspec.ops import MaxPool2d, Relu
from netspec.passes.rewrite import Pass, Rewrite, sole_reader


def relu_after_max_pool(graph: Graph) -> Rewrite | None:
    """Swap a ReLU and the max-pool that reads it.

    ReLU is monotonic, so the maximum of ReLUs is the ReLU of the maximum. Gradients agree too: they reach the largest
    element of a window if it is positive, else none.

    Precondition: only the pool reads the ReLU, neither is an output, and the pool's output is smaller than its input.
    """
    pools = {node.name: pool for node in graph.nodes if (pool := _pool_after(graph, node))}
    if not pools:
        return None
    relus = {pool.name: node for node in graph.nodes if (pool := pools.get(node.name))}
    renamed = {pool: relu.name for pool, relu in relus.items()}

    def read(name: str) -> str:
        return renamed.get(name, name)

    nodes: list[Node] = []
    for node in graph.nodes:
        if node.name in relus:
            relu = relus[node.name]
            nodes.append(replace(node, inputs=(read(relu.inputs[0]),)))
            nodes.append(replace(relu, inputs=(node.name,), input_types=(node.type,), type=node.type))
        elif node.name not in pools:
            nodes.append(replace(node, inputs=tuple(map(read, node.inputs))))
    meaning: dict[str, str | None] = {}
    for name, pool in pools.items():
        meaning |= {pool.name: None, name: pool.name}
    return Rewrite(replace(graph, nodes=tuple(nodes)), tuple(pools), meaning=meaning)


def _pool_after(graph: Graph, node: Node) -> Node | None:
    """The max-pool that a node can be swapped with, if it is a ReLU; else None."""
    if not isinstance(node.op, Relu):
        return None
    reader = sole_reader(graph, node.name)
    if reader is None or not isinstance(reader.op, MaxPool2d) or reader.name in graph.outputs:
        return None
    return reader if reader.type.size < node.type.size else None


PASS = Pass(
    "relu-after-max-pool",
    "ReLU is applied after a max-pool, to fewer elements",
    ("training", "inference"),
    relu_after_max_pool,
)
