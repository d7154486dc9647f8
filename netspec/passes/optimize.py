"""The pass pipeline: the list of passes in their order, and the result of running a level of them on a graph."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

from netspec.errors import NetspecError, require_one_of
from netspec.graph import Graph, Hint, Node
from netspec.graph.weights import check_weights
from netspec.ops import Flatten, Identity, Reshape
from netspec.passes import (
    channels_last,
    fold_affine,
    fold_affine_ahead,
    fold_constants,
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

# Passes that remove nodes come first, so that later patterns match. Passes that only add hints come last.
PASSES: tuple[Pass, ...] = (
    remove_identities.PASS,
    remove_dropout.PASS,
    remove_heads.PASS,
    remove_unused.PASS,
    fold_constants.PASS,
    fold_padding.PASS,
    fold_dropout_scale.PASS,
    fold_affine.PASS,
    fold_affine_ahead.PASS,
    relu_after_max_pool.PASS,
    channels_last.PASS,
    in_place.PASS,
)


@dataclass(frozen=True, slots=True)
class Cost:
    """The costs of a graph that passes reduce.

    Attributes:
        nodes: the number of nodes.
        weights: the number of elements of all weights.
        written: the bytes per sample that ops write into new memory; reshapes, parameters and in-place ops write none.
    """

    nodes: int
    weights: int
    written: int

    @classmethod
    def of(cls, graph: Graph) -> Cost:
        """Compute the costs of a graph."""
        written = sum(node.type.size * node.type.dtype.bytes for node in graph.nodes if _writes(node))
        return cls(len(graph.nodes), sum(weight.size for weight in graph.weights.values()), written)


@dataclass(frozen=True, slots=True)
class Step:
    """What one pass did: the nodes that it changed, by the names that they had, and the graph after it."""

    name: str
    summary: str
    changed: tuple[str, ...]
    graph: Graph

    @property
    def cost(self) -> Cost:
        """The cost of the graph after the pass; computed on demand, since only reports need it."""
        return Cost.of(self.graph)


@dataclass(frozen=True, slots=True)
class Optimized:
    """A graph and its optimized form: the same function of the same inputs.

    Attributes:
        plain: the graph of the spec.
        graph: the optimized graph.
        level: the optimization level.
        steps: a step for each pass that changed something, in order.
        folds: the changes from the weights of `plain` to those of `graph`, in order.
        meaning: for values of `graph` that do not equal the value of `plain` of the same name, the name of the value
            that they equal, or None.
    """

    plain: Graph
    graph: Graph
    level: Level
    steps: tuple[Step, ...] = ()
    folds: tuple[Fold, ...] = ()
    meaning: tuple[tuple[str, str | None], ...] = ()

    def weights(self, weights: Weights) -> dict[str, Array]:
        """Convert canonical weights of `plain` to those of `graph`. Changed arrays are float64, others as given.

        Raises:
            WeightsError: the weights are not those of `plain`.
        """
        check_weights(self.plain, weights)
        folded = dict(weights)
        for fold in self.folds:
            fold.apply(folded)
        return {name: folded[name] for name in self.graph.weights}

    def plain_values(self) -> dict[str, str]:
        """The nodes of `graph` that equal a value of `plain`, with the name of that value."""
        meaning = dict(self.meaning)
        equals = ((node.name, meaning.get(node.name, node.name)) for node in self.graph.nodes)
        return {name: plain for name, plain in equals if plain is not None}


def optimize(graph: Graph, level: Level, without: Collection[str] = (), passes: Sequence[Pass] = PASSES) -> Optimized:
    """Run the passes of a level.

    Args:
        graph: the graph of the spec.
        level: `none`; `training`, which keeps every weight, gradient and dropout mask; or `inference`, which also
            folds constants into the weights, so that the result cannot be trained.
        without: the names of passes to leave out, such as a backend's `costly_passes`.
        passes: the pipeline; only tests pass another.

    Raises:
        NetspecError: a level or a pass of this name does not exist.
    """
    require_one_of("the level of optimization", level, get_args(Level))
    if unknown := sorted(set(without) - {each.name for each in passes}):
        raise NetspecError(f"there is no pass {unknown[0]!r}; there are {', '.join(each.name for each in passes)}")
    if level == "none":
        return Optimized(graph, graph, level)
    current = graph
    steps: list[Step] = []
    folds: list[Fold] = []
    meaning: dict[str, str | None] = {}
    for each in passes:
        if level not in each.levels or each.name in without or (rewrite := each.run(current)) is None:
            continue
        current = rewrite.graph
        before = dict(meaning)
        meaning |= {new: old and before.get(old, old) for new, old in rewrite.meaning.items()}
        folds += rewrite.folds
        steps.append(Step(each.name, each.summary, rewrite.changed, current))
    current = replace(current, inference=level == "inference").check()
    kept = tuple((name, old) for name, old in meaning.items() if name in current.values)
    return Optimized(graph, current, level, tuple(steps), tuple(folds), kept)


def without_heads(graph: Graph) -> Optimized:
    """Remove the auxiliary heads of a graph, and change nothing else."""
    rewrite = remove_heads.remove_heads(graph)
    if rewrite is None:
        return Optimized(graph, graph, "none")
    return Optimized(graph, rewrite.graph.check(), "none", folds=rewrite.folds)


def _writes(node: Node) -> bool:
    """Whether a node writes its output into new memory. One without inputs gives a weight."""
    own = Hint.IN_PLACE not in node.hints and not isinstance(node.op, Flatten | Identity | Reshape)
    return own and bool(node.inputs)
