"""Replace values that are computed from parameters and constants alone by parameters that hold them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from netspec.arrays import np
from netspec.graph import Graph, Node, make_node
from netspec.ops import Parameter, RegionMask
from netspec.ops.activation import Elementwise
from netspec.ops.merge import Broadcasting
from netspec.passes.rewrite import Pass, Rewrite, rebuild

if TYPE_CHECKING:
    from netspec.ops.base import Array

# Element-wise ops are computed about as fast as their result is read, so it is not worth a larger file.
ELEMENT_WISE = (Elementwise, Broadcasting, RegionMask)
# Of other ops, such as a look-up of position biases, a result of up to 1 MiB in float32 may be larger than what it
# replaces. It would be written in every forward pass.
MAX_GROWN = 1 << 18


@dataclass(frozen=True, slots=True)
class FoldConstants:
    """Compute constants with the NumPy meanings of the ops, and make each the `weight` of a parameter of its name.

    Attributes:
        nodes: the parameters, and the ops that depend on nothing else, in topological order.
        values: the names of those whose values are kept.
        dropped: the weights that only these ops need, by canonical name.
    """

    nodes: tuple[Node, ...]
    values: tuple[str, ...]
    dropped: tuple[str, ...]

    def apply(self, weights: dict[str, Array]) -> None:
        """Replace the dropped weights by the values."""
        found: dict[str, Array] = {}
        for node in self.nodes:
            own = {name: np.asarray(weights[f"{node.name}.{name}"], np.float64) for name in node.weights}
            found[node.name] = node.op.reference(own, *(found[name] for name in node.inputs))
        for name in self.dropped:
            del weights[name]
        for name in self.values:
            weights[f"{name}.weight"] = found[name][0]  # of a batch of one


def fold_constants(graph: Graph) -> Rewrite | None:
    """Replace ops that depend on parameters and constants alone, such as a resized position embedding, by parameters.

    Of several ops in a row, the last one is replaced.

    Precondition: inference. The value is the same for every sample: no op reads a sample for another, and dropout and
    normalization by the statistics of a batch exist in training alone. A value has an axis after the batch, as a
    parameter does. It is no larger than the weights that it replaces, unless its op is not element-wise and it has up
    to `MAX_GROWN` elements. Otherwise it is computed as before, and what it reads may be folded.
    """
    constants = _constants(graph)
    worth_folding = _worth_folding(constants)
    foldable = set(constants)
    values: set[str] = set()
    for node in reversed(constants.values()):
        if not node.inputs or not _is_read(graph, node, foldable):
            continue
        if node.name in worth_folding:
            values.add(node.name)
        else:
            foldable.remove(node.name)
    if not values:
        return None
    kept = _kept(graph, foldable, values)
    replaced = [node for node in constants.values() if node.name in values or node.name not in kept]
    nodes = [_parameter(node) if node.name in values else node for node in graph.nodes if node.name in kept]
    fold = FoldConstants(
        tuple(_ancestors(values, constants)),
        tuple(node.name for node in constants.values() if node.name in values),
        tuple(f"{node.name}.{weight}" for node in replaced for weight in node.weights),
    )
    changed = tuple(node.name for node in replaced)
    return Rewrite(rebuild(graph, nodes), changed, (fold,))


def _constants(graph: Graph) -> dict[str, Node]:
    """The nodes that depend on no input, such as parameters, by name in topological order."""
    constants: dict[str, Node] = {}
    for node in graph.nodes:
        if all(name in constants for name in node.inputs):
            constants[node.name] = node
    return constants


def _is_read(graph: Graph, node: Node, foldable: Collection[str]) -> bool:
    """Whether a constant is an output, or is read by a node that is computed in each forward pass."""
    return node.name in graph.outputs or any(reader.name not in foldable for reader in graph.readers[node.name])


def _worth_folding(constants: Mapping[str, Node]) -> set[str]:
    """The constants whose value may be stored in place of what they read."""
    worth: set[str] = set()
    stored: dict[str, int] = {}  # the number of elements that are stored for each constant
    for node in constants.values():
        weights = sum(weight.size for weight in node.weights.values())
        before = weights + sum(stored[name] for name in dict.fromkeys(node.inputs))
        size = node.type.size
        may_grow = size <= MAX_GROWN and not isinstance(node.op, ELEMENT_WISE)
        folds = node.type.rank > 1 and (size <= before or may_grow)
        stored[node.name] = size if folds else before
        if folds:
            worth.add(node.name)
    return worth


def _ancestors(names: Iterable[str], constants: Mapping[str, Node]) -> list[Node]:
    """The constants of these names and all that they depend on, in topological order."""
    needed: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in needed:
            needed.add(name)
            pending += constants[name].inputs
    return [node for node in constants.values() if node.name in needed]


def _kept(graph: Graph, foldable: Collection[str], values: Collection[str]) -> set[str]:
    """The nodes of the new graph: those that are computed, the values, and the parameters that are still read."""
    kept, read = set(), set(graph.outputs)
    for node in reversed(graph.nodes):
        if node.name in values:
            kept.add(node.name)
        elif node.name not in foldable or node.name in read:
            kept.add(node.name)
            read.update(node.inputs)
    return kept


def _parameter(node: Node) -> Node:
    """The parameter with the name and the type of a node."""
    return replace(make_node(node.name, Parameter(shape=node.type.features), []), type=node.type)


PASS = Pass(
    "fold-constants",
    "values that are computed from parameters alone are parameters",
    ("inference",),
    fold_constants,
)
