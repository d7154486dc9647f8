"""ModelSpec → Graph: orders layers, expands blocks, infers shapes and bounds sizes. No array is allocated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from netspec.errors import ShapeError
from netspec.graph import Graph, Head, Input, Node, make_node
from netspec.ops import Op, WeightedOp
from netspec.spec.expand import Expansion
from netspec.spec.heads import check_pixels, check_shapes
from netspec.spec.layers.hints import hidden_size_hint
from netspec.spec.layers.order import cycle_from, topological_order
from netspec.spec.model import MAX_AXES, MAX_ELEMENTS, Checked, LayerSpec, ModelSpec, UseSpec, layer_of
from netspec.spec.text.document import (
    Entry,
    Position,
    Problems,
    Uses,
    quote,
    scalars_in,
)
from netspec.spec.text.hints import suggest
from netspec.spec.weight_patterns import check_overrides
from netspec.types import TensorType

MAX_WEIGHTS = 2**34  # elements of all weights of a network
_FLOAT32 = 4  # bytes
_COLORS = (1, 3, 4)  # numbers of channels of an image
MAX_SHOWN = 10  # layers of a cycle


def elaborate(spec: ModelSpec) -> Graph:
    """The graph of a spec.

    Raises:
        SpecError: layers read one another in a cycle, an op cannot take the shapes that arrive, or a tensor is
            too large.
    """
    problems = Problems()
    graph = elaborate_checked(Checked(spec, frozenset()), problems)
    problems.raise_any()
    return graph


def elaborate_checked(checked: Checked, problems: Problems) -> Graph:
    """The graph of the layers without problems. Layers that depend on a failed one are left out, and not reported."""
    spec = checked.spec
    elaboration = Elaboration(spec, problems)
    # A failed layer may have the name of an input: readers of that name are left out, too.
    inputs = {value.name: value for value in spec.inputs if value.name not in checked.failed}
    values = elaboration.make(spec.layers, inputs, "")
    outputs = tuple(dict.fromkeys(values[name].name if name in values else name for name in spec.outputs))
    heads = tuple(Head(name, values[name].name if name in values else name) for name in spec.auxiliary)
    graph = Graph(
        spec.name,
        spec.inputs,
        tuple(elaboration.nodes),
        (*outputs, *(head.value for head in heads)),
        spec.source,
        scopes=tuple(elaboration.expansion.scopes),
        heads=heads,
    )
    if not graph.nodes and not problems:
        problems.add(spec.layers_at, "no layer is left: each is dropped, and there is nothing to compute")
    layers = {layer.name: layer for layer in spec.layers}
    check_shapes(graph, layers, problems)
    check_pixels(spec.training, graph, layers, problems)
    graph = _with_heads_last(graph) if heads else graph
    if not problems:
        check_overrides(spec.overrides_at, graph, problems)
    if not problems:
        _check_placement(spec, graph, elaboration, problems)
    return graph


def _with_heads_last(graph: Graph) -> Graph:
    """The graph with the nodes that only auxiliary outputs need, and inference does not, after all others."""
    return replace(graph, nodes=tuple(sorted(graph.nodes, key=lambda node: node.name in graph.training_only)))


def _check_placement(spec: ModelSpec, graph: Graph, elaboration: Elaboration, problems: Problems) -> None:
    """Report a network that cannot be placed: at the `groups` of the layer to blame, or at the placement."""
    if spec.placement is None:
        return
    from netspec.graph.placement import UnplaceableError, place  # noqa: PLC0415 # few specs have one

    try:
        place(graph, spec.placement.towers)
    except UnplaceableError as error:
        layer, uses = elaboration.stated.get(error.layer, (None, ()))
        at = _stated(layer, "groups").stated_at if layer else spec.placed_at
        problems.add(at, error.message, error.hint, uses)


class Elaboration:
    """Makes the nodes of layers, in topological order. Layers of a block become nodes where it is used.

    Attributes:
        nodes: nodes in order.
        stated: by node name, the layer, and the instances of blocks that it stands in.
        expansion: expands blocks.
    """

    def __init__(self, spec: ModelSpec, problems: Problems) -> None:
        self._problems = problems
        self._weights = _WeightBudget(problems)
        self.nodes: list[Node] = []
        self.stated: dict[str, tuple[LayerSpec, Uses]] = {}
        self.expansion = Expansion(spec, self, problems)

    def make(
        self, layers: Sequence[LayerSpec | UseSpec], inputs: Mapping[str, Input | Node], prefix: str
    ) -> dict[str, Input | Node]:
        """Make the nodes of layers.

        Args:
            layers: layers of the network, or of an instance of a block.
            inputs: values of its inputs.
            prefix: prefix of node names, `stage.0.` for an instance of a block.

        Returns:
            The values that the layers and inputs give, by their names in the network or block: `conv1`, `stem.skip`.
        """
        by_name = {layer.name: layer for layer in layers}
        order = topological_order({name: [layer_of(read) for read in layer.inputs] for name, layer in by_name.items()})
        for cycle in order.cycles:
            _report_cycle([by_name[name] for name in cycle], self._problems)
        values: dict[str, Input | Node] = dict(inputs)
        for name in order.names:
            layer = by_name[name]
            arriving = [values[read] for read in layer.inputs if read in values]
            if len(arriving) != len(layer.inputs):
                continue
            path = prefix + name
            if isinstance(layer, UseSpec):
                values |= self.expansion.use(layer, arriving, path)
                continue
            node = self._node(layer, path, arriving)
            if node is not None and _within_size(layer, node, self._problems) and self._weights.admit(layer, node):
                values[name] = node
                self.nodes.append(node)
                self.stated[path] = (layer, self._problems.uses)
        return values

    def _node(self, layer: LayerSpec, path: str, arriving: Sequence[Input | Node]) -> Node | None:
        try:
            op = _without_absent_initializers(layer, [value.type for value in arriving])
            return make_node(path, op, arriving)
        except ShapeError as error:
            stated = _stated(layer, error.attribute)
            hidden = "" if stated.at is layer.at else hidden_size_hint(stated.value, self.expansion.parameters)
            context = _context(layer, path, arriving, stated.stated_at, error.message)
            hint = "; ".join(filter(None, (_input_hint(arriving) or error.hint, hidden)))
            self._problems.add(stated.stated_at, f"{error.message} ({context})", hint)
            return None


def _report_cycle(cycle: Sequence[LayerSpec | UseSpec], problems: Problems) -> None:
    """Report a cycle at its first layer in the file, or in the most derived file that has one of its layers."""
    first = min(cycle, key=lambda layer: layer.at.rank)
    names = cycle_from([layer.name for layer in cycle], first.name)
    if len(names) > MAX_SHOWN:
        names = [*names[: MAX_SHOWN - 2], "…", names[-1]]
    problems.add(first.at, f"{quote(names[0])} needs its own output: {' reads '.join(names)}", "a network has no loops")


def _input_hint(arriving: Sequence[Input | Node]) -> str:
    """A hint that an input is stated as in other libraries, with the batch or channels last; empty if it is not."""
    for value in arriving:
        axes = value.type.features
        if isinstance(value, Input) and len(axes) == 4 and axes[0] == 1:
            return f"the batch is left out of an input's shape: [{', '.join(map(str, axes[1:]))}]"
        if isinstance(value, Input) and len(axes) == 3 and axes[2] in _COLORS and axes[0] == axes[1] > max(_COLORS):
            return f"an input's shape is [C, H, W]: [{axes[2]}, {axes[0]}, {axes[1]}]"
    return ""


def _context(layer: LayerSpec, path: str, arriving: Sequence[Input | Node], at: Position, message: str) -> str:
    """The shapes that arrive, and from where. The layer is named if the problem is reported outside of it."""
    in_layer = f"{at.path}.".startswith(f"{layer.at.path}.")
    if arriving and all(str(value.type) in message for value in arriving):
        names = " and ".join(dict.fromkeys(value.name for value in arriving))
        return f"from {names}" if in_layer else f"{path} reads {names}"
    received = ", ".join(f"{value.type} from {value.name}" for value in arriving)
    return f"receives {received}" if in_layer else f"{path} receives {received}"


def _without_absent_initializers(layer: LayerSpec, types: Sequence[TensorType]) -> Op:
    """The op without the initializers from `defaults` for weights that this layer does not have.

    A default initializer of `bias` is ignored by a layer with `bias: false`.

    Raises:
        ShapeError: no layer of the op has a weight of that name.
    """
    op = layer.op
    if not layer.default_initializers or not isinstance(op, WeightedOp) or not _takes(op, len(types)):
        return op
    weights = op.resolve(*types).weights(*types)
    absent = layer.default_initializers - set(weights)
    if not absent:
        return op
    switches = {name: True for name, value in op if isinstance(value, bool)}
    possible = op.model_copy(update=switches).resolve(*types).weights(*types)
    for name in sorted(absent - set(possible)):
        raise ShapeError(
            f"{op.kind} has no weight {quote(name)} to initialize",
            suggest(name, possible, "it has"),
            f"initialize.{name}",
        )
    kept = {name: value for name, value in op.initialize.items() if name not in absent}
    return op.model_copy(update={"initialize": kept})


def _takes(op: Op, count: int) -> bool:
    """Whether an op takes this number of inputs."""
    least, most = op.inputs
    return count >= least and (most is None or count <= most)


def _stated(layer: LayerSpec, attribute: str) -> Entry:
    """The entry of an attribute, or of the layer if the spec does not state the attribute."""
    return Entry(layer.at, layer.attributes).within(*filter(None, attribute.split(".")))


def _within_size(layer: LayerSpec, node: Node, problems: Problems) -> bool:
    """Whether a node's output, padded input and weights have few enough axes and elements; if not, it is reported."""
    if node.type.rank > MAX_AXES:
        message = f"its output {node.type} would have {node.type.rank} axes"
        problems.add(layer.at, message, f"at most {MAX_AXES} axes are taken, the batch among them")
        return False
    tensors = {"its output": (str(node.type), node.type.size)}
    if shape := node.op.padded(*node.input_types):
        padded = TensorType.of(*shape)
        tensors["its input, padded,"] = (str(padded), padded.size)
    for name, weight in node.weights.items():
        tensors[f"its {name}"] = (f"({', '.join(map(str, weight.shape))})", weight.size)
    for tensor, (text, size) in tensors.items():
        if size > MAX_ELEMENTS:
            sample = "" if tensor.removeprefix("its ") in node.weights else " a sample"
            message = f"{tensor} {text} would have {size:,} elements{sample}, {_gib(size)} in float32"
            received = ", ".join(f"{t} from {n}" for t, n in zip(node.input_types, node.inputs, strict=True))
            context = f" (receives {received})" if received else ""
            hint = f"at most {MAX_ELEMENTS:,} elements are taken"
            problems.add(_largest_number(layer), f"{message}{context}", hint)
            return False
    return True


def _gib(elements: int) -> str:
    return f"{elements * _FLOAT32 / 2**30:,.1f} GiB" if elements < 2**80 else f"over {2**50:,} GiB"


def _largest_number(layer: LayerSpec) -> Position:
    """The position of a layer's largest integer, which is probably to blame if a tensor is too large."""
    largest, at = 0, layer.at
    for scalar in scalars_in(layer.attributes):
        if isinstance(scalar.value, int) and scalar.value > largest:
            largest, at = scalar.value, scalar.at
    return at


class _WeightBudget:
    """Bounds the number of elements of all weights together."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._total = 0

    def admit(self, layer: LayerSpec, node: Node) -> bool:
        """Count the weights of a node. Returns whether the limit still holds; the node that exceeds it is reported."""
        before = self._total
        self._total += sum(weight.size for weight in node.weights.values())
        if before <= MAX_WEIGHTS < self._total:
            size = f"{self._total:,} weights, {_gib(self._total)} in float32"
            message = f"with {quote(node.name)} the network has {size}"
            self._problems.add(_largest_number(layer), message, f"at most {MAX_WEIGHTS:,} are taken")
        return self._total <= MAX_WEIGHTS
