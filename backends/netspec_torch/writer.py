"""The writer that collects the layers and statements of all nodes and renders them as classes of `nn.Module`."""

from __future__ import annotations

from typing import Final

from netspec.graph import Graph, Hint, Node
from netspec.lowering.artifact import Artifact, Binding
from netspec.lowering.blocks.parts import split
from netspec.lowering.broadcast import broadcastable_nodes
from netspec.lowering.python.definitions import Class
from netspec.lowering.python.naming import class_name
from netspec.lowering.python.source import Assign, Attribute, Expression, LiteralValue, Name, Subscript, call
from netspec.lowering.support import read_support
from netspec.lowering.writer import PartsWriter
from netspec.ops.initializers import Initializer
from netspec.types import BATCH
from netspec_torch.blocks import LOCALS, BlockClasses
from netspec_torch.drafts import ModuleDraft, draft_parts
from netspec_torch.initial import initial
from netspec_torch.layout import takes_channels_last
from netspec_torch.reserved import MODULE_ATTRIBUTES

PACKAGE: Final = "netspec_torch"
IMPORTS: Final = {
    "torch": "import torch",
    "F": "import torch.nn.functional as F",
    "Tensor": "from torch import Tensor",
    "nn": "from torch import nn",
}


class ModuleWriter(PartsWriter[ModuleDraft]):
    """The `out` argument of the torch lowerings: declares layers, binds weights and assigns values.

    Attributes:
        inference: whether the module is only used for inference, without gradients.
    """

    def __init__(self, graph: Graph, *, inference: bool) -> None:
        root = split(graph)
        super().__init__(graph, root, draft_parts(graph, root, MODULE_ATTRIBUTES))
        self.inference = inference
        self._of_one_sample = broadcastable_nodes(graph, lambda node: self._homes[node.name].part.path)

    def declare(
        self, node: Node, layer: str, *args: Expression | LiteralValue, **kwargs: Expression | LiteralValue
    ) -> Name:
        """Add `self.NODE = layer(...)` to `__init__`, and return the name `self.NODE`."""
        return self._homes[node.name].declare(node, call(layer, *args, **kwargs))

    def bind(self, node: Node, **paths: str) -> None:
        """Bind each weight of a node to an attribute of its layer; `paths` may name weights that it does not have."""
        layer = self._homes[node.name].path_of(node)
        for weight, description in node.weights.items():
            self._bindings.append(Binding.of(f"{node.name}.{weight}", f"{layer}.{paths[weight]}", description.shape))

    def parameter(self, node: Node, shape: tuple[int, ...]) -> Name:
        """Add `self.NODE = nn.Parameter(...)`, with this shape, for a node whose only weight needs no layer.

        It is an `nn.Buffer` if it is not trained.
        """
        ((weight, description),) = node.weights.items()
        begins = initial(description.initializer, shape, varies=not self.all_equal(node, _initializers))
        variable = self.declare(node, "nn.Parameter" if description.trainable else "nn.Buffer", begins)
        path = self._homes[node.name].path_of(node)
        binding = Binding.of(f"{node.name}.{weight}", path, description.shape, native_shape=shape)
        self._bindings.append(binding)
        return variable

    def batch(self, node: Node) -> Expression:
        """The expression of the batch size, `x.shape[0]`, at a node."""
        return Subscript(Attribute(self.first_input(node), "shape"), (0,))

    def broadcasts(self, node: Node) -> bool:
        """Whether a learned tensor, or a value computed from some, stays one sample: all readers broadcast it."""
        return node.name in self._of_one_sample

    def alias(self, node: Node, value: Name) -> None:
        """Use an existing name as the output of a node, without a statement."""
        self._homes[node.name].variables[node.name] = value.path

    def step(self, node: Node, value: Expression, comment: str = "") -> Name:
        """Assign an intermediate value of a node to the variable of its output, and return the variable."""
        home = self._homes[node.name]
        variable = home.variable(node.name)
        home.run(node, Assign(variable.path, value, comment))
        return variable

    def assign(self, node: Node, value: Expression) -> Name:
        """Assign the output of a node, with its shape in a comment if that changes, and return the variable."""
        comment = str(node.type) if node.type not in node.input_types else ""
        return self.step(node, value, comment.replace(BATCH, "1", 1) if self.broadcasts(node) else comment)

    def support(self, module: str) -> None:
        """Copy `netspec_torch/support/MODULE.py` into the emitted source."""
        self._support[module] = None

    def artifact(self) -> Artifact:
        """Render the emitted source."""
        support = [read_support(PACKAGE, module) for module in self._support]
        used = (*LOCALS, *(symbol for s in support for symbol in s.names))
        entry = class_name(self._graph.name, used)
        blocks = BlockClasses(self._drafts, used, entry)
        classes = (*blocks.define(self._root), self._class(entry, blocks))
        source = self._source(support, classes, IMPORTS, "torch")
        return Artifact("torch", self._graph, source, entry, tuple(self._bindings))

    def _class(self, entry: str, blocks: BlockClasses) -> Class:
        """The class of the whole network."""
        graph = self._graph
        received = ", ".join(str(i.type) for i in graph.inputs)
        returned = ", ".join(str(graph.type_of(output)) for output in graph.main)
        count = sum(w.size for w in graph.weights.values())
        weights = f"; {count:,} weights" if count else ""
        hinted = [value.name for value in graph.inputs if Hint.CHANNELS_LAST in value.hints]
        channels_last = hinted if takes_channels_last(graph) else []
        if graph.heads:
            returned += f", and {_heads(len(graph.heads))} in training"
        return blocks.of_network(self._root, entry, f"{received} to {returned}{weights}.", channels_last, graph)


def _heads(count: int) -> str:
    return "one auxiliary output" if count == 1 else f"{count} auxiliary outputs"


def _initializers(node: Node) -> tuple[Initializer, ...]:
    """How the weights of a node begin."""
    return tuple(weight.initializer for weight in node.weights.values())
