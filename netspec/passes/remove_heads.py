"""Take away the heads whose losses help in training."""

from __future__ import annotations

from dataclasses import replace

from netspec.graph import Graph
from netspec.passes.remove_unused import Drop
from netspec.passes.rewrite import Fold, Pass, Rewrite, rebuild


def remove_heads(graph: Graph) -> Rewrite | None:
    """The main outputs stay; what the auxiliary ones alone depend on goes, with its weights.

    Precondition: inference.
    """
    if not graph.heads:
        return None
    gone = [node for node in graph.nodes if node.name in graph.for_heads]
    folds: tuple[Fold, ...] = tuple(Drop(f"{node.name}.{weight}") for node in gone for weight in node.weights)
    kept = rebuild(graph, [node for node in graph.nodes if node.name not in graph.for_heads])
    # An output that is auxiliary and inside the network may be all that goes.
    changed = tuple(node.name for node in gone) or graph.auxiliary
    return Rewrite(replace(kept, outputs=graph.main, heads=()), changed, folds)


PASS = Pass("remove-heads", "heads that are for training alone are gone", ("inference",), remove_heads)
