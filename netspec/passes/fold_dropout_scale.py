"""Put what dropout in the scaling of 2012 multiplies by at inference into the weights of the layers after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.arrays import np
from netspec.graph import Graph, Node
from netspec.ops import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Identity,
    LeakyRelu,
    MaxPool2d,
    Permute,
    Relu,
    Reshape,
)
from netspec.passes.rewrite import Pass, Rewrite, rebuild

if TYPE_CHECKING:
    from netspec.ops.base import Array

# f(s·x) = s·f(x) for s > 0: the factor passes through. Dropout at inference multiplies by its own.
PASSES_A_FACTOR = (
    AdaptiveAvgPool2d,
    AvgPool2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Identity,
    LeakyRelu,
    MaxPool2d,
    Permute,
    Relu,
    Reshape,
)


@dataclass(frozen=True, slots=True)
class FoldScale:
    """w·(s·x) = (s·w)·x: the factor in the layer's weight; its bias stays."""

    layer: str
    factor: float

    def apply(self, weights: dict[str, Array]) -> None:
        """Replace the layer's weight."""
        weights[f"{self.layer}.weight"] = np.asarray(weights[f"{self.layer}.weight"], np.float64) * self.factor


def fold_dropout_scale(graph: Graph) -> Rewrite | None:
    """The factor 1 − rate goes into every convolution and dense layer that the dropout reaches.

    Precondition: inference, `standard` scaling; on every way from the node there are only ops through which a positive
    factor passes, up to a convolution or dense layer, and no output before it.
    """
    renamed: dict[str, str] = {}
    folds: list[FoldScale] = []
    meaning: dict[str, str | None] = {}
    for node in graph.nodes:
        if not isinstance(node.op, Dropout) or node.op.mode != "standard" or node.op.rate == 0:
            continue
        reached = list(_reach(graph, node))
        layers = [value for value in reached if isinstance(value.op, Conv2d | Dense)]
        between = [value for value in reached if isinstance(value.op, PASSES_A_FACTOR)]
        # What two dropouts reach by different ways, merged, or a layer that reads both, has not one factor.
        if len(layers) + len(between) < len(reached) or any(v.name in graph.outputs for v in (node, *between)):
            continue
        renamed[node.name] = renamed.get(node.inputs[0], node.inputs[0])
        folds += [FoldScale(layer.name, node.op.inference_scale) for layer in layers]
        meaning |= dict.fromkeys(value.name for value in between)
    if not renamed:
        return None
    kept = [node for node in graph.nodes if node.name not in renamed]
    return Rewrite(rebuild(graph, kept, renamed), tuple(renamed), tuple(folds), meaning)


def _reach(graph: Graph, start: Node) -> Iterator[Node]:
    """Each node that reads the start, directly or through ops that pass a factor, once."""
    seen: dict[str, None] = {}
    pending = [start.name]
    while pending:
        for reader in graph.readers[pending.pop()]:
            if reader.name not in seen:
                seen[reader.name] = None
                yield reader
                if isinstance(reader.op, PASSES_A_FACTOR):
                    pending.append(reader.name)


PASS = Pass(
    "fold-dropout-scale",
    "what dropout multiplies by at inference is in the weights after it",
    ("inference",),
    fold_dropout_scale,
)
