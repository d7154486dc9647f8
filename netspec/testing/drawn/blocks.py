"""A drawn network said with blocks: layers that stand together become one, with parameters, in stacks, within others.

Each step is kept if what it makes is a network that the language has: a stack must fit itself, and so must what another
value of a parameter changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from netspec.graph import Graph, Node
from netspec.testing.drawn.items import USE_KEYS, Document, Item, expand
from netspec.testing.drawn.rules import BOUNDED
from netspec.types import TensorType

MOST_BLOCKS = 3
MOST_REPEATED = 3
MOST_NODES = 30
MOST_ELEMENTS = 600
# Of one more of these in a stack, values could grow beyond what float32 holds, or to where rounding does.
NOT_REPEATED = frozenset({"exp", "power", "multiply", "matmul", "local_response_norm"})
GIVEN, KEPT = "given", "kept"  # parameters: a value of a layer, and whether there is a layer
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "list", dict: "mapping"}


@st.composite
def with_blocks(draw: st.DrawFn, layers: Mapping[str, Document], graph: Graph) -> tuple[Document, Graph]:
    """The layers, blocks and outputs of a document, and the graph of the same network, its nodes called by path."""
    drawn = _Blocks(draw, layers, graph)
    for number in range(1, draw(st.integers(1, MOST_BLOCKS)) + 1):
        drawn.fold(number)
    items = drawn.items
    if draw(st.booleans()):
        _pass_through(draw, items)
    layers = {item.name: item.document for item in items}
    return {"blocks": drawn.blocks, "layers": layers, "outputs": drawn.outputs}, drawn.graph


class _Blocks:
    """A network while blocks are made of its layers."""

    def __init__(self, draw: st.DrawFn, layers: Mapping[str, Document], graph: Graph) -> None:
        self._draw = draw
        self._plain = graph
        self._types: dict[str, TensorType] = {name: value.type for name, value in graph.values.items()}
        self.items = [_item(node, layers[node.name]) for node in graph.nodes]
        self.outputs = list(graph.outputs)
        self.blocks: Document = {}
        self.graph = graph

    def fold(self, number: int) -> None:
        """Make a block of layers that stand together, and what becomes of it: with parameters, in a stack, again."""
        draw = self._draw
        places = [(a, b) for a in range(len(self.items)) for b in range(a + 1, min(len(self.items), a + 4) + 1)]
        places = [(a, b) for a, b in places if reads_of(self.items[a:b])]  # a block reads something
        stacks = [(a, b) for a, b in places if self._fits_itself(self._folded(a, b, number)[0][a])]
        if not places:
            return
        start, stop = draw(st.sampled_from(stacks if draw(st.booleans()) and stacks else places))
        if not self._keep(*self._folded(start, stop, number)):
            return
        if draw(st.booleans()):
            self._try(start, self._parametrized(self.items[start]))
        if draw(st.booleans()):
            self._try(start, self._optional(self.items[start]))
        self.blocks[f"block_{number}"] = _definition(self.items[start])
        if self._fits_itself(self.items[start]) and draw(st.booleans()):
            if draw(st.booleans()):
                self._stack(start)
            else:
                self._again(start, f"again_{number}")

    def _keep(self, items: Sequence[Item], outputs: Sequence[str]) -> bool:
        """Take these items if they make a network of a size to be drawn."""
        graph = expand(self._plain, items, outputs)
        if graph is None or len(graph.nodes) > MOST_NODES:
            return False
        if any(node.type.size > max(MOST_ELEMENTS, self._largest()) for node in graph.nodes):
            return False
        self.items, self.outputs, self.graph = list(items), list(outputs), graph
        return True

    def _largest(self) -> int:
        return max(node.type.size for node in self._plain.nodes)

    def _try(self, position: int, item: Item | None) -> bool:
        """Let an item stand in the place of another, where that makes a network."""
        if item is None:
            return False
        return self._keep([*self.items[:position], item, *self.items[position + 1 :]], self.outputs)

    def _folded(self, start: int, stop: int, number: int) -> tuple[list[Item], list[str]]:
        """The items, those from one position to another in a block of their own; and the outputs as then called."""
        inside, after = self.items[start:stop], self.items[stop:]
        given = [value for item in inside for value in item.gives]
        read = reads_of(inside)
        names = {value: f"in_{index}" for index, value in enumerate(read)}
        later = {value for item in after for value in item.reads} | set(self.outputs)
        shown = tuple(value for value in given if value in later)
        within = tuple(replace(item, reads=tuple(names.get(value, value) for value in item.reads)) for item in inside)
        kinds = frozenset(kind for item in inside for kind in item.kinds)
        use = Item(
            f"part_{number}", {"block": f"block_{number}"}, tuple(read), within, tuple(names.values()), shown, {}, kinds
        )
        called = dict(zip(shown, use.gives, strict=True))
        self._types |= {called[value]: self._types[value] for value in shown}
        rest, outputs = _renamed(after, self.outputs, called)
        return [*self.items[:start], use, *rest], outputs

    def _parametrized(self, use: Item) -> Item | None:
        """The use with a value of one of its layers as an argument, or as the channels that arrive."""
        draw = self._draw
        places = [(index, key) for index, item in enumerate(use.within) for key in _values_in(item)]
        if not places:
            return None
        maps = {name: self._types[read] for name, read in zip(use.inputs, use.reads, strict=True)}
        channels = [
            (index, key, name)
            for index, key in places
            for name, type in maps.items()
            if type.rank == 4 and _is_integer(use.within[index].stated[key], type.features[0])
        ]
        if channels:
            index, key, name = draw(st.sampled_from(channels))
            return _within(use, index, use.within[index].stating(**{key: f"${{{name}.channels}}"}))
        index, key = draw(st.sampled_from(places))
        value = use.within[index].stated[key]
        use = _within(use, index, use.within[index].stating(**{key: f"${{{GIVEN}}}"}))
        if draw(st.booleans()):
            return replace(use, parameters={**use.parameters, GIVEN: value})
        return replace(
            use.stating(**{GIVEN: value}), parameters={**use.parameters, GIVEN: _Required(_TYPES[type(value)])}
        )

    def _optional(self, use: Item) -> Item | None:
        """The use with a layer that is there only when the block is told so; it is."""
        places = [index for index, item in enumerate(use.within) if self._may_be_absent(use, item)]
        if not places:
            return None
        index = self._draw(st.sampled_from(places))
        use = _within(use, index, use.within[index].stating(when=f"${{{KEPT}}}"))
        return replace(use, parameters={**use.parameters, KEPT: True})

    def _may_be_absent(self, use: Item, item: Item) -> bool:
        if len(item.reads) != 1 or len(item.gives) != 1 or item.kinds & BOUNDED or "when" in item.stated:
            return False
        outside = dict(zip(use.inputs, use.reads, strict=True))
        return self._types[outside.get(item.reads[0], item.reads[0])] == self._types[item.gives[0]]

    def _fits_itself(self, use: Item) -> bool:
        """Whether an instance may read what another one gives."""
        if use.kinds & NOT_REPEATED or len(use.gives) > len(use.reads):
            return False
        return all(self._types[a] == self._types[b] for a, b in zip(use.gives, use.reads, strict=False))

    def _stack(self, position: int) -> None:
        draw = self._draw
        if not self._try(position, self.items[position].stating(repeat=draw(st.integers(1, MOST_REPEATED)))):
            return
        for key in ("first", "last"):
            if other := draw(_arguments(self.items[position])):
                self._try(position, self.items[position].stating(**{key: other}))
        if draw(st.booleans()) and self.items[position].parameters:
            self._try(position, self.items[position].stating(**draw(_by_index(self.items[position]))))

    def _again(self, position: int, name: str) -> None:
        """A second use of a block, on what the first one gives."""
        use = self.items[position]
        again = replace(use, name=name, reads=(*use.gives, *use.reads[len(use.gives) :]))
        again = again.stating(**self._draw(_arguments(use)))
        self._types |= {new: self._types[old] for old, new in zip(use.gives, again.gives, strict=True)}
        rest, outputs = _renamed(
            self.items[position + 1 :], self.outputs, dict(zip(use.gives, again.gives, strict=True))
        )
        self._keep([*self.items[: position + 1], again, *rest], outputs)


class _Required(str):
    """In place of a default: the type of a parameter that has to be given."""

    __slots__ = ()


def _item(node: Node, layer: Document) -> Item:
    stated = {key: value for key, value in layer.items() if key != "inputs"}
    return Item(node.name, stated, node.inputs, kinds=frozenset({node.op.kind}))


def reads_of(items: Sequence[Item]) -> dict[str, None]:
    """The values from outside that items read, in order."""
    given = {value for item in items for value in item.gives}
    return dict.fromkeys(value for item in items for value in item.reads if value not in given)


def _renamed(items: Sequence[Item], outputs: Sequence[str], called: Mapping[str, str]) -> tuple[list[Item], list[str]]:
    """Items and outputs, where some values are called otherwise."""
    rest = [replace(item, reads=tuple(called.get(value, value) for value in item.reads)) for item in items]
    return rest, [called.get(output, output) for output in outputs]


def _is_integer(value: object, number: int) -> bool:
    return type(value) is int and value == number


def _within(use: Item, index: int, item: Item) -> Item:
    return replace(use, within=(*use.within[:index], item, *use.within[index + 1 :]))


def _values_in(item: Item) -> Iterator[str]:
    """What a layer says that may be an argument."""
    for key, value in item.stated.items():
        if key not in ("op", *USE_KEYS) and not (isinstance(value, str) and value.startswith("${")):
            yield key


def _definition(use: Item) -> Document:
    parameters = {name: _declaration(default) for name, default in use.parameters.items()}
    own = {"parameters": parameters} if parameters else {}
    layers = {item.name: item.document for item in use.within}
    return {**own, "inputs": list(use.inputs), "layers": layers, "outputs": list(use.outputs)}


def _declaration(default: Any) -> Any:
    if isinstance(default, _Required):
        return {"type": str(default)}
    return {"type": "mapping", "default": default} if isinstance(default, dict) else default


@st.composite
def _arguments(draw: st.DrawFn, use: Item) -> Document:
    """Other values for some of the parameters of a use."""
    found: Document = {}
    for name, default in use.parameters.items():
        others = list(_others(use.stated.get(name, default)))
        if draw(st.integers(0, 3)) and others:
            found[name] = draw(st.sampled_from(others))
    return found


def _others(value: Any) -> Iterator[Any]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1, 2 * value)
    elif isinstance(value, float):
        yield value / 2


@st.composite
def _by_index(draw: st.DrawFn, use: Item) -> Document:
    """An argument that is another one in each instance of a stack."""
    name = draw(st.sampled_from(sorted(use.parameters)))
    value = use.stated.get(name, use.parameters[name])
    if isinstance(value, bool):
        return {name: "${index > 0}"}
    return {name: f"${{index + {value}}}"} if isinstance(value, int) and value > 0 else {}


def _pass_through(draw: st.DrawFn, items: list[Item]) -> None:
    """Let a layer read another by way of one that is not there."""
    reading = [index for index, item in enumerate(items) if item.reads]
    if not reading:
        return
    index = draw(st.sampled_from(reading))
    read, *rest = items[index].reads
    items[index] = replace(items[index], reads=("dropped", *rest))
    items.insert(index, Item("dropped", {"op": "tanh", "when": "${1 > 2}"}, (read,)))
