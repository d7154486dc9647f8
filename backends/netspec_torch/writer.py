"""Collects what the lowerings say about a graph and renders it as one `nn.Module`, and one for each block."""

from __future__ import annotations

from netspec.graph import Graph, Hint, Node
from netspec.lowering.artifact import Artifact, Binding
from netspec.lowering.blocks.parts import split
from netspec.lowering.broadcast import of_one_sample
from netspec.lowering.python.naming import class_name
from netspec.lowering.python.render import render
from netspec.lowering.python.source import (
    Assign,
    Attribute,
    Class,
    Definition,
    Expression,
    LiteralValue,
    Module,
    Name,
    Subscript,
    call,
)
from netspec.lowering.support import import_groups, read_support, used_imports
from netspec.lowering.writer import PartsWriter
from netspec_torch.blocks import LOCALS, BlockClasses
from netspec_torch.drafts import ModuleDraft, draft_parts
from netspec_torch.initial import initial
from netspec_torch.layout import takes_channels_last
from netspec_torch.reserved import MODULE_ATTRIBUTES

IMPORTS = {
    "torch": "import torch",
    "F": "import torch.nn.functional as F",
    "Tensor": "from torch import Tensor",
    "nn": "from torch import nn",
}


class ModuleWriter(PartsWriter[ModuleDraft]):
    """The `out` of the torch lowerings: declares layers, binds weights, assigns values.

    Attributes:
        inference: whether no gradient will be asked for.
    """

    def __init__(self, graph: Graph, *, inference: bool) -> None:
        root = split(graph)
        super().__init__(graph, root, draft_parts(graph, root, MODULE_ATTRIBUTES))
        self.inference = inference
        self._of_one_sample = of_one_sample(graph)
        self._bindings: list[Binding] = []
        self._support: dict[str, None] = {}

    def declare(
        self, node: Node, layer: str, *args: Expression | LiteralValue, **kwargs: Expression | LiteralValue
    ) -> Name:
        """`self.NODE = layer(...)` in `__init__`; returns `self.NODE`."""
        return self._homes[node.name].declare(node, call(layer, *args, **kwargs))

    def bind(self, node: Node, **paths: str) -> None:
        """Say where the layer declared for a node keeps each of its weights; those it does not have are left out."""
        own = self._homes[node.name].path_of(node)
        for weight, description in node.weights.items():
            self._bindings.append(Binding.of(f"{node.name}.{weight}", f"{own}.{paths[weight]}", description.shape))

    def parameter(self, node: Node, weight: str, shape: tuple[int, ...]) -> Name:
        """`self.NODE = nn.Parameter(...)`: the node's one weight in this shape, where no layer is needed around it."""
        description = node.weights[weight]
        variable = self.declare(node, "nn.Parameter", initial(description.initializer, shape))
        path = self._homes[node.name].path_of(node)
        binding = Binding.of(f"{node.name}.{weight}", path, description.shape, native_shape=shape)
        self._bindings.append(binding)
        return variable

    def batch(self, node: Node) -> Expression:
        """How many samples there are where a node stands."""
        return Subscript(Attribute(self.first_input(node), "shape"), (0,))

    def broadcasts(self, node: Node) -> bool:
        """Whether a learned value, and what is made of it, is read where it is made, and only by what broadcasts it."""
        return node.name in self._of_one_sample and self._stays(node, self._homes[node.name])

    def _stays(self, node: Node, home: ModuleDraft) -> bool:
        """Whether a value of one sample is nowhere given to another part."""
        values = [node]
        while values:
            for reader in self._graph.readers[values.pop().name]:
                if self._homes[reader.name] is not home:
                    return False
                if reader.name in self._of_one_sample:
                    values.append(reader)
        return True

    def stand_for(self, node: Node, value: Name) -> None:
        """The output of a node is what a name already holds: no statement computes it."""
        self._homes[node.name].variables[node.name] = value.path

    def step(self, node: Node, value: Expression, comment: str = "") -> Name:
        """An intermediate value of a node, held in the variable that will hold its output."""
        home = self._homes[node.name]
        variable = home.variable(node.name)
        home.run(node, Assign(variable.path, value, comment))
        return variable

    def assign(self, node: Node, value: Expression) -> Name:
        """The output of a node, with its shape in a comment where it is a new one; the variable that holds it."""
        return self.step(node, value, str(node.type) if node.type not in node.input_types else "")

    def support(self, module: str) -> None:
        """Copy the layers of `netspec_torch/support/MODULE.py` into the file."""
        self._support[module] = None

    def artifact(self) -> Artifact:
        """What was collected, rendered."""
        support = [read_support("netspec_torch", module) for module in self._support]
        defined = [symbol for s in support for symbol in s.names]
        entry = class_name(self._graph.name, taken=(*LOCALS, *defined))
        classes = BlockClasses(self._drafts, (*LOCALS, *defined, entry))
        blocks = classes.define(self._root)
        own = (*blocks, self._class(entry, classes))
        body: tuple[Definition, ...] = (*(s.definitions for s in support), *own)
        imports = [line for s in support for line in s.imports] + used_imports(IMPORTS, own)
        title = self._graph.name + (f": {self._graph.source}" if self._graph.source else "")
        docstring = (title, "Emitted by netspec from a layer spec; needs torch alone.")
        source = render(Module("\n\n".join(docstring), import_groups(imports), body))
        return Artifact("torch", self._graph, source, entry, tuple(self._bindings))

    def _class(self, entry: str, classes: BlockClasses) -> Class:
        graph = self._graph
        received = ", ".join(str(i.type) for i in graph.inputs)
        returned = ", ".join(str(graph.type_of(output)) for output in graph.main)
        count = sum(w.size for w in graph.weights.values())
        weights = f"; {count:,} weights" if count else ""
        safe = takes_channels_last(graph)
        laid_out = [value.name for value in graph.inputs if Hint.CHANNELS_LAST in value.hints and safe]
        if graph.heads:
            returned += f", and {_heads(len(graph.heads))} in training"
        return classes.of_network(self._root, entry, f"{received} to {returned}{weights}.", laid_out, graph)


def _heads(count: int) -> str:
    return "one auxiliary output" if count == 1 else f"{count} auxiliary outputs"
