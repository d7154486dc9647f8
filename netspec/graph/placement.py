"""Where a network lies on several devices: what each computes, which weights it keeps, and what they exchange.

Every value is either whole on each of the towers, or divided: tower t of `towers` holds channels [t·C/towers,
(t + 1)·C/towers). An op that computes channels from those channels alone keeps to its tower. A convolution or dense
layer without groups makes its own share of the filters from the whole of what it reads (it is column-parallel): that
is gathered before it. All else is computed whole, the same in each tower.

With a gradient that is whole for each whole value, and divided for each divided one, what crosses follows:

| crossing | what happens | forward | backward |
|---|---|---|---|
| gather | a divided value is read whole by shares of a layer | all-gather | reduce-scatter |
| collect | a divided value is read whole by what all compute | all-gather | none: each takes its share |
| spread | a whole value is read by shares of a layer | none | all-reduce |
| share | a divided value meets a whole one | none: each takes its share | all-gather |

Source: Krizhevsky et al. 2012, figure 2; Krizhevsky 2014, One weird trick for parallelizing convolutional neural
networks; Shoeybi et al. 2019 (Megatron-LM), section 3, whose f is `spread` and g is `collect`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from netspec.errors import GraphError
from netspec.graph.graph import Graph, Node
from netspec.graph.localize import divided_axis, local_op, local_type
from netspec.graph.towers import keeps_apart, read_apart, width
from netspec.ops import Conv2d, ConvTranspose2d, Dense

Kind = Literal["gather", "collect", "spread", "share"]
Way = Literal["apart", "column", "whole"]
Read = Literal["divided", "partial", "whole"]

MOST_LISTED = 3  # of the layers of which none can be divided


class Place(NamedTuple):
    """How a node is computed.

    Attributes:
        name: the node's.
        way: `apart`, each tower from its own channels; `column`, its share of the filters from the whole input; or
            `whole`, the same in each tower.
        why: of a layer of filters that is whole, what keeps it from being divided.
    """

    name: str
    way: Way
    why: str = ""

    @property
    def divided(self) -> bool:
        """Whether the node's value lies divided among the towers."""
        return self.way != "whole"


class Crossing(NamedTuple):
    """A value that leaves its tower, or whose gradient does.

    Attributes:
        value: whose.
        readers: the nodes that it crosses to; none where it is an output of the network.
        size: bytes a sample of the whole value.
        towers: how many there are.
        differentiable: whether a trained weight stands before it.
    """

    value: str
    kind: Kind
    readers: tuple[str, ...]
    size: int
    towers: int
    differentiable: bool

    @property
    def forward(self) -> int:
        """Bytes a sample that each tower receives in the forward pass, by the least that the exchange needs."""
        return self._others if self.kind in {"gather", "collect"} else 0

    @property
    def backward(self) -> int:
        """The same in the backward pass; an all-reduce is a reduce-scatter and an all-gather."""
        rounds = {"gather": 1, "collect": 0, "spread": 2, "share": 1}[self.kind]
        return rounds * self._others if self.differentiable else 0

    @property
    def _others(self) -> int:
        return self.size * (self.towers - 1) // self.towers


class WeightPlace(NamedTuple):
    """Where a weight lies.

    Attributes:
        name: canonical.
        shape: of the whole weight.
        axis: the axis that the towers divide; None where each has the whole of it.
        partial: whether each tower's gradient of a whole weight is of its own channels alone, so that they are summed.
        trainable: whether it is trained.
    """

    name: str
    shape: tuple[int, ...]
    axis: int | None
    partial: bool
    trainable: bool

    def kept(self, towers: int) -> int:
        """Elements of it that each tower keeps."""
        return math.prod(self.shape) // (1 if self.axis is None else towers)

    def part(self, tower: int, towers: int) -> tuple[slice, ...]:
        """What of the weight a tower keeps, as an index.

        >>> WeightPlace("fc.weight", (6, 4), 0, False, True).part(1, 2)
        (slice(3, 6, None),)
        """
        if self.axis is None:
            return ()
        size = self.shape[self.axis] // towers
        return (*(slice(None),) * self.axis, slice(tower * size, (tower + 1) * size))


@dataclass(frozen=True)
class Placement:
    """A graph on several towers.

    Attributes:
        graph: the whole network.
        towers: how many.
        places: a node each, in the graph's order.
        crossings: in the graph's order.
        weights: in the graph's order.
    """

    graph: Graph
    towers: int
    places: tuple[Place, ...]
    crossings: tuple[Crossing, ...]
    weights: tuple[WeightPlace, ...]

    @cached_property
    def place_of(self) -> dict[str, Place]:
        """The place of each node by its name."""
        return {place.name: place for place in self.places}

    @cached_property
    def whole_weights(self) -> int:
        """Elements of all weights of the network."""
        return sum(weight.size for weight in self.graph.weights.values())

    @cached_property
    def tower_weights(self) -> int:
        """Elements of all weights that one tower keeps: as many in each."""
        return sum(weight.kept(self.towers) for weight in self.weights)

    def moved(self, batch: int) -> int:
        """Bytes that each tower receives in a step of so many samples: at the crossings, and of gradients.

        Gradients of weights that each tower has whole are brought together, so that they stay the same everywhere.
        """
        return batch * sum(c.forward + c.backward for c in self.crossings) + self.moved_gradients

    @property
    def moved_gradients(self) -> int:
        """Those bytes of them that are gradients."""
        kept = sum(w.kept(self.towers) for w in self.weights if w.axis is None and w.trainable)
        return 2 * kept * self.graph.dtype.bytes * (self.towers - 1) // self.towers


class UnplaceableError(GraphError):
    """A graph that cannot be divided. `layer` is the node in the way, or empty where there is nothing to divide."""

    def __init__(self, message: str, hint: str = "", layer: str = "") -> None:
        super().__init__(message, hint)
        self.layer = layer


def place(graph: Graph, towers: int) -> Placement:
    """How a graph lies on towers.

    Raises:
        UnplaceableError: a layer's groups cannot be shared out, or no layer can be divided.

    >>> from netspec.graph import Input, make_node
    >>> from netspec.ops import Relu
    >>> from netspec.types import TensorType
    >>> x = Input("x", TensorType.of(6))
    >>> a = make_node("a", Dense(units=4), [x])
    >>> b = make_node("b", Relu(), [a])
    >>> c = make_node("c", Dense(units=3), [b])
    >>> placement = place(Graph("small", (x,), (a, b, c), ("c",)), 2)
    >>> [place.way for place in placement.places]
    ['column', 'apart', 'whole']
    >>> [(crossing.value, crossing.kind) for crossing in placement.crossings]
    [('x', 'spread'), ('b', 'collect')]
    >>> placement.whole_weights, placement.tower_weights
    (43, 29)
    """
    places: dict[str, Place] = {}
    for node in graph.nodes:
        places[node.name] = _place(node, towers, places)
    if not any(place.way == "column" or _is_in_groups(graph.values[place.name]) for place in places.values()):
        reasons = _listed([f"{place.name}: {place.why}" for place in places.values() if place.why])
        raise UnplaceableError(
            f"no layer of {graph.name} can be divided among {towers} towers"
            + (f" ({reasons})" if reasons else ": it has no convolution or dense layer")
        )
    found = tuple(places.values())
    crossings = tuple(_crossings(graph, places, towers))
    weights = tuple(weight for node in graph.nodes for weight in _weights(node, places[node.name], towers))
    return Placement(graph, towers, found, crossings, weights)


def _listed(reasons: list[str]) -> str:
    more = len(reasons) - MOST_LISTED
    return "; ".join([*reasons[:MOST_LISTED], f"and {more} more layers"] if more > 1 else reasons)


def reads(node: Node, place: Place) -> dict[str, Read]:
    """How a node reads each of its inputs: its share of it, the whole for a share of the work, or the whole."""
    if place.way != "apart":
        return dict.fromkeys(node.inputs, "partial" if place.way == "column" else "whole")
    apart = read_apart(node)
    return {name: "divided" if name in apart else "partial" for name in node.inputs}


def _place(node: Node, towers: int, places: Mapping[str, Place]) -> Place:
    op = node.op
    if not isinstance(op, Conv2d | ConvTranspose2d | Dense):
        divided = any(name in places and places[name].divided for name in node.inputs)
        return Place(node.name, "apart" if divided and keeps_apart(node, towers) else "whole")
    if keeps_apart(node, towers):
        return Place(node.name, "apart")
    if op.groups > 1:
        raise UnplaceableError(
            f"{node.name} works in {op.groups} groups, which cannot be shared out among {towers} towers",
            f"a number of towers that divides {op.groups}, or other groups",
            node.name,
        )
    if width(node.type) % towers:
        return Place(node.name, "whole", f"{width(node.type)} outputs cannot be shared out among {towers} towers")
    return Place(node.name, "column")


def _is_in_groups(value: object) -> bool:
    return isinstance(value, Node) and isinstance(value.op, Conv2d | ConvTranspose2d | Dense) and value.op.groups > 1


def _weights(node: Node, place: Place, towers: int) -> Iterable[WeightPlace]:
    """What the node's local form has smaller is divided."""
    if not place.divided:
        for name, weight in node.weights.items():
            yield WeightPlace(f"{node.name}.{name}", weight.shape, None, False, weight.trainable)
        return
    reading = reads(node, place)
    types = [
        local_type(type, towers) if reading[name] == "divided" else type
        for name, type in zip(node.inputs, node.input_types, strict=True)
    ]
    local = local_op(node.op, towers).weights(*types)
    for name, weight in node.weights.items():
        axis = divided_axis(weight.shape, local[name].shape)
        yield WeightPlace(f"{node.name}.{name}", weight.shape, axis, axis is None, weight.trainable)


def _crossings(graph: Graph, places: Mapping[str, Place], towers: int) -> Iterable[Crossing]:
    """In the order of the values; of one value, what is gathered before what is spread."""
    trained: set[str] = set()
    for node in graph.nodes:
        if any(name in trained for name in node.inputs) or any(w.trainable for w in node.weights.values()):
            trained.add(node.name)
    for name, value in graph.values.items():
        by: dict[Read, list[str]] = {"divided": [], "partial": [], "whole": []}
        for reader in graph.readers[name]:
            by[reads(reader, places[reader.name])[name]].append(reader.name)
        divided = name in places and places[name].divided
        size = value.type.size * value.type.dtype.bytes
        whole = by["whole"] or name in graph.outputs
        kinds: list[tuple[Kind, list[str]]] = []
        if divided and whole:
            kinds.append(("collect", by["whole"]))
        if by["partial"]:
            kinds.append(("gather" if divided and not whole else "spread", by["partial"]))
        if by["divided"] and not divided:
            kinds.append(("share", by["divided"]))
        for kind, readers in kinds:
            yield Crossing(name, kind, tuple(readers), size, towers, name in trained)
