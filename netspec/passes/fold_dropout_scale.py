"""Fold the factor of `standard` dropout (1 − rate at inference, as of 2012) into the weights of the layers after it."""

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

# Ops with f(s·x) = s·f(x) for s > 0. Dropout is one of them at inference, where it multiplies by a factor.
HOMOGENEOUS = (
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
    """Fold a factor into a layer's weight: w·(s·x) = (s·w)·x. The bias stays."""

    layer: str
    factor: float

    def apply(self, weights: dict[str, Array]) -> None:
        """Replace the layer's weight."""
        weights[f"{self.layer}.weight"] = np.asarray(weights[f"{self.layer}.weight"], np.float64) * self.factor


def fold_dropout_scale(graph: Graph) -> Rewrite | None:
    """Remove dropout, and multiply the weights of every convolution and dense layer that it reaches by 1 − rate.

    Precondition: inference, and `standard` scaling. Every path from the dropout ends at a convolution or dense layer,
    and leads there through homogeneous ops none of which is an output.
    """
    renamed: dict[str, str] = {}
    folds: list[FoldScale] = []
    meaning: dict[str, str | None] = {}
    for node in graph.nodes:
        if not isinstance(node.op, Dropout) or node.op.mode != "standard" or node.op.rate == 0:
            continue
        reached = list(_reach(graph, node))
        layers = [value for value in reached if isinstance(value.op, Conv2d | Dense)]
        between = [value for value in reached if isinstance(value.op, HOMOGENEOUS)]
        # A path that reaches any other op, such as a sum with an unscaled value, cannot take the factor.
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
    """Each node that reads the start, directly or through homogeneous ops, once."""
    seen: set[str] = set()
    pending = [start.name]
    while pending:
        for reader in graph.readers[pending.pop()]:
            if reader.name not in seen:
                seen.add(reader.name)
                yield reader
                if isinstance(reader.op, HOMOGENEOUS):
                    pending.append(reader.name)


PASS = Pass(
    "fold-dropout-scale",
    "dropout's factor at inference is folded into the weights of the layers after it",
    ("inference",),
    fold_dropout_scale,
)
