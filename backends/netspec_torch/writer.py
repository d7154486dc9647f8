"""Collects what the lowerings say about a graph and renders it as one `nn.Module`."""

from __future__ import annotations

from netspec.graph import Graph, Node
from netspec.lowering.artifact import Artifact, Binding
from netspec.lowering.naming import assign_variables, available, class_name, identifier
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
    TupleOf,
    call,
    name,
)
from netspec.lowering.support import import_groups, read_support, used_imports
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
    """The `out` of the torch lowerings: declares layers, binds weights, assigns values."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._variables = assign_variables(graph, LOCALS)
        self._layers: dict[str, str] = {}
        self._declarations: list[Statement] = []
        self._forward: list[Statement] = []
        self._bindings: list[Binding] = []
        self._support: dict[str, None] = {}

    def declare(self, node: Node, layer: str, *args: LiteralValue, **kwargs: LiteralValue) -> Name:
        """`self.NODE = layer(...)` in `__init__`; returns `self.NODE`."""
        attribute = available(identifier(node.name), {*MODULE_ATTRIBUTES, *self._layers.values()})
        self._layers[node.name] = attribute
        self._declarations.append(Assign(f"self.{attribute}", call(layer, *args, **kwargs)))
        return name(f"self.{attribute}")

    def bind(self, node: Node, **paths: str) -> None:
        """Say where the layer declared for a node keeps each of its weights; those it does not have are left out."""
        for weight, description in node.weights.items():
            path = f"{self._layers[node.name]}.{paths[weight]}"
            self._bindings.append(Binding.of(f"{node.name}.{weight}", path, description.shape))

    def inputs(self, node: Node) -> tuple[Name, ...]:
        """The variables that hold a node's inputs."""
        return tuple(name(self._variables[value]) for value in node.inputs)

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
        body: tuple[Definition, ...] = (*(s.definitions for s in support), self._class(entry))
        imports = [line for s in support for line in s.imports] + used_imports(IMPORTS, render_definitions(body))
        title = self._graph.name + (f": {self._graph.source}" if self._graph.source else "")
        docstring = (title, "Emitted by netspec from a layer spec; needs torch alone.")
        source = render(Module("\n\n".join(docstring), import_groups(imports), body))
        return Artifact("torch", self._graph, source, entry, tuple(self._bindings))

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
