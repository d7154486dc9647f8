"""The graph of a network, with all names resolved and all shapes inferred. Front end and backends share only this."""

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
    """An optimization that a pass found, for a backend to use. It does not change any value.

    IN_PLACE: the node may overwrite its first input.
    CHANNELS_LAST: convolutions read this input, and are faster if its channels are contiguous in memory.
    """

    IN_PLACE = "in_place"
    CHANNELS_LAST = "channels_last"


@dataclass(frozen=True, slots=True)
class Input:
    """An input of a network, with the preprocessing of photographs if it is an image."""

    name: str
    type: TensorType
    preprocessing: Preprocessing | None = None
    hints: frozenset[Hint] = frozenset()


@dataclass(frozen=True, slots=True)
class Node:
    """An op applied to named values. `name` is also the name of its output. Made by `make_node`."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    input_types: tuple[TensorType, ...]
    type: TensorType
    hints: frozenset[Hint] = frozenset()

    @property
    def weights(self) -> dict[str, Weight]:
        """The weights by short name (`weight`, `bias`), with the spec's initializers."""
        weights = self.op.weights(*self.input_types)
        return self.op.with_initializers(weights) if isinstance(self.op, WeightedOp) else weights


def make_node(name: str, op: Op, inputs: Sequence[Input | Node]) -> Node:
    """Apply an op to values: check the number of inputs, resolve the op's shorthands and infer the output type.

    Raises:
        ShapeError: the op does not accept these types, or this number of inputs.
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
    _ = node.weights  # raises if `initialize` does not fit the weights
    return node


class Head(NamedTuple):
    """An auxiliary output: its name in the spec and the recipe, and the name of its value."""

    name: str
    value: str


@dataclass(frozen=True)
class Graph:
    """A network: inputs, nodes in topological order, and the names of the outputs.

    Attributes:
        name: the name of the spec.
        inputs: the inputs of the network.
        nodes: the nodes in topological order; those that only auxiliary outputs depend on are last.
        outputs: names of values; those of auxiliary `heads` are last.
        source: the publication of the network.
        inference: whether the graph is valid at inference only, with dropout removed and running statistics folded.
        scopes: which nodes form a block, for showing and emitting the network. They do not affect what it computes.
        heads: the auxiliary outputs, which exist only in training, for the loss.
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
        """The values of the auxiliary outputs, which are last and exist only in training."""
        return tuple(head.value for head in self.heads)

    @property
    def main(self) -> tuple[str, ...]:
        """The outputs at inference, which are all but the auxiliary ones."""
        return self.outputs[: len(self.outputs) - len(self.heads)]

    @cached_property
    def values(self) -> dict[str, Input | Node]:
        """Inputs and nodes by name."""
        return {value.name: value for value in self._sequence()}

    def _sequence(self) -> tuple[Input | Node, ...]:
        """The inputs and nodes, in topological order."""
        return (*self.inputs, *self.nodes)

    @cached_property
    def weights(self) -> dict[str, Weight]:
        """Every weight by canonical name, `layer.weight`, in the order of the nodes."""
        return {f"{node.name}.{name}": w for node in self.nodes for name, w in node.weights.items()}

    @cached_property
    def readers(self) -> dict[str, tuple[Node, ...]]:
        """The nodes that read each value, in topological order."""
        readers: dict[str, list[Node]] = {name: [] for name in self.values}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                readers[name].append(node)
        return {name: tuple(nodes) for name, nodes in readers.items()}

    def type_of(self, name: str) -> TensorType:
        """Return the type of an input or of a node's output."""
        return self.values[name].type

    @property
    def dtype(self) -> DType:
        """The dtype of all values."""
        return self.inputs[0].type.dtype

    def astype(self, dtype: DType) -> Graph:
        """Return the graph with another dtype."""
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
        """Return the graph with other outputs and no auxiliary heads."""
        return replace(self, outputs=tuple(outputs), heads=())

    def needed(self, outputs: Iterable[str]) -> frozenset[str]:
        """Return the outputs and every value that they depend on."""
        needed = set(outputs)
        for node in reversed(self.nodes):
            if node.name in needed:
                needed.update(node.inputs)
        return frozenset(needed)

    @cached_property
    def training_only(self) -> frozenset[str]:
        """The nodes that only auxiliary outputs depend on, and the nodes after those, such as a softmax of logits."""
        names = set(self.needed(self.auxiliary) - self.needed(self.main))
        for node in self.nodes:
            if not names.isdisjoint(node.inputs):
                names.add(node.name)
        return frozenset(names)

    def check(self) -> Graph:
        """Return this graph if it is well formed.

        Raises:
            GraphError: a name is repeated, a node precedes one that it reads, a type differs from the inferred one,
                dtypes differ, or an output is missing, repeated or out of order.
        """
        defined: dict[str, Input | Node] = {}
        for value in self._sequence():
            if value.name in defined:
                raise GraphError(f"graph {self.name}: {value.name!r} is defined twice")
            if value.type.dtype != self.dtype:
                raise GraphError(f"graph {self.name}: {value.name!r} is {value.type.dtype}, not {self.dtype}")
            if isinstance(value, Node):
                self._check_node(value, defined)
            defined[value.name] = value
        self._check_outputs()
        return self

    def _check_node(self, node: Node, defined: dict[str, Input | Node]) -> None:
        for name in node.inputs:
            if name not in defined:
                raise GraphError(f"graph {self.name}: {node.name!r} reads {name!r} before it is made")
        expected = make_node(node.name, node.op, [defined[name] for name in node.inputs])
        if not node.inputs:  # without an input that has the graph's dtype
            expected = replace(expected, type=expected.type.astype(self.dtype))
        if expected != replace(node, hints=frozenset()):
            raise GraphError(f"graph {self.name}: the types of {node.name!r} do not follow from its inputs")

    def _check_outputs(self) -> None:
        for name in self.outputs:
            if name not in self.values:
                raise GraphError(f"graph {self.name}: the output {name!r} is not a value of it")
        if not self.outputs or len(set(self.outputs)) != len(self.outputs):
            raise GraphError(f"graph {self.name}: expected distinct outputs, received {self.outputs}")
        if not self.main or self.outputs[len(self.main) :] != self.auxiliary:
            raise GraphError(
                f"graph {self.name}: expected the auxiliary outputs {self.auxiliary} last, received {self.outputs}"
            )
        training_only = [node.name for node in self.nodes if node.name in self.training_only]
        if training_only != [node.name for node in self.nodes[len(self.nodes) - len(training_only) :]]:
            raise GraphError(
                f"graph {self.name}: expected {', '.join(training_only)}, for training alone, after all other nodes"
            )
