"""Remove nodes that no output depends on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.graph import Graph, Node
from netspec.passes.rewrite import Fold, Pass, Rewrite, rebuild

if TYPE_CHECKING:
    from netspec.ops.base import Array


@dataclass(frozen=True, slots=True)
class Drop:
    """Drop a weight, by its canonical name, whose node was removed."""

    weight: str

    def apply(self, weights: dict[str, Array]) -> None:
        """Remove the weight."""
        del weights[self.weight]


def remove_unused(graph: Graph) -> Rewrite | None:
    """Remove the nodes that no output depends on, with their weights.

    Precondition: inference. In training, unused weights still decay, and are part of checkpoints.
    """
    needed = graph.needed(graph.outputs)
    removed = [node for node in graph.nodes if node.name not in needed]
    return drop(graph, removed) if removed else None


def drop(graph: Graph, removed: Sequence[Node]) -> Rewrite:
    """Remove nodes that no other node reads, with their weights."""
    names = tuple(node.name for node in removed)
    folds: tuple[Fold, ...] = tuple(Drop(f"{node.name}.{weight}") for node in removed for weight in node.weights)
    return Rewrite(rebuild(graph, [node for node in graph.nodes if node.name not in names]), names, folds)


PASS = Pass("remove-unused", "layers that no output needs are removed", ("inference",), remove_unused)
