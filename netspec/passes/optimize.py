"""The passes in their order, and what they make of a graph together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

from netspec.errors import NetspecError
from netspec.graph import Graph, Hint, Node
from netspec.graph.weights import check_weights
from netspec.ops import Flatten, Identity, Reshape
from netspec.passes import (
    channels_last,
    fold_batch_norm,
    fold_dropout_scale,
    fold_padding,
    in_place,
    relu_after_max_pool,
    remove_dropout,
    remove_heads,
    remove_identities,
    remove_unused,
)
from netspec.passes.rewrite import Fold, Level, Pass

if TYPE_CHECKING:
    from netspec.ops.base import Array, Weights

# What an earlier pass takes away, a later one need not look through; hints come last, for they are of what stays.
PASSES: tuple[Pass, ...] = (
    remove_identities.PASS,
    remove_dropout.PASS,
    remove_heads.PASS,
    remove_unused.PASS,
    fold_padding.PASS,
    fold_batch_norm.PASS,
    fold_dropout_scale.PASS,
    relu_after_max_pool.PASS,
    channels_last.PASS,
    in_place.PASS,
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What passes save, of a graph.

    Attributes:
        nodes: in all.
        weights: numbers.
        written: bytes a sample that ops write into memory of their own; a reshape or an op in place writes none.
    """

    nodes: int
    weights: int
    written: int

    @classmethod
    def of(cls, graph: Graph) -> Cost:
        """Count, in one pass over the nodes."""
        written = sum(node.type.size * node.type.dtype.bytes for node in graph.nodes if _writes(node))
        return cls(len(graph.nodes), sum(weight.size for weight in graph.weights.values()), written)


@dataclass(frozen=True, slots=True)
class Step:
    """What one pass did: the nodes that it changed, by the name that they had, and the graph after it."""

    name: str
    summary: str
    changed: tuple[str, ...]
    graph: Graph

    @property
    def cost(self) -> Cost:
        """Of the graph after it; counted when asked for, which training and builds never do."""
        return Cost.of(self.graph)


@dataclass(frozen=True, slots=True)
class Optimized:
    """A graph and what passes made of it: the same function of the same inputs.

    Attributes:
        plain: the graph as the spec says.
        graph: the other one.
        level: of optimization.
        steps: a step a pass that changed something, in their order.
        folds: from weights of the one to weights of the other.
        meaning: values of `graph` that equal another value of `plain` than that of their name, or None.
    """

    plain: Graph
    graph: Graph
    level: Level
    steps: tuple[Step, ...] = ()
    folds: tuple[Fold, ...] = ()
    meaning: tuple[tuple[str, str | None], ...] = ()

    def weights(self, weights: Weights) -> dict[str, Array]:
        """Canonical weights of `graph` from those of `plain`; what is computed is float64, the rest as it came.

        Raises:
            WeightsError: they are not the plain graph's.
        """
        check_weights(self.plain, weights)
        found = dict(weights)
        for fold in self.folds:
            fold.apply(found)
        return {name: found[name] for name in self.graph.weights}

    def plain_values(self) -> dict[str, str]:
        """The nodes of the optimized graph that equal a value of the plain one, with the name of that value."""
        meaning = dict(self.meaning)
        equals = ((node.name, meaning.get(node.name, node.name)) for node in self.graph.nodes)
        return {name: plain for name, plain in equals if plain is not None}


def optimize(graph: Graph, level: Level, without: Collection[str] = (), passes: Sequence[Pass] = PASSES) -> Optimized:
    """Make the passes of a level.

    Args:
        graph: as the spec says.
        level: `none`; `training` keeps every weight, gradient and dropout mask; `inference` also folds what is
            constant into the weights, and the result cannot be trained.
        without: passes to leave out, by name, as a backend's `costly_passes` says.
        passes: in their order; others than netspec's own in tests alone.

    Raises:
        NetspecError: a level or a pass of this name does not exist.
    """
    if level not in get_args(Level):
        raise NetspecError(f"expected a level of optimization {', '.join(get_args(Level))}, received {level!r}")
    if unknown := sorted(set(without) - {each.name for each in passes}):
        raise NetspecError(f"there is no pass {unknown[0]!r}; there are {', '.join(each.name for each in passes)}")
    if level == "none":
        return Optimized(graph, graph, level)
    now = graph
    steps: list[Step] = []
    folds: list[Fold] = []
    meaning: dict[str, str | None] = {}
    for each in passes:
        if level not in each.levels or each.name in without or (rewrite := each.run(now)) is None:
            continue
        now = rewrite.graph
        before = dict(meaning)
        meaning |= {new: old and before.get(old, old) for new, old in rewrite.meaning.items()}
        folds += rewrite.folds
        steps.append(Step(each.name, each.summary, rewrite.changed, now))
    now = replace(now, inference=level == "inference").check()
    kept = tuple((name, old) for name, old in meaning.items() if name in now.values)
    return Optimized(graph, now, level, tuple(steps), tuple(folds), kept)


def without_heads(graph: Graph) -> Optimized:
    """A graph as it is at inference, and nothing else changed: the auxiliary heads are gone."""
    rewrite = remove_heads.remove_heads(graph)
    if rewrite is None:
        return Optimized(graph, graph, "none")
    return Optimized(graph, rewrite.graph.check(), "none", folds=rewrite.folds)


def _writes(node: Node) -> bool:
    return Hint.IN_PLACE not in node.hints and not isinstance(node.op, Flatten | Reshape | Identity)
