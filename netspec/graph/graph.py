"""What a network computes, with every name resolved and every shape known: all that front end and backends share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from netspec.errors import GraphError, ShapeError
from netspec.graph.preprocessing import Preprocessing
from netspec.graph.scopes import Scope
from netspec.ops.base import Op, Weight, WeightedOp
from netspec.types import DType, TensorType


class Hint(StrEnum):
    """How a value may be computed: found by a pass, for a backend to use. It changes no value.

    IN_PLACE: the node may write over the first value that it reads.
    CHANNELS_LAST: convolutions read this input, and are quicker where its channels lie next to one another.
    """

    IN_PLACE = "in_place"
    CHANNELS_LAST = "channels_last"


@dataclass(frozen=True, slots=True)
class Input:
    """A tensor that the caller gives, and how a photograph becomes it, if it is an image."""

    name: str
    type: TensorType
    preprocessing: Preprocessing | None = None
    hints: frozenset[Hint] = frozenset()


@dataclass(frozen=True, slots=True)
class Node:
    """One op applied to named values. `name` also names its output. Made by `make_node`."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    input_types: tuple[TensorType, ...]
    type: TensorType
    hints: frozenset[Hint] = frozenset()

    @property
    def weights(self) -> dict[str, Weight]:
        """Its weights by short name (`weight`, `bias`), initializers applied."""
        weights = self.op.weights(*self.input_types)
        return self.op.with_initializers(weights) if isinstance(self.op, WeightedOp) else weights


def make_node(name: str, op: Op, inputs: Sequence[Input | Node]) -> Node:
    """Apply an op to values: sugar resolved, arity checked, output type inferred.

    Raises:
        ShapeError: the op cannot take these shapes, or not this many inputs.
    """
    least, most = op.inputs
    if len(inputs) < least or (most is not None and len(inputs) > most):
        expected = f"{least}" if least == most else f"at least {least}"
        raise ShapeError(
            f"{op.kind} takes {expected} input{'' if least == most == 1 else 's'}, received {len(inputs)}",
            "list the layers that it reads: `inputs: [a, b]`" if len(inputs) < least else "",
            "inputs",
        )
    types = tuple(value.type for value in inputs)
    resolved = op.resolve(*types)
    node = Node(name, resolved, tuple(v.name for v in inputs), types, resolved.infer(*types))
    _ = node.weights  # an `initialize` for a weight that is not there is an error of this node
    return node


class Head(NamedTuple):
    """An auxiliary output: what the spec and its recipe call it, and the value that it is."""

    name: str
    value: str


@dataclass(frozen=True)
class Graph:
    """A network: inputs, nodes in topological order, and the names of the outputs.

    Attributes:
        name: the spec's.
        inputs: what the caller gives.
        nodes: each after those that it reads. Nodes that only auxiliary outputs depend on stand after all others.
        outputs: names of values. The last ones may be those of auxiliary `heads`.
        source: where the network comes from.
        inference: whether the graph is right at inference only: dropout is gone, running statistics are in the weights.
        scopes: which nodes form a block, for showing or emitting the network; what it computes does not depend on them.
        heads: auxiliary outputs, which exist in training only, for the loss.
    """

    name: str
    inputs: tuple[Input, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    source: str = ""
    inference: bool = False
    scopes: tuple[Scope, ...] = ()
    heads: tuple[Head, ...] = ()

    @property
    def auxiliary(self) -> tuple[str, ...]:
        """The outputs of the heads, which stand last and exist in training only."""
        return tuple(head.value for head in self.heads)

    @property
    def main(self) -> tuple[str, ...]:
        """The outputs at inference: all but the auxiliary ones."""
        return self.outputs[: len(self.outputs) - len(self.heads)]

    @cached_property
    def values(self) -> dict[str, Input | Node]:
        """Inputs and nodes by name."""
        return {value.name: value for value in self._sequence()}

    def _sequence(self) -> tuple[Input | Node, ...]:
        return (*self.inputs, *self.nodes)

    @cached_property
    def weights(self) -> dict[str, Weight]:
        """Every weight by canonical name, `layer.weight`, in the order of the nodes."""
        return {f"{node.name}.{name}": w for node in self.nodes for name, w in node.weights.items()}

    @cached_property
    def readers(self) -> dict[str, tuple[Node, ...]]:
        """The nodes that read each value, in order."""
        found: dict[str, list[Node]] = {name: [] for name in self.values}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                found[name].append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    def type_of(self, name: str) -> TensorType:
        """The type of an input or of a node's output."""
        return self.values[name].type

    @property
    def dtype(self) -> DType:
        """The element type of the whole graph."""
        return self.inputs[0].type.dtype

    def astype(self, dtype: DType) -> Graph:
        """The same function on another element type."""
        return replace(
            self,
            inputs=tuple(replace(i, type=i.type.astype(dtype)) for i in self.inputs),
            nodes=tuple(
                replace(
                    n,
                    type=n.type.astype(dtype),
                    input_types=tuple(t.astype(dtype) for t in n.input_types),
                )
                for n in self.nodes
            ),
        )

    def with_outputs(self, outputs: Iterable[str]) -> Graph:
        """The same nodes with other outputs, at inference as in training."""
        return replace(self, outputs=tuple(outputs), heads=())

    def needed(self, outputs: Iterable[str]) -> frozenset[str]:
        """Every value that these outputs depend on, the outputs included."""
        found = set(outputs)
        for node in reversed(self.nodes):
            if node.name in found:
                found.update(node.inputs)
        return frozenset(found)

    @cached_property
    def for_heads(self) -> frozenset[str]:
        """The nodes that only auxiliary outputs depend on, and what reads those nodes: a softmax after logits."""
        found = set(self.needed(self.auxiliary) - self.needed(self.main))
        for node in self.nodes:
            if not found.isdisjoint(node.inputs):
                found.add(node.name)
        return frozenset(found)

    def check(self) -> Graph:
        """This graph, or GraphError: names unique, producers first, types as inferred, one dtype, outputs exist."""
        seen: dict[str, Input | Node] = {}
        for value in self._sequence():
            if value.name in seen:
                raise GraphError(f"graph {self.name}: {value.name!r} is defined twice")
            if value.type.dtype != self.dtype:
                raise GraphError(f"graph {self.name}: {value.name!r} is {value.type.dtype}, not {self.dtype}")
            if isinstance(value, Node):
                self._check_node(value, seen)
            seen[value.name] = value
        for name in self.outputs:
            if name not in seen:
                raise GraphError(f"graph {self.name}: the output {name!r} is not a value of it")
        if not self.outputs or len(set(self.outputs)) != len(self.outputs):
            raise GraphError(f"graph {self.name}: expected distinct outputs, received {self.outputs}")
        if not self.main or self.outputs[len(self.main) :] != self.auxiliary:
            raise GraphError(
                f"graph {self.name}: expected the auxiliary outputs {self.auxiliary} last, received {self.outputs}"
            )
        alone = [node.name for node in self.nodes if node.name in self.for_heads]
        if alone != [node.name for node in self.nodes[len(self.nodes) - len(alone) :]]:
            raise GraphError(
                f"graph {self.name}: expected {', '.join(alone)}, for training alone, after all other nodes"
            )
        return self

    def _check_node(self, node: Node, seen: dict[str, Input | Node]) -> None:
        for name in node.inputs:
            if name not in seen:
                raise GraphError(f"graph {self.name}: {node.name!r} reads {name!r} before it is made")
        made = make_node(node.name, node.op, [seen[name] for name in node.inputs])
        if not node.inputs:  # nothing that it reads has the graph's dtype
            made = replace(made, type=made.type.astype(self.dtype))
        if made != replace(node, hints=frozenset()):
            raise GraphError(f"graph {self.name}: the types of {node.name!r} do not follow from its inputs")
