"""A drawn network said with blocks: layers that stand together become one, some of them a stack, some within others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from netspec.graph import Graph, Input, Node, Scope, make_node

Document = dict[str, Any]
MOST_REPEATED = 3
# Of one more of these in a stack, values could grow beyond what float32 holds.
PARAMETER = "given"
NOT_REPEATED = frozenset({"multiply", "local_response_norm"})


@dataclass(frozen=True)
class Item:
    """A layer as it stands in the network or in a block: an op, or a use with what is in the block.

    Attributes:
        name: what it is called there.
        stated: what the spec says of it, without what it reads.
        reads: the values that it reads, as they are called there.
        within: the items of the block that it is, by what the block calls its inputs.
        outputs: the values within that it gives.
    """

    name: str
    stated: Document
    reads: tuple[str, ...]
    within: tuple[Item, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    @property
    def gives(self) -> tuple[str, ...]:
        """Its values, as they are called where it stands."""
        return tuple(f"{self.name}.{output}" for output in self.outputs) if len(self.outputs) > 1 else (self.name,)

    @property
    def document(self) -> Document:
        """The layer in full."""
        kind: Document = {key: self.stated[key] for key in ("op", "block") if key in self.stated}
        inputs = {"inputs": list(self.reads)} if self.reads else {}  # a parameter reads nothing, and says nothing of it
        return {**kind, **inputs, **self.stated}


@st.composite
def with_blocks(draw: st.DrawFn, layers: Mapping[str, Document], graph: Graph) -> tuple[Document, Graph]:
    """The layers, blocks and outputs of a document, and the graph of the same network, its nodes called by path."""
    items = [Item(node.name, _own(layers[node.name]), node.inputs) for node in graph.nodes]
    outputs = list(graph.outputs)
    blocks: Document = {}
    for number in range(1, draw(st.integers(1, 3)) + 1):
        start = draw(st.integers(0, len(items) - 1))
        stop = draw(st.integers(start + 1, min(len(items), start + 4)))
        if not _reads(items[start:stop]):
            continue  # a block reads something
        items, outputs = _fold(items, outputs, start, stop, number)
        if draw(st.booleans()):
            items[start] = _parametrized(items[start])
        blocks[f"block_{number}"] = _definition(items[start])
    folded = _Renaming(graph, items, outputs).graph()
    for use in [item for item in items if item.within]:
        repeated = _repeat(folded, use, draw(st.integers(1, MOST_REPEATED))) if draw(st.booleans()) else None
        if repeated is not None:
            use.stated["repeat"], folded = repeated
            break
    if draw(st.booleans()):
        _pass_through(draw, items)
    return {"blocks": blocks, "layers": {item.name: item.document for item in items}, "outputs": outputs}, folded


def _own(layer: Document) -> Document:
    return {key: value for key, value in layer.items() if key != "inputs"}


def _fold(
    items: Sequence[Item], outputs: Sequence[str], start: int, stop: int, number: int
) -> tuple[list[Item], list[str]]:
    """The items, those from one position to another in a block of their own; and the outputs as then called."""
    inside, after = items[start:stop], items[stop:]
    given = [value for item in inside for value in item.gives]
    read = _reads(inside)
    names = {value: f"in_{index}" for index, value in enumerate(read)}
    later = {value for item in after for value in item.reads} | set(outputs)
    shown = tuple(value for value in given if value in later)
    within = tuple(replace(item, reads=tuple(names.get(value, value) for value in item.reads)) for item in inside)
    use = Item(f"part_{number}", {"block": f"block_{number}"}, tuple(read), within, tuple(names.values()), shown)
    called = dict(zip(shown, use.gives, strict=True))
    rest = [replace(item, reads=tuple(called.get(value, value) for value in item.reads)) for item in after]
    return [*items[:start], use, *rest], [called.get(output, output) for output in outputs]


def _reads(items: Sequence[Item]) -> dict[str, None]:
    """The values from outside that items read, in order."""
    given = {value for item in items for value in item.gives}
    return dict.fromkeys(value for item in items for value in item.reads if value not in given)


def _parametrized(use: Item) -> Item:
    """The use with a number of one of its layers as an argument, if one has a number to give."""
    for index, item in enumerate(use.within):
        for key in ("filters", "units"):
            if key in item.stated and PARAMETER not in use.stated:
                given = replace(item, stated={**item.stated, key: f"${{{PARAMETER}}}"})
                within = (*use.within[:index], given, *use.within[index + 1 :])
                return replace(use, stated={**use.stated, PARAMETER: item.stated[key]}, within=within)
    return use


def _definition(use: Item) -> Document:
    layers = {item.name: item.document for item in use.within}
    parameters = {"parameters": {PARAMETER: {"type": "integer"}}} if PARAMETER in use.stated else {}
    return {**parameters, "inputs": list(use.inputs), "layers": layers, "outputs": list(use.outputs)}


class _Renaming:
    """Makes the graph whose nodes are called as the items are, by path."""

    def __init__(self, graph: Graph, items: Sequence[Item], outputs: Sequence[str]) -> None:
        self._graph = graph
        self._items = items
        self._outputs = outputs
        self._nodes = iter(graph.nodes)
        self._made: list[Node] = []
        self._scopes: list[Scope] = []

    def graph(self) -> Graph:
        """The graph, its scopes in the order in which they begin."""
        names = {value.name: value.name for value in self._graph.inputs}
        self._add(self._items, names, "")
        outputs = tuple(names[output] for output in self._outputs)
        return replace(self._graph, nodes=tuple(self._made), outputs=outputs, scopes=tuple(self._scopes)).check()

    def _add(self, items: Sequence[Item], names: dict[str, str], prefix: str) -> None:
        """Make the nodes of items; `names` are the paths of values as they are called where the items stand."""
        for item in items:
            path = prefix + item.name
            read = tuple(names[value] for value in item.reads)
            if not item.within:
                node = next(self._nodes)
                self._made.append(replace(node, name=path, inputs=read))
                names[item.name] = path
                continue
            inside = dict(zip(item.inputs, read, strict=True))
            arguments = tuple((name, value) for name, value in item.stated.items() if name == PARAMETER)
            self._scopes.append(Scope(path, item.stated["block"], arguments, tuple(inside.items())))
            self._add(item.within, inside, f"{path}.")
            names |= {value: inside[output] for value, output in zip(item.gives, item.outputs, strict=True)}


def _repeat(graph: Graph, use: Item, count: int) -> tuple[int, Graph] | None:
    """How often, and the graph in which an instance is a stack; None where that cannot be."""
    inside = [node for node in graph.nodes if node.name.startswith(f"{use.name}.")]
    scope = next(scope for scope in graph.scopes if scope.path == use.name)
    if len(use.inputs) != 1 or len(use.outputs) != 1 or any(node.op.kind in NOT_REPEATED for node in inside):
        return None
    (received,) = (value for _, value in scope.inputs)
    outside = {name for node in graph.nodes if node not in inside for name in node.inputs} | set(graph.outputs)
    (output,) = (node.name for node in inside if node.name in outside)
    if graph.type_of(received) != graph.type_of(output):
        return None
    values: dict[str, Input | Node] = {value.name: value for value in graph.inputs}
    scopes = _stacked(graph, use, count, received, output)
    last = _numbered(output, use.name, count - 1)
    for node in graph.nodes:
        if node is not inside[0] and node in inside:
            continue
        if node is inside[0]:
            before = received
            for index in range(count):
                for own in inside:
                    reads = [_numbered(name, use.name, index) if name != received else before for name in own.inputs]
                    name = _numbered(own.name, use.name, index)
                    values[name] = make_node(name, own.op, [values[read] for read in reads])
                before = _numbered(output, use.name, index)
            continue
        values[node.name] = make_node(node.name, node.op, [values[last if n == output else n] for n in node.inputs])
    nodes = tuple(value for value in values.values() if isinstance(value, Node))
    outputs = tuple(last if name == output else name for name in graph.outputs)
    return count, replace(graph, nodes=nodes, outputs=outputs, scopes=tuple(scopes)).check()


def _numbered(path: str, stack: str, index: int) -> str:
    return f"{stack}.{index}{path[len(stack) :]}" if path.startswith(f"{stack}.") else path


def _stacked(graph: Graph, use: Item, count: int, received: str, output: str) -> Iterator[Scope]:
    """The scopes of a graph, one of which and those within are now there for each instance."""
    own = [scope for scope in graph.scopes if scope.path == use.name or scope.path.startswith(f"{use.name}.")]
    last = _numbered(output, use.name, count - 1)
    for scope in graph.scopes:
        if scope not in own:
            yield replace(scope, inputs=tuple((n, last if value == output else value) for n, value in scope.inputs))
        elif scope is own[0]:
            yield Scope(use.name)
            before = received
            for index in range(count):
                for each in own:
                    path = f"{use.name}.{index}{each.path[len(use.name) :]}"
                    inputs = tuple(
                        (n, before if value == received else _numbered(value, use.name, index))
                        for n, value in each.inputs
                    )
                    yield Scope(path, each.block, each.arguments, inputs)
                before = _numbered(output, use.name, index)


def _pass_through(draw: st.DrawFn, items: list[Item]) -> None:
    """Let a layer read another by way of one that is not there."""
    reading = [index for index, item in enumerate(items) if item.reads]
    if not reading:
        return
    index = draw(st.sampled_from(reading))
    read, *rest = items[index].reads
    items[index] = replace(items[index], reads=("dropped", *rest))
    items.insert(index, Item("dropped", {"op": "tanh", "when": "${1 > 2}"}, (read,)))
