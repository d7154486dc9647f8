"""Apply ReLU to what a maximum leaves over."""

from __future__ import annotations

from dataclasses import replace

from netspec.graph import Graph, Node
from netspec.ops import MaxPool2d, Relu
from netspec.passes.rewrite import Pass, Rewrite, sole_reader


def relu_after_max_pool(graph: Graph) -> Rewrite | None:
    """A ReLU and the max-pool that reads it change places.

    ReLU never decreases, so the largest of its values is its value of the largest; and the gradient reaches the same
    element, or none: where a window's largest is not positive, ReLU lets nothing through on either side of it.

    Precondition: the pool alone reads the ReLU, neither is an output, and the pool leaves fewer elements.
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
    """The max-pool that a ReLU can change places with."""
    if not isinstance(node.op, Relu):
        return None
    reader = sole_reader(graph, node.name)
    if reader is None or not isinstance(reader.op, MaxPool2d) or reader.name in graph.outputs:
        return None
    return reader if reader.type.size < node.type.size else None


PASS = Pass(
    "relu-after-max-pool",
    "ReLU is applied to what a max-pool leaves over",
    ("training", "inference"),
    relu_after_max_pool,
)
