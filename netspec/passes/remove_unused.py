"""Take away nodes that no output needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.graph import Graph
from netspec.passes.rewrite import Fold, Pass, Rewrite, rebuild

if TYPE_CHECKING:
    from netspec.ops.base import Array


@dataclass(frozen=True, slots=True)
class Drop:
    """A weight whose node is gone."""

    weight: str

    def apply(self, weights: dict[str, Array]) -> None:
        """Leave it out."""
        del weights[self.weight]


def remove_unused(graph: Graph) -> Rewrite | None:
    """Only what outputs depend on stays.

    Precondition: inference. In training what no output needs has weights still, which decay and are kept.
    """
    needed = graph.needed(graph.outputs)
    gone = [node for node in graph.nodes if node.name not in needed]
    if not gone:
        return None
    folds: tuple[Fold, ...] = tuple(Drop(f"{node.name}.{weight}") for node in gone for weight in node.weights)
    kept = rebuild(graph, [node for node in graph.nodes if node.name in needed])
    return Rewrite(kept, tuple(node.name for node in gone), folds)


PASS = Pass("remove-unused", "layers that no output needs are gone", ("inference",), remove_unused)
