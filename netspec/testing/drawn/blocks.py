"""Rewrite a drawn network with blocks: consecutive layers become a block, with parameters, in stacks, nested.

Each rewriting step is kept if the result is a valid network. For example, the instances of a stack must fit one
another, also with other arguments.
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
# Ops whose repetition in a stack could overflow float32, or amplify rounding errors.
NOT_REPEATED = frozenset({"exp", "power", "multiply", "matmul", "local_response_norm"})
GIVEN, KEPT = "given", "kept"  # names of parameters: the value of an attribute, and the condition of a layer
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "list", dict: "mapping"}


@st.composite
def with_blocks(draw: st.DrawFn, layers: Mapping[str, Document], graph: Graph) -> tuple[Document, Graph]:
    """Draw a document's layers, blocks and outputs, and the graph of the same network, with nodes named by path."""
    rewriting = _Rewriting(draw, layers, graph)
    for number in range(1, draw(st.integers(1, MOST_BLOCKS)) + 1):
        rewriting.fold(number)
    items = rewriting.items
    if draw(st.booleans()):
        _insert_absent(draw, items)
    layers = {item.name: item.document for item in items}
    return {"blocks": rewriting.blocks, "layers": layers, "outputs": rewriting.outputs}, rewriting.graph


class _Rewriting:
    """A network that is being rewritten with blocks."""

    def __init__(self, draw: st.DrawFn, layers: Mapping[str, Document], graph: Graph) -> None:
        self._draw = draw
        self._plain = graph
        self._types: dict[str, TensorType] = {name: value.type for name, value in graph.values.items()}
        self.items = [_item(node, layers[node.name]) for node in graph.nodes]
        self.outputs = list(graph.outputs)
        self.blocks: Document = {}
        self.graph = graph

    def fold(self, number: int) -> None:
        """Fold consecutive layers into a block. It may get parameters, an optional layer, a stack, or a second use."""
        draw = self._draw
        ranges = [(a, b) for a in range(len(self.items)) for b in range(a + 1, min(len(self.items), a + 4) + 1)]
        ranges = [(a, b) for a, b in ranges if reads_of(self.items[a:b])]  # a block needs an input
        stackable = [(a, b) for a, b in ranges if self._fits_itself(self._folded(a, b, number)[0][a])]
        if not ranges:
            return
        start, stop = draw(st.sampled_from(stackable if draw(st.booleans()) and stackable else ranges))
        if not self._keep_if_valid(*self._folded(start, stop, number)):
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
                self._use_again(start, f"again_{number}")

    def _keep_if_valid(self, items: Sequence[Item], outputs: Sequence[str]) -> bool:
        """Replace the items if the new ones are a valid network within the size limits."""
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
        """Replace the item at a position if the result is a valid network."""
        if item is None:
            return False
        return self._keep_if_valid([*self.items[:position], item, *self.items[position + 1 :]], self.outputs)

    def _folded(self, start: int, stop: int, number: int) -> tuple[list[Item], list[str]]:
        """Return the items with those of a range replaced by a use of a block, and the renamed outputs."""
        inside, after = self.items[start:stop], self.items[stop:]
        defined = [value for item in inside for value in item.gives]
        read = reads_of(inside)
        names = {value: f"in_{index}" for index, value in enumerate(read)}
        read_later = {value for item in after for value in item.reads} | set(self.outputs)
        outputs = tuple(value for value in defined if value in read_later)
        use = Item(
            name=f"part_{number}",
            stated={"block": f"block_{number}"},
            reads=tuple(read),
            within=tuple(replace(item, reads=tuple(names.get(v, v) for v in item.reads)) for item in inside),
            inputs=tuple(names.values()),
            outputs=outputs,
            kinds=frozenset(kind for item in inside for kind in item.kinds),
        )
        new_names = dict(zip(outputs, use.gives, strict=True))
        self._types |= {new_names[value]: self._types[value] for value in outputs}
        rest, graph_outputs = _renamed(after, self.outputs, new_names)
        return [*self.items[:start], use, *rest], graph_outputs

    def _parametrized(self, use: Item) -> Item | None:
        """Return the use with an attribute of one of its layers as a parameter, or as the channels of an input."""
        draw = self._draw
        places = [(index, key) for index, item in enumerate(use.within) for key in _attributes_of(item)]
        if not places:
            return None
        types = {name: self._types[read] for name, read in zip(use.inputs, use.reads, strict=True)}
        channels = [
            (index, key, name)
            for index, key in places
            for name, type in types.items()
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
        """Return the use with one of its layers made conditional on a parameter, which is true by default."""
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
        """Whether an instance can read the outputs of another one."""
        if use.kinds & NOT_REPEATED or len(use.gives) > len(use.reads):
            return False
        return all(self._types[a] == self._types[b] for a, b in zip(use.gives, use.reads, strict=False))

    def _stack(self, position: int) -> None:
        draw = self._draw
        if not self._try(position, self.items[position].stating(repeat=draw(st.integers(1, MOST_REPEATED)))):
            return
        for key in ("first", "last"):
            if arguments := draw(_arguments(self.items[position])):
                self._try(position, self.items[position].stating(**{key: arguments}))
        if draw(st.booleans()) and self.items[position].parameters:
            self._try(position, self.items[position].stating(**draw(_by_index(self.items[position]))))

    def _use_again(self, position: int, name: str) -> None:
        """Add a second use of a block, which reads the outputs of the first one."""
        use = self.items[position]
        again = replace(use, name=name, reads=(*use.gives, *use.reads[len(use.gives) :]))
        again = again.stating(**self._draw(_arguments(use)))
        new_names = dict(zip(use.gives, again.gives, strict=True))
        self._types |= {new: self._types[old] for old, new in new_names.items()}
        rest, outputs = _renamed(self.items[position + 1 :], self.outputs, new_names)
        self._keep_if_valid([*self.items[: position + 1], again, *rest], outputs)


class _Required(str):
    """The type of a required parameter, stored in place of a default."""

    __slots__ = ()


def _item(node: Node, layer: Document) -> Item:
    stated = {key: value for key, value in layer.items() if key != "inputs"}
    return Item(node.name, stated, node.inputs, kinds=frozenset({node.op.kind}))


def reads_of(items: Sequence[Item]) -> dict[str, None]:
    """Return the values that items read but do not define, as an ordered set."""
    defined = {value for item in items for value in item.gives}
    return dict.fromkeys(value for item in items for value in item.reads if value not in defined)


def _renamed(items: Sequence[Item], outputs: Sequence[str], names: Mapping[str, str]) -> tuple[list[Item], list[str]]:
    """Return items and outputs with values renamed."""
    renamed = [replace(item, reads=tuple(names.get(value, value) for value in item.reads)) for item in items]
    return renamed, [names.get(output, output) for output in outputs]


def _is_integer(value: object, number: int) -> bool:
    return type(value) is int and value == number


def _within(use: Item, index: int, item: Item) -> Item:
    return replace(use, within=(*use.within[:index], item, *use.within[index + 1 :]))


def _attributes_of(item: Item) -> Iterator[str]:
    """Yield the attributes of a layer that may become a parameter."""
    for key, value in item.stated.items():
        if key not in ("op", *USE_KEYS) and not (isinstance(value, str) and value.startswith("${")):
            yield key


def _definition(use: Item) -> Document:
    """Return the definition of the block of a use, as in a spec."""
    declarations = {name: _declaration(default) for name, default in use.parameters.items()}
    parameters = {"parameters": declarations} if declarations else {}
    layers = {item.name: item.document for item in use.within}
    return {**parameters, "inputs": list(use.inputs), "layers": layers, "outputs": list(use.outputs)}


def _declaration(default: Any) -> Any:
    if isinstance(default, _Required):
        return {"type": str(default)}
    return {"type": "mapping", "default": default} if isinstance(default, dict) else default


@st.composite
def _arguments(draw: st.DrawFn, use: Item) -> Document:
    """Draw different arguments for some of the parameters of a use."""
    arguments: Document = {}
    for name, default in use.parameters.items():
        alternatives = list(_alternatives(use.stated.get(name, default)))
        if draw(st.integers(0, 3)) and alternatives:
            arguments[name] = draw(st.sampled_from(alternatives))
    return arguments


def _alternatives(value: Any) -> Iterator[Any]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1, 2 * value)
    elif isinstance(value, float):
        yield value / 2


@st.composite
def _by_index(draw: st.DrawFn, use: Item) -> Document:
    """Draw an argument that depends on the index of the instance in a stack."""
    name = draw(st.sampled_from(sorted(use.parameters)))
    value = use.stated.get(name, use.parameters[name])
    if isinstance(value, bool):
        return {name: "${index > 0}"}
    return {name: f"${{index + {value}}}"} if isinstance(value, int) and value > 0 else {}


def _insert_absent(draw: st.DrawFn, items: list[Item]) -> None:
    """Insert a layer whose condition is false between a layer and its input, in place."""
    reading = [index for index, item in enumerate(items) if item.reads]
    if not reading:
        return
    index = draw(st.sampled_from(reading))
    read, *rest = items[index].reads
    items[index] = replace(items[index], reads=("dropped", *rest))
    items.insert(index, Item("dropped", {"op": "tanh", "when": "${1 > 2}"}, (read,)))
