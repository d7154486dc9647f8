"""Collects what the lowerings say about a graph and serializes it as one ModelProto whose weights are inputs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from netspec.graph import Graph, Input, Node
from netspec.graph.text import spec_hash
from netspec.lowering.artifact import Artifact, Binding
from netspec.lowering.broadcast import of_one_sample
from netspec.types import BATCH, Dim
from netspec_onnx.opset import ir_version_of

if TYPE_CHECKING:  # onnx_ir is imported when a writer is made: the package can be listed without it
    import onnx_ir as ir
    from numpy.typing import ArrayLike

PRODUCER = "netspec"
METADATA_NAME = "netspec.name"
METADATA_SOURCE = "netspec.source"
METADATA_HASH = "netspec.spec_hash"  # in a file that of the spec, whatever passes made of its graph
METADATA_OPTIMIZED = "netspec.optimized"  # the level of the passes; not there where there were none
METADATA_PREPROCESSING = "netspec.preprocessing"  # JSON: input name → Preprocessing

AttributeValue = int | float | str | Sequence[int] | None  # None: it is left out


class GraphWriter:
    """The `out` of the ONNX lowerings: declares weights and constants, adds nodes.

    The value of a netspec node has the node's name. What a lowering needs besides is named `node/step`, and weights
    by their canonical names; any of these that is taken already gets an underscore, so that none can meet another.
    Operators are named as what they give, but with slashes: the instances of a block are name scopes.

    Attributes:
        opset: the operator set that the model declares.
    """

    def __init__(self, graph: Graph, opset: int) -> None:
        import onnx_ir

        self.opset = opset
        self._ir = onnx_ir
        self._graph = graph
        self._dtype = onnx_ir.DataType.from_numpy(graph.dtype.numpy)
        self._of_one_sample = of_one_sample(graph)
        self._taken = set(graph.values)
        self._node_names: set[str] = set()
        self._values: dict[str, ir.Value] = {i.name: self._value(i.name, i.type.shape) for i in graph.inputs}
        self._weights: list[ir.Value] = []
        self._constants: list[ir.Value] = []
        self._nodes: list[ir.Node] = []
        self._bindings: list[Binding] = []

    def inputs(self, node: Node) -> tuple[ir.Value, ...]:
        """The values that a node reads."""
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
        """A weight of a node as an input of the model, its axes moved as a `Binding` says; None if it has none."""
        description = node.weights.get(weight)
        if description is None:
            return None
        canonical = f"{node.name}.{weight}"
        path = self._unused(canonical)
        binding = Binding.of(canonical, path, description.shape, axes, view, native_shape)
        self._bindings.append(binding)
        self._weights.append(self._value(path, binding.native_shape))
        return self._weights[-1]

    def constant(self, node: Node, step: str, array: ArrayLike) -> ir.Value:
        """Numbers that the lowering computed from attributes: integers as int64, the rest in the graph's dtype."""
        values = np.asarray(array)
        dtype = np.dtype(np.int64) if np.issubdtype(values.dtype, np.integer) else self._graph.dtype.numpy
        name = self._unused(f"{node.name}/{step}")
        tensor = self._ir.tensor(values.astype(dtype), name=name)
        self._constants.append(self._ir.val(name, const_value=tensor))
        return self._constants[-1]

    def target(self, node: Node, step: str, shape: Sequence[Dim]) -> ir.Value:
        """The shape that a `Reshape` takes: 0 keeps the axis, and so the batch stays free."""
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
        """An intermediate value of a node, `node/step`; its shape is that of the node's output when not given."""
        value = self._value(self._unused(f"{node.name}/{step}"), self._held(node, shape))
        return self._append(operator, inputs, attributes, value)

    def first_input(self) -> ir.Value:
        """The model's first input."""
        return self._values[self._graph.inputs[0].name]

    @property
    def first_input_rank(self) -> int:
        """The number of its axes."""
        return self._graph.inputs[0].type.rank

    def integers(
        self, node: Node, step: str, operator: str, *inputs: ir.Value, length: int, **attributes: AttributeValue
    ) -> ir.Value:
        """An intermediate vector of integers, `node/step`: a shape that is known when the model runs."""
        value = self._ir.val(self._unused(f"{node.name}/{step}"), self._ir.DataType.INT64, [length])
        return self._append(operator, inputs, attributes, value)

    def assign(self, node: Node, operator: str, *inputs: ir.Value | None, **attributes: AttributeValue) -> None:
        """The output of a node, under its name."""
        value = self._value(node.name, self._held(node))
        self._values[node.name] = self._append(operator, inputs, attributes, value)

    def broadcasts(self, node: Node) -> bool:
        """Whether only operators that broadcast read a learned value, or what is made of it."""
        return node.name in self._of_one_sample

    def stand_for(self, node: Node, weight: str) -> None:
        """The output of a node is its weight, as one sample: no operator computes it."""
        value = self.weight(node, weight, native_shape=(1, *node.weights[weight].shape))
        assert value is not None  # noqa: S101 # the node has it
        self._values[node.name] = value

    def _held(self, node: Node, shape: Sequence[Dim | None] | None = None) -> Sequence[Dim | None]:
        """The shape of a node's output, or of a step to it: of one sample where it stays one."""
        found = node.type.shape if shape is None else shape
        return [1 if dim == BATCH else dim for dim in found] if self.broadcasts(node) else found

    def artifact(self) -> Artifact:
        """What was collected, as bytes: the same graph always gives the same."""
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
        given = list(inputs)
        while given and given[-1] is None:  # what is left out at the end is not there; before others it has a place
            given.pop()
        name = self._node_name(str(value.name))
        self._nodes.append(self._ir.node(operator, given, self._typed(attributes), outputs=[value], name=name))
        return value

    def _typed(self, attributes: Mapping[str, AttributeValue]) -> dict[str, ir.Attr]:
        """The attributes with their types: to find these out takes onnx_ir as long as all else that it does."""
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
        """The path of a value with slashes, `stage2/1/conv2`, by which viewers fold what stands together."""
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
