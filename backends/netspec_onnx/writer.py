"""The writer that collects the operators of all nodes and serializes them as a ModelProto whose weights are inputs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from netspec.graph import Graph, Input, Node
from netspec.graph.text import spec_hash
from netspec.lowering.artifact import Artifact, Binding
from netspec.lowering.broadcast import broadcastable_nodes
from netspec.types import BATCH, Dim
from netspec_onnx.opset import ir_version_of

if TYPE_CHECKING:  # onnx_ir is imported when a writer is made: the package can be listed without it
    import onnx_ir as ir
    from numpy.typing import ArrayLike

PRODUCER = "netspec"
METADATA_NAME = "netspec.name"
METADATA_SOURCE = "netspec.source"
METADATA_HASH = "netspec.spec_hash"  # in a written file, the hash of the graph before optimization
METADATA_OPTIMIZED = "netspec.optimized"  # the level of optimization; absent without any
METADATA_PREPROCESSING = "netspec.preprocessing"  # JSON: input name → Preprocessing

AttributeValue = int | float | str | Sequence[int] | None  # attributes that are None are left out


class GraphWriter:
    """The `out` argument of the ONNX lowerings: declares weights and constants, and adds operators.

    The output of a netspec node has the name of the node, intermediate values are named `node/step`, and weights have
    their canonical names; underscores are appended to names that are already taken. An operator is named after its
    output, with slashes for dots, so that the instances of a block are name scopes.

    Attributes:
        opset: the operator set that the model declares.
    """

    def __init__(self, graph: Graph, opset: int) -> None:
        import onnx_ir

        self.opset = opset
        self._ir = onnx_ir
        self._graph = graph
        self._dtype = onnx_ir.DataType.from_numpy(graph.dtype.numpy)
        self._of_one_sample = broadcastable_nodes(graph)
        self._taken = set(graph.values)
        self._node_names: set[str] = set()
        self._values: dict[str, ir.Value] = {i.name: self._value(i.name, i.type.shape) for i in graph.inputs}
        self._weights: list[ir.Value] = []
        self._constants: list[ir.Value] = []
        self._nodes: list[ir.Node] = []
        self._bindings: list[Binding] = []

    def inputs(self, node: Node) -> tuple[ir.Value, ...]:
        """The values of a node's inputs."""
        return tuple(self._values[name] for name in node.inputs)

    def weight(
        self,
        node: Node,
        weight: str,
        *,
        view: tuple[int, ...] | None = None,
        axes: tuple[int, ...] | None = None,
        native_shape: tuple[int, ...] | None = None,
    ) -> ir.Value | None:
        """Declare a weight of a node, in the layout of its `Binding`, as an input of the model; None if it has none."""
        canonical = f"{node.name}.{weight}"
        description = self._graph.weights.get(canonical)
        if description is None:
            return None
        path = self._unused(canonical)
        binding = Binding.of(canonical, path, description.shape, axes, view, native_shape)
        self._bindings.append(binding)
        self._weights.append(self._value(path, binding.native_shape))
        return self._weights[-1]

    def constant(self, node: Node, step: str, array: ArrayLike) -> ir.Value:
        """Declare a constant: integers as int64, other numbers in the graph's dtype."""
        values = np.asarray(array)
        dtype = np.dtype(np.int64) if np.issubdtype(values.dtype, np.integer) else self._graph.dtype.numpy
        name = self._unused(f"{node.name}/{step}")
        tensor = self._ir.tensor(values.astype(dtype), name=name)
        self._constants.append(self._ir.val(name, const_value=tensor))
        return self._constants[-1]

    def target(self, node: Node, step: str, shape: Sequence[Dim]) -> ir.Value:
        """Declare the target shape of a `Reshape`, with 0 for the batch, which keeps it."""
        return self.constant(node, step, [0 if dim == BATCH else dim for dim in shape])

    def step(
        self,
        node: Node,
        step: str,
        operator: str,
        *inputs: ir.Value | None,
        shape: Sequence[Dim | None] | None = None,
        **attributes: AttributeValue,
    ) -> ir.Value:
        """Add an operator for an intermediate value, `node/step`; the default shape is that of the node's output."""
        value = self._value(self._unused(f"{node.name}/{step}"), self._actual_shape(node, shape))
        return self._append(operator, inputs, attributes, value)

    def first_input(self) -> ir.Value:
        """The first input of the model."""
        return self._values[self._graph.inputs[0].name]

    @property
    def first_input_rank(self) -> int:
        """The rank of the first input."""
        return self._graph.inputs[0].type.rank

    def integers(
        self, node: Node, step: str, operator: str, *inputs: ir.Value, length: int, **attributes: AttributeValue
    ) -> ir.Value:
        """Add an operator for a vector of integers, `node/step`, such as a shape that depends on the batch."""
        value = self._ir.val(self._unused(f"{node.name}/{step}"), self._ir.DataType.INT64, [length])
        return self._append(operator, inputs, attributes, value)

    def assign(self, node: Node, operator: str, *inputs: ir.Value | None, **attributes: AttributeValue) -> None:
        """Add the operator for the output of a node."""
        value = self._value(node.name, self._actual_shape(node))
        self._values[node.name] = self._append(operator, inputs, attributes, value)

    def broadcasts(self, node: Node) -> bool:
        """Whether a learned tensor, or a value computed from some, may stay one sample: all readers broadcast it."""
        return node.name in self._of_one_sample

    def alias(self, node: Node, weight: str) -> None:
        """Use a weight, as one sample, as the output of a node, without an operator."""
        value = self.weight(node, weight, native_shape=(1, *node.weights[weight].shape))
        assert value is not None  # noqa: S101 # the node has it
        self._values[node.name] = value

    def _actual_shape(self, node: Node, shape: Sequence[Dim | None] | None = None) -> Sequence[Dim | None]:
        """The shape of a node's output or intermediate value, with a batch of 1 if it stays one sample."""
        shape = node.type.shape if shape is None else shape
        return [1 if dim == BATCH else dim for dim in shape] if self.broadcasts(node) else shape

    def artifact(self) -> Artifact:
        """Serialize the model; equal graphs give equal bytes."""
        graph = self._ir.Graph(
            inputs=[*(self._values[i.name] for i in self._graph.inputs), *self._weights],
            outputs=[self._values[name] for name in self._graph.outputs],
            nodes=self._nodes,
            initializers=self._constants,
            opset_imports={"": self.opset},
            name=self._graph.name,
        )
        model = self._ir.Model(
            graph,
            ir_version=ir_version_of(self.opset),
            producer_name=PRODUCER,
            doc_string=self._graph.source or None,
            metadata_props=self._metadata(),
        )
        content = self._ir.to_proto(model).SerializeToString(deterministic=True)
        return Artifact("onnx", self._graph, content, self._graph.name, tuple(self._bindings))

    def _append(
        self,
        operator: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, AttributeValue],
        value: ir.Value,
    ) -> ir.Value:
        operands = list(inputs)
        while operands and operands[-1] is None:  # missing optional inputs are empty, or at the end left out
            operands.pop()
        name = self._node_name(str(value.name))
        self._nodes.append(self._ir.node(operator, operands, self._typed(attributes), outputs=[value], name=name))
        return value

    def _typed(self, attributes: Mapping[str, AttributeValue]) -> dict[str, ir.Attr]:
        """The attributes with explicit types, whose inference would double the time that onnx_ir takes."""
        typed: dict[str, ir.Attr] = {}
        for name, value in attributes.items():
            match value:
                case None:
                    continue
                case int():
                    typed[name] = self._ir.AttrInt64(name, value)
                case float():
                    typed[name] = self._ir.AttrFloat32(name, value)
                case str():
                    typed[name] = self._ir.AttrString(name, value)
                case _:
                    typed[name] = self._ir.AttrInt64s(name, value)
        return typed

    def _node_name(self, value: str) -> str:
        """The path of a value with slashes, `stage2/1/conv2`, by which viewers group the operators of a block."""
        name = value.replace(".", "/")
        while name in self._node_names:
            name += "_"
        self._node_names.add(name)
        return name

    def _value(self, name: str, shape: Sequence[Dim | None]) -> ir.Value:
        return self._ir.val(name, self._dtype, shape)

    def _unused(self, name: str) -> str:
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    def _metadata(self) -> dict[str, str]:
        return {
            METADATA_NAME: self._graph.name,
            METADATA_SOURCE: self._graph.source,
            METADATA_HASH: spec_hash(self._graph),
            METADATA_PREPROCESSING: json.dumps({i.name: _preprocessing(i) for i in self._graph.inputs}),
        }


def _preprocessing(value: Input) -> dict[str, Any] | None:
    return value.preprocessing.model_dump(mode="json") if value.preprocessing else None
