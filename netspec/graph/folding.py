"""A summary of a network, with each instance of a block as one unit."""

from __future__ import annotations

from dataclasses import dataclass

from netspec.graph.analysis import Analysis, NodeCost, ReceptiveField
from netspec.graph.graph import Graph
from netspec.graph.scopes import Scope, ancestors
from netspec.types import TensorType


@dataclass(frozen=True, slots=True)
class FoldedCost:
    """The costs of an instance of a block: sums over its layers, and the receptive field of its last output."""

    scope: Scope
    types: tuple[TensorType, ...]
    weights: int
    macs: int
    activation_bytes: int
    receptive_field: ReceptiveField

    @property
    def name(self) -> str:
        """The path of the instance."""
        return self.scope.path

    @property
    def kind(self) -> str:
        """The name of the block."""
        return self.scope.block


def fold(graph: Graph) -> dict[str, Scope]:
    """Return the outermost instance of a block that contains each node, by the node's name.

    Nodes outside of blocks are absent.

    >>> from netspec.graph import Graph, Input, Scope, make_node
    >>> from netspec.ops import Relu
    >>> from netspec.types import TensorType
    >>> x = Input("x", TensorType.of(4))
    >>> nodes = (make_node("stem.act", Relu(), [x]), make_node("act", Relu(), [x]))
    >>> graph = Graph("g", (x,), nodes, ("act",), scopes=(Scope("stem", "b"),))
    >>> {name: scope.path for name, scope in fold(graph).items()}
    {'stem.act': 'stem'}
    """
    instances = {scope.path: scope for scope in graph.scopes if not scope.is_stack}
    owners = {}
    for node in graph.nodes:
        path = next((path for path in ancestors(node.name) if path in instances), None)
        if path is not None:
            owners[node.name] = instances[path]
    return owners


def outputs_of(graph: Graph, members: set[str]) -> list[str]:
    """Return the members whose values are outputs of the graph or read by nodes that are not members, in order."""
    return [
        node.name
        for node in graph.nodes
        if node.name in members
        and (node.name in graph.outputs or any(r.name not in members for r in graph.readers[node.name]))
    ]


def fold_rows(graph: Graph, analysis: Analysis) -> list[NodeCost | FoldedCost]:
    """Return the rows of an analysis with those of each outermost instance summed, at the place of its last layer."""
    owners = fold(graph)
    members: dict[str, list[NodeCost]] = {}
    for row in analysis.rows:
        if row.name in owners:
            members.setdefault(owners[row.name].path, []).append(row)
    last = {rows[-1].name: path for path, rows in members.items()}
    folded: list[NodeCost | FoldedCost] = []
    for row in analysis.rows:
        if row.name not in owners:
            folded.append(row)
        elif row.name in last:
            folded.append(_sum(graph, owners[row.name], members[last[row.name]]))
    return folded


def _sum(graph: Graph, scope: Scope, rows: list[NodeCost]) -> FoldedCost:
    by_name = {row.name: row for row in rows}
    shown = [by_name[name] for name in outputs_of(graph, set(by_name))] or rows[-1:]
    return FoldedCost(
        scope,
        types=tuple(row.node.type for row in shown),
        weights=sum(row.weights for row in rows),
        macs=sum(row.macs for row in rows),
        activation_bytes=sum(row.activation_bytes for row in rows),
        receptive_field=shown[-1].receptive_field,
    )
