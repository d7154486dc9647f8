"""Collects what the lowerings say about a graph and renders it as one `nn.Module`."""

from __future__ import annotations

from netspec.graph import Graph, Hint, Input, Node
from netspec.lowering.artifact import Artifact, Binding
from netspec.lowering.naming import assign_variables, available, class_name
from netspec.lowering.render import render, render_definitions
from netspec.lowering.source import (
    Assign,
    Attribute,
    Call,
    Class,
    Definition,
    Do,
    Expression,
    Function,
    LiteralValue,
    Module,
    Name,
    Return,
    Statement,
    Subscript,
    TupleOf,
    call,
    name,
)
from netspec.lowering.support import import_groups, read_support, used_imports
from netspec.ops.initializers import Constant
from netspec_torch.reserved import MODULE_ATTRIBUTES

# What emitted source uses for itself; a value of such a name gets an underscore.
LOCALS = ("self", "torch", "nn", "F", "Tensor", "float")
IMPORTS = {
    "torch": "import torch",
    "F": "import torch.nn.functional as F",
    "Tensor": "from torch import Tensor",
    "nn": "from torch import nn",
}
INITIALIZE_BASE = Do(Call(Attribute(Call(Name("super")), "__init__")))


class ModuleWriter:
    """The `out` of the torch lowerings: declares layers, binds weights, assigns values.

    Attributes:
        inference: whether no gradient will be asked for.
    """

    def __init__(self, graph: Graph, *, inference: bool) -> None:
        self._graph, self.inference = graph, inference
        self._variables = assign_variables(graph, LOCALS)
        self._layers: dict[str, str] = {}
        self._declarations: list[Statement] = []
        self._forward: list[Statement] = []
        self._bindings: list[Binding] = []
        self._support: dict[str, None] = {}
        for value in graph.inputs:
            if Hint.CHANNELS_LAST in value.hints:
                self._forward.append(self._laid_out(value))

    def declare(
        self, node: Node, layer: str, *args: Expression | LiteralValue, **kwargs: Expression | LiteralValue
    ) -> Name:
        """`self.NODE = layer(...)` in `__init__`; returns `self.NODE`."""
        attribute = available(node.name, {*MODULE_ATTRIBUTES, *self._layers.values()})
        self._layers[node.name] = attribute
        self._declarations.append(Assign(f"self.{attribute}", call(layer, *args, **kwargs)))
        return name(f"self.{attribute}")

    def bind(self, node: Node, **paths: str) -> None:
        """Say where the layer declared for a node keeps each of its weights; those it does not have are left out."""
        for weight, description in node.weights.items():
            path = f"{self._layers[node.name]}.{paths[weight]}"
            self._bindings.append(Binding.of(f"{node.name}.{weight}", path, description.shape))

    def parameter(self, node: Node, weight: str, shape: tuple[int, ...]) -> Name:
        """`self.NODE = nn.Parameter(...)`: the node's one weight in this shape, where no layer is needed around it."""
        description = node.weights[weight]
        start = description.initializer
        value = start.constant if isinstance(start, Constant) else 0.0
        made = call("torch.full", shape, value) if value else call("torch.zeros", shape)
        variable = self.declare(node, "nn.Parameter", made)
        path = self._layers[node.name]
        binding = Binding.of(f"{node.name}.{weight}", path, description.shape, native_shape=shape)
        self._bindings.append(binding)
        return variable

    def inputs(self, node: Node) -> tuple[Name, ...]:
        """The variables that hold a node's inputs."""
        return tuple(name(self._variables[value]) for value in node.inputs)

    def batch(self) -> Expression:
        """How many samples there are: of the first input's variable, which at all times holds a value of the graph."""
        return Subscript(Attribute(name(self._variables[self._graph.inputs[0].name]), "shape"), (0,))

    def step(self, node: Node, value: Expression, comment: str = "") -> Name:
        """An intermediate value of a node, held in the variable that will hold its output."""
        variable = name(self._variables[node.name])
        if value != variable:  # identity along a chain is no statement at all
            self._forward.append(Assign(variable.path, value, comment))
        return variable

    def assign(self, node: Node, value: Expression) -> None:
        """The output of a node, with its shape in a comment where it is a new one."""
        self.step(node, value, str(node.type) if node.type not in node.input_types else "")

    def support(self, module: str) -> None:
        """Copy the layers of `netspec_torch/support/MODULE.py` into the file."""
        self._support[module] = None

    def artifact(self) -> Artifact:
        """What was collected, rendered."""
        support = [read_support("netspec_torch", module) for module in self._support]
        defined = [symbol for s in support for symbol in s.names]
        entry = class_name(self._graph.name, taken=(*LOCALS, *defined))
        own = self._class(entry)
        body: tuple[Definition, ...] = (*(s.definitions for s in support), own)
        imports = [line for s in support for line in s.imports] + used_imports(IMPORTS, render_definitions((own,)))
        title = self._graph.name + (f": {self._graph.source}" if self._graph.source else "")
        docstring = (title, "Emitted by netspec from a layer spec; needs torch alone.")
        source = render(Module("\n\n".join(docstring), import_groups(imports), body))
        return Artifact("torch", self._graph, source, entry, tuple(self._bindings))

    def _laid_out(self, value: Input) -> Statement:
        """An input with its channels next to one another in memory; convolutions and what follows them keep that."""
        variable = name(self._variables[value.name])
        made = call(Attribute(variable, "contiguous"), memory_format=name("torch.channels_last"))
        return Assign(variable.path, made)

    def _class(self, entry: str) -> Class:
        graph = self._graph
        received = ", ".join(str(i.type) for i in graph.inputs)
        returned = ", ".join(str(graph.type_of(output)) for output in graph.outputs)
        count = sum(w.size for w in graph.weights.values())
        results = tuple(name(self._variables[output]) for output in graph.outputs)
        one = len(results) == 1
        forward = Function(
            "forward",
            ("self", *(f"{self._variables[i.name]}: Tensor" for i in graph.inputs)),
            (*self._forward, Return(results[0] if one else TupleOf(results))),
            returns="Tensor" if one else _tuple_of_tensors(len(results)),
        )
        initialize = Function("__init__", ("self",), (INITIALIZE_BASE, *self._declarations), returns="None")
        methods = (initialize, forward) if self._declarations else (forward,)
        weights = f"; {count:,} weights" if count else ""
        return Class(entry, "nn.Module", f"{received} to {returned}{weights}.", methods)


def _tuple_of_tensors(count: int) -> str:
    """The type of several outputs: of each while they are few."""
    return f"tuple[{', '.join(['Tensor'] * count)}]" if count <= 4 else "tuple[Tensor, ...]"
