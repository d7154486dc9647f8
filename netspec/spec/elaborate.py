"""ModelSpec → Graph: layers in order, shapes inferred, sizes bounded. No array is made here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from netspec.errors import ShapeError
from netspec.graph import Graph, Head, Input, Node, make_node
from netspec.ops import Op, WeightedOp
from netspec.spec.expand import Expansion
from netspec.spec.heads import check_pixels, check_shapes
from netspec.spec.layers.connect import Connected
from netspec.spec.layers.hints import hint_of_hidden
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

MAX_WEIGHTS = 2**34
_FLOAT32 = 4
_COLORS = (1, 3, 4)  # channels that an image has
MAX_SHOWN = 10  # layers of a cycle


def elaborate(spec: ModelSpec) -> Graph:
    """The graph that a spec describes.

    Raises:
        SpecError: layers read one another in a cycle, an op cannot take the shapes that arrive, or a
            tensor is larger than any machine holds.
    """
    problems = Problems()
    graph = elaborate_checked(Checked(spec, frozenset()), problems)
    problems.raise_any()
    return graph


def elaborate_checked(checked: Checked, problems: Problems) -> Graph:
    """The graph of all that is whole; what a failed layer feeds is left out and not reported."""
    spec = checked.spec
    elaboration = Elaboration(spec, problems)
    inputs = {value.name: value for value in spec.inputs if value.name not in checked.failed}
    connected = Connected(spec.layers, checked.failed, spec.outputs)
    values = elaboration.make(connected, inputs, "")
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
    """The graph with the nodes that auxiliary outputs alone depend on after all others: what inference does without."""
    return replace(graph, nodes=tuple(sorted(graph.nodes, key=lambda node: node.name in graph.for_heads)))


def _check_placement(spec: ModelSpec, graph: Graph, elaboration: Elaboration, problems: Problems) -> None:
    """At the groups that cannot be shared out, or at the placement where no layer can be divided."""
    if spec.placement is None:
        return
    from netspec.graph.placement import UnplaceableError, place  # noqa: PLC0415 # few specs have one

    try:
        place(graph, spec.placement.towers)
    except UnplaceableError as error:
        layer, uses = elaboration.stated.get(error.layer, (None, ()))
        problems.add(_blame(layer, "groups") if layer else spec.placed_at, error.message, error.hint, uses)


class Elaboration:
    """Makes nodes of layers, in order, those of blocks where they are used."""

    def __init__(self, spec: ModelSpec, problems: Problems) -> None:
        self._problems = problems
        self._weights = _WeightBudget(problems)
        self.nodes: list[Node] = []
        self.stated: dict[str, tuple[LayerSpec, Uses]] = {}  # by a node's name, the layer, and the uses it stands in
        self.expansion = Expansion(spec, self, problems)

    def make(self, connected: Connected, inputs: Mapping[str, Input | Node], prefix: str) -> dict[str, Input | Node]:
        """The values that layers give, by the names that they have where they stand: `conv1`, `stem.skip`."""
        layers = {layer.name: layer for layer in connected.layers}
        order = topological_order({name: [layer_of(read) for read in layer.inputs] for name, layer in layers.items()})
        for cycle in order.cycles:
            _report_cycle([layers[name] for name in cycle], self._problems)
        values: dict[str, Input | Node] = dict(inputs)
        for name in order.names:
            layer = layers[name]
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
            op = _with_own_initializers(layer, [value.type for value in arriving])
            return make_node(path, op, arriving)
        except ShapeError as error:
            stated = _stated(layer, error.attribute)
            hidden = "" if stated.at is layer.at else hint_of_hidden(stated.value, self.expansion.parameters)
            context = _context(layer, path, arriving, stated.stated_at, error.message)
            hint = "; ".join(filter(None, (_hint_of_input(arriving) or error.hint, hidden)))
            self._problems.add(stated.stated_at, f"{error.message} ({context})", hint)
            return None


def _report_cycle(cycle: Sequence[LayerSpec | UseSpec], problems: Problems) -> None:
    """At the first layer of the cycle in the file, from there around."""
    first = min(cycle, key=lambda layer: (layer.at.line, layer.at.column))
    names = cycle_from([layer.name for layer in cycle], first.name)
    if len(names) > MAX_SHOWN:
        names = [*names[: MAX_SHOWN - 2], "…", names[-1]]
    problems.add(first.at, f"{quote(names[0])} needs its own output: {' reads '.join(names)}", "a network has no loops")


def _hint_of_input(arriving: Sequence[Input | Node]) -> str:
    """That a layer fails because an input is stated as other libraries have it: with a batch, or channels last."""
    for value in arriving:
        axes = value.type.features
        if isinstance(value, Input) and len(axes) == 4 and axes[0] == 1:
            return f"the batch is left out of an input's shape: [{', '.join(map(str, axes[1:]))}]"
        if isinstance(value, Input) and len(axes) == 3 and axes[2] in _COLORS and axes[0] == axes[1] > max(_COLORS):
            return f"an input's shape is [C, H, W]: [{axes[2]}, {axes[0]}, {axes[1]}]"
    return ""


def _context(layer: LayerSpec, path: str, arriving: Sequence[Input | Node], at: Position, message: str) -> str:
    """Which shapes arrive, and from where; which layer it is about, when the blame is outside of it."""
    own = f"{at.path}.".startswith(f"{layer.at.path}.")
    if arriving and all(str(value.type) in message for value in arriving):
        names = " and ".join(dict.fromkeys(value.name for value in arriving))
        return f"from {names}" if own else f"{path} reads {names}"
    received = ", ".join(f"{value.type} from {value.name}" for value in arriving)
    return f"{'' if own else f'{path} '}receives {received}"


def _with_own_initializers(layer: LayerSpec, types: Sequence[TensorType]) -> Op:
    """The op without the initializers that `defaults` gives for weights that this layer does not have.

    A default for `bias` says nothing about a layer with `bias: false`; one for a weight that no layer of the
    op could have is an error.
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
    least, most = op.inputs
    return count >= least and (most is None or count <= most)


def _blame(layer: LayerSpec, attribute: str) -> Position:
    """Where the attribute that is to blame stands; the layer's name if the spec does not say it."""
    return _stated(layer, attribute).stated_at


def _stated(layer: LayerSpec, attribute: str) -> Entry:
    """What the spec says of the attribute; the layer if it says nothing."""
    return Entry(layer.at, layer.attributes).within(*filter(None, attribute.split(".")))


def _within_size(layer: LayerSpec, node: Node, problems: Problems) -> bool:
    """Whether the output and each weight are of a size that could be, in axes that every framework has."""
    if node.type.rank > MAX_AXES:
        message = f"its output {node.type} would have {node.type.rank} axes"
        problems.add(layer.at, message, f"at most {MAX_AXES} axes are taken, the batch among them")
        return False
    tensors = {"its output": (str(node.type), node.type.size)}
    if around := node.op.padded(*node.input_types):
        padded = TensorType.of(*around)
        tensors["its input, padded,"] = (str(padded), padded.size)
    for name, weight in node.weights.items():
        tensors[f"its {name}"] = (f"({', '.join(map(str, weight.shape))})", weight.size)
    for what, (shape, size) in tensors.items():
        if size > MAX_ELEMENTS:
            sample = "" if what.removeprefix("its ") in node.weights else " a sample"
            message = f"{what} {shape} would have {size:,} elements{sample}, {_gib(size)} in float32"
            received = ", ".join(f"{t} from {n}" for t, n in zip(node.input_types, node.inputs, strict=True))
            hint = f"at most {MAX_ELEMENTS:,} elements are taken"
            context = f" (receives {received})" if received else ""
            problems.add(_largest_number(layer), f"{message}{context}", hint)
            return False
    return True


def _gib(elements: int) -> str:
    return f"{elements * _FLOAT32 / 2**30:,.1f} GiB" if elements < 2**80 else f"over {2**50:,} GiB"


def _largest_number(layer: LayerSpec) -> Position:
    """Where the largest number of a layer stands: what to look at when something is too large."""
    largest, at = 0, layer.at
    for scalar in scalars_in(layer.attributes):
        if isinstance(scalar.value, int) and scalar.value > largest:
            largest, at = scalar.value, scalar.at
    return at


class _WeightBudget:
    """The elements of all weights together, bounded."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._total = 0

    def admit(self, layer: LayerSpec, node: Node) -> bool:
        """Count a node's weights; the node that goes over the limit is reported, once."""
        before = self._total
        self._total += sum(weight.size for weight in node.weights.values())
        if before <= MAX_WEIGHTS < self._total:
            size = f"{self._total:,} weights, {_gib(self._total)} in float32"
            message = f"with {quote(node.name)} the network has {size}"
            self._problems.add(_largest_number(layer), message, f"at most {MAX_WEIGHTS:,} are taken")
        return self._total <= MAX_WEIGHTS
