"""The writer that collects the layers of all nodes and renders them as functions that build a functional model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from netspec.graph import Graph, Node
from netspec.lowering.artifact import Artifact, Binding
from netspec.lowering.blocks.drafts import PartDraft
from netspec.lowering.blocks.parts import split
from netspec.lowering.python.chains import follower
from netspec.lowering.python.definitions import Function
from netspec.lowering.python.naming import available, module_name
from netspec.lowering.python.source import Call, Expression, ListOf, Literal, Name, call
from netspec.lowering.python.statements import Assign, Do, For, If, Return, Statement
from netspec.lowering.support import read_support, support_modules
from netspec.lowering.writer import PartsWriter
from netspec.types import TensorType
from netspec_keras.blocks import BlockFunctions, layer_name
from netspec_keras.layout import TO_CHANNELS_FIRST, flattened_channels_last, native_features, native_name, native_type
from netspec_keras.rearrangement import Rearrangement, Row, Step, form_of, is_rearranging

PACKAGE: Final = "netspec_keras"
PAD: Final = "pad"  # the role of a padding layer
SUPPORT: Final = support_modules(PACKAGE)  # by layer that Keras lacks; used modules are copied into emitted source
# Keras traverses a model from its outputs by recursion, with a call for each operation in a chain. A deeper model needs
# a higher recursion limit than Python's 1000, of which the rest is left to the caller.
DEEPEST: Final = 700
IMPORTS: Final = {
    "sys": "import sys",
    "keras": "import keras",
    "layers": "from keras import layers",
    "ops": "from keras import ops",
}
# Names that emitted source uses itself; a variable with one of these names gets an underscore.
RESERVED: Final = (*IMPORTS, *SUPPORT)


class ModelWriter(PartsWriter[PartDraft]):
    """The `out` argument of the Keras lowerings: applies layers, binds weights and assigns values."""

    def __init__(self, graph: Graph) -> None:
        root = split(graph)
        super().__init__(graph, root, {part.path: PartDraft(part, graph) for part in root.walk()})
        self._entry = f"build_{module_name(graph.name)}"
        self._layers = set(graph.values)
        self._channels_last = flattened_channels_last(graph)
        self._alike: dict[tuple[Row | None, tuple[str, str], tuple[object, ...]], Row] = {}  # of `_continued`
        self._rows: dict[str, tuple[list[Node], Row]] = {}  # of `row_to`, by the node that comes next or is the last
        self._operations: Counter[str] = Counter()

    def apply(
        self,
        node: Node,
        layer: Call,
        *inputs: Expression,
        role: str = "",
        features: tuple[int, ...] = (),
    ) -> Name:
        """Assign `layer(..., name="NODE")(x)` to the variable of a node, with its shape in a comment if that changes.

        Args:
            node: the node whose output, or intermediate value, the layer computes.
            layer: the layer, without a name.
            inputs: the inputs of the layer; several become a list.
            role: for a layer other than the node's own, which is named `NODE_role`. `PAD` is for padding before it.
            features: the native shape without the batch, if it is not that of the node's output.

        Returns:
            The variable that holds the result.
        """
        if isinstance(layer.function, Name) and layer.function.path in SUPPORT:
            self._support[SUPPORT[layer.function.path]] = None
        path = self._layer_name(f"{node.name}_{role}") if role else node.name
        home = self._homes[node.name]
        named = Call(layer.function, layer.args, (*layer.kwargs, ("name", layer_name(home.part, path))))
        applied = Call(named, inputs if len(inputs) == 1 else (ListOf(inputs),))
        variable = home.padded(node.name) if role == PAD else home.variable(node.name)
        return self._assign(node, applied, features, variable)

    def assign(self, node: Node, value: Expression, features: tuple[int, ...] = ()) -> Name:
        """Assign an expression of `keras.ops` to the variable of a node; see `apply`."""
        return self._assign(node, value, features, self._homes[node.name].variable(node.name))

    def _assign(self, node: Node, value: Expression, features: tuple[int, ...], variable: Name) -> Name:
        self._operations[node.name] += 1
        comment = str(TensorType.of(*features)) if features else self._new_shape(node)
        home = self._homes[node.name]
        if value != variable:
            home.run(node, Assign(variable.path, value, comment))
        return variable

    def bind(
        self,
        node: Node,
        weight: str,
        variable: str,
        axes: tuple[int, ...] | None = None,
        view: tuple[int, ...] | None = None,
        native_shape: tuple[int, ...] | None = None,
    ) -> None:
        """Bind a weight of a node, if it has it, to a variable of its layer; see `Binding` for the layout."""
        if weight in node.weights:
            shape, path = node.weights[weight].shape, f"{native_name(node.name)}/{variable}"
            self._bindings.append(Binding.of(f"{node.name}.{weight}", path, shape, axes, view, native_shape))

    def channels_last_of(self, value: str) -> TensorType | None:
        """The type of the map that a value holds flattened in the order H, W, C; None for canonical order."""
        return self._channels_last.get(value)

    def is_channels_last(self, value: str) -> bool:
        """Whether a value holds a map flattened in the order H, W, C."""
        return value in self._channels_last

    def row_to(self, node: Node) -> tuple[Node, ...]:
        """The reshapes and permutations that are written together, up to this node; empty if the next includes it.

        Nodes are asked for in their order: each continues the row of the one before, or begins one.
        """
        home = self._homes[node.name]
        nodes, row = self._rows.pop(node.name, ([], None))
        nodes.append(node)
        row = row or self._continued(None, node)
        after = follower(self._graph, home.part, node, is_rearranging)
        if after is not None and self.is_read_alike(node):
            longer = self._continued(row, after)
            if longer.value is not None:
                self._rows[after.name] = nodes, longer
                home.alias(node.name, node.inputs[0])
                return ()
        self._rows[node.name] = nodes, row
        home.write_in(node, nodes)
        return tuple(nodes)

    def steps_to(self, node: Node) -> list[Step] | None:
        """The layers for the row that `row_to` gave for a node; None if each node needs its own."""
        _, row = self._rows[node.name]
        path = self._homes[node.name].part.path
        return None if row.value is None else row.value.steps(row.instances[path])

    def _continued(self, row: Row | None, node: Node) -> Row:
        """A row up to its next node, in all instances that go on alike; the row that begins with a node, if None."""
        form = form_of(node)
        key = (row, self.place_of(node), form)
        if key not in self._alike:
            nodes = {self._homes[each.name].part.path: each for each in self.counterparts(node)}
            alike = {path: each for path, each in nodes.items() if form_of(each) == form}
            if row is not None:
                alike = {path: each for path, each in alike.items() if path in row.instances}
            position = {path: index for index, path in enumerate(alike)}
            known, value = (row.instances, row.value) if row else (position, Rearrangement.of_inputs(alike.values()))
            after = value and value.continued([*alike.values()], [known[path] for path in alike])
            self._alike[key] = Row(after, position)
        return self._alike[key]

    def artifact(self) -> Artifact:
        """Render the emitted source."""
        graph = self._graph
        reserved = (*RESERVED, self._entry)
        support = [read_support(PACKAGE, module) for module in self._support]
        blocks = BlockFunctions(graph, self._drafts, reserved, [name for s in support for name in s.names])
        functions = blocks.define(self._root)
        function = self._function(*blocks.body(self._root))
        source = self._source(support, (*functions, function), IMPORTS, "keras")
        order = {weight: position for position, weight in enumerate(graph.weights)}
        bindings = tuple(sorted(self._bindings, key=lambda b: order[b.weight]))
        return Artifact("keras", graph, source, self._entry, bindings)

    def _function(self, body: Sequence[Statement | For | If], variables: Mapping[str, str]) -> Function:
        """The function that builds the whole network."""
        graph = self._graph
        declared = [
            Assign(variables[i.name], call("keras.Input", native_features(i.type), name=native_name(i.name)))
            for i in graph.inputs
        ]
        received = _shapes([i.type for i in graph.inputs], "inputs")
        returned = _shapes([graph.type_of(output) for output in graph.main], "outputs")
        if graph.heads:
            returned += f", and {len(graph.heads)} auxiliary for training"
        count = sum(w.size for w in graph.weights.values())
        inputs = [Name(variables[i.name]) for i in graph.inputs]
        restored: list[Statement] = []
        outputs = [self._canonical(output, variables, restored) for output in graph.outputs]
        docstring = f"{received} to {returned}; {count:,} weights."
        preamble: list[Statement] = []
        if (depth := self._depth()) > DEEPEST:
            docstring += "\n\nKeras follows layers by recursion: `load_model` needs this limit as well."
            limit = call("max", call("sys.getrecursionlimit"), depth + 1000)
            preamble.append(Do(call("sys.setrecursionlimit", limit)))
        model = call("keras.Model", _one_or_list(inputs), _one_or_list(outputs), name=module_name(graph.name))
        return Function(
            self._entry,
            (),
            (*preamble, *declared, *body, *restored, Return(model)),
            returns="keras.Model",
            docstring=docstring,
        )

    def _depth(self) -> int:
        """The number of operations in the longest chain."""
        depths = dict.fromkeys((value.name for value in self._graph.inputs), 0)
        for node in self._graph.nodes:
            depths[node.name] = max((depths[name] for name in node.inputs), default=0) + self._operations[node.name]
        return max(depths.values())

    def _canonical(self, output: str, variables: Mapping[str, str], restored: list[Statement]) -> Name:
        """The variable of an output; for a map flattened in H, W, C, adds statements that restore C, H, W."""
        variable = variables[output]
        flattened = self.channels_last_of(output)
        if flattened is None:
            return Name(variable)
        canonical = available(f"{variable}_channels_first", {*variables.values(), *RESERVED})
        for role, layer in (
            ("map", call("layers.Reshape", native_features(flattened))),
            ("map_channels_first", call("layers.Permute", TO_CHANNELS_FIRST)),
            ("channels_first", call("layers.Flatten")),
        ):
            named = Call(
                layer.function, layer.args, (("name", Literal(native_name(self._layer_name(f"{output}_{role}")))),)
            )
            restored.append(Assign(canonical, Call(named, (Name(variable),))))
            variable = canonical
        return Name(canonical)

    def _layer_name(self, wanted: str) -> str:
        """The wanted name, with underscores if a layer already has it."""
        while wanted in self._layers:
            wanted += "_"
        self._layers.add(wanted)
        return wanted

    def _new_shape(self, node: Node) -> str:
        native = native_type(node.type)
        return "" if native in map(native_type, node.input_types) else str(native)


def _shapes(types: Sequence[TensorType], what: str) -> str:
    """The native shapes for a docstring, or only their number if there are more than two."""
    return ", ".join(str(native_type(t)) for t in types) if len(types) <= 2 else f"{len(types)} {what}"


def _one_or_list(values: Sequence[Name]) -> Expression:
    return values[0] if len(values) == 1 else ListOf(tuple(values))
