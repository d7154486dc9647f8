"""The placement of a network on several towers: what each computes, which weights it keeps, and what they exchange.

Every value is either whole in each tower, or divided: tower t of `towers` holds channels
[t·C/towers, (t + 1)·C/towers). An op that computes each channel only from that channel stays within its tower.
A convolution or dense layer without groups is column-parallel: each tower computes its share of the filters from the
whole input. In fewer groups than towers, a team of towers / groups neighboring towers computes each group, from the
channels of that group. Normalization over neighboring channels reads a halo: the tower's share, and a few channels of
its neighbors in the team. Everything else is computed whole, identically in each tower.

Each whole value has a whole gradient, and each divided value a divided one. That determines the crossings:

| crossing | what happens | forward | backward |
|---|---|---|---|
| gather | a column-parallel layer reads a divided value | all-gather | reduce-scatter |
| gather_group | the same, in groups | all-gather in each team | reduce-scatter in each team |
| collect | a layer that is computed whole reads a divided value | all-gather | none: each takes its share |
| spread | a column-parallel layer reads a whole value | none | all-reduce |
| spread_group | the same, in groups | none: each takes its group | reduce-scatter in each team, all-gather |
| halo | an op that reads neighboring channels reads a divided value | edges, between neighbors | the same |
| share | a divided value meets a whole one | none: each takes its share | all-gather |

Source: Krizhevsky et al. 2012, figure 2; Krizhevsky 2014, One weird trick for parallelizing convolutional neural
networks; Shoeybi et al. 2019 (Megatron-LM), section 3, whose f is `spread` and g is `collect`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from netspec.errors import GraphError
from netspec.graph.crossing import Crossing
from netspec.graph.graph import Graph, Node
from netspec.graph.localize import divided_axis, local_op, local_type
from netspec.graph.places import DIVIDED, WHOLE, Place, Read, divides_groups, groups_of, place_node, reads
from netspec.graph.towers import width
from netspec.types import TensorType

if TYPE_CHECKING:
    from netspec.ops.collective import CollectiveKind

MOST_TOWERS = 64  # that a spec can ask for
MOST_LISTED = 3  # of the layers of which none can be divided


class WeightPlace(NamedTuple):
    """Which part of a weight each tower keeps.

    Attributes:
        name: its canonical name.
        shape: of the whole weight.
        axis: the axis that is divided among the towers; None if each tower keeps the whole weight.
        partial: whether a whole weight applies to divided channels, so that its gradients have to be summed.
        trainable: whether it is trained.
    """

    name: str
    shape: tuple[int, ...]
    axis: int | None
    partial: bool
    trainable: bool

    def kept(self, towers: int) -> int:
        """The number of elements that each tower keeps."""
        return math.prod(self.shape) // (1 if self.axis is None else towers)

    def part(self, tower: int, towers: int) -> tuple[slice, ...]:
        """The index of a tower's part in the whole weight.

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
        towers: their number.
        places: one for each node, in the graph's order.
        crossings: in the order of their values in the graph.
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
        """The number of elements of all weights of the network."""
        return sum(weight.size for weight in self.graph.weights.values())

    @cached_property
    def tower_weights(self) -> int:
        """The number of elements of all weights that each tower keeps."""
        return sum(weight.kept(self.towers) for weight in self.weights)

    def moved(self, batch: int) -> int:
        """Bytes that each tower receives in a training step of `batch` samples, at crossings and of gradients."""
        return batch * sum(c.forward + c.backward for c in self.crossings) + self.moved_gradients

    @property
    def moved_gradients(self) -> int:
        """Bytes that each tower receives in a step to all-reduce the gradients of weights that all keep whole."""
        kept = sum(w.kept(self.towers) for w in self.weights if w.axis is None and w.trainable)
        return 2 * kept * self.graph.dtype.bytes * (self.towers - 1) // self.towers


class UnplaceableError(GraphError):
    """A graph that cannot be divided among so many towers.

    Attributes:
        layer: the name of the node whose groups prevent it; empty if no layer at all can be divided.
    """

    def __init__(self, message: str, hint: str = "", layer: str = "") -> None:
        super().__init__(message, hint)
        self.layer = layer


def place(graph: Graph, towers: int) -> Placement:
    """Place a graph on towers.

    Raises:
        UnplaceableError: a layer's groups cannot be divided among the towers, or no layer can be divided.

    >>> from netspec.graph import Input, make_node
    >>> from netspec.ops import Dense, Relu
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
    grouped = [node for node in graph.nodes if groups_of(node) > 1]
    for node in grouped:
        if not divides_groups(node, towers):
            raise _groups_error(node, towers, grouped)
    places: dict[str, Place] = {}
    for node in graph.nodes:
        places[node.name] = place_node(node, towers, places)
    if not grouped and not any(place.way == "column" for place in places.values()):
        reasons = _listed([f"{place.name}: {place.why}" for place in places.values() if place.why])
        raise UnplaceableError(
            f"no layer of {graph.name} can be divided among {towers} towers"
            + (f" ({reasons})" if reasons else ": it has no convolution or dense layer")
        )
    crossings = tuple(_crossings(graph, places, towers))
    weights = tuple(weight for node in graph.nodes for weight in _weights(node, places[node.name], towers))
    return Placement(graph, towers, tuple(places.values()), crossings, weights)


def _groups_error(node: Node, towers: int, grouped: Iterable[Node]) -> UnplaceableError:
    """The error of a layer whose groups do not fit; its hint lists the numbers of towers that fit all layers."""
    groups = groups_of(node)
    fitting = [n for n in range(2, MOST_TOWERS + 1) if all(divides_groups(layer, n) for layer in grouped)]
    numbers = ", ".join(map(str, fitting))
    return UnplaceableError(
        f"{node.name} works in {groups} groups of {width(node.type) // groups} outputs, "
        f"which cannot be divided among {towers} towers",
        f"numbers of towers that fit all groups: {numbers}" if fitting else "no number of towers fits all groups",
        node.name,
    )


def _listed(reasons: list[str]) -> str:
    more = len(reasons) - MOST_LISTED
    return "; ".join([*reasons[:MOST_LISTED], f"and {more} more layers"] if more > 1 else reasons)


def _weights(node: Node, place: Place, towers: int) -> Iterable[WeightPlace]:
    """The places of a node's weights. A weight is divided if it is smaller in the tower's op."""
    if not place.divided:
        for name, weight in node.weights.items():
            yield WeightPlace(f"{node.name}.{name}", weight.shape, None, False, weight.trainable)
        return
    if not node.weights:
        return
    form_of = reads(node, place)
    types = [_type_read(type, form_of[name], towers) for name, type in zip(node.inputs, node.input_types, strict=True)]
    local = local_op(node.op, towers).weights(*types)
    for name, weight in node.weights.items():
        axis = divided_axis(weight.shape, local[name].shape)
        yield WeightPlace(f"{node.name}.{name}", weight.shape, axis, axis is None, weight.trainable)


def _type_read(type: TensorType, read: Read, towers: int) -> TensorType:
    """The type of a value in the form in which it is read."""
    return local_type(type, towers if read == DIVIDED else read.groups)


def _crossings(graph: Graph, places: Mapping[str, Place], towers: int) -> Iterable[Crossing]:
    """The crossings in the order of their values; of one value, what is collected before what is spread from that."""
    trained: set[str] = set()
    for node in graph.nodes:
        if any(name in trained for name in node.inputs) or any(w.trainable for w in node.weights.values()):
            trained.add(node.name)
    for name, value in graph.values.items():
        readers: dict[Read, list[str]] = {}
        for reader in graph.readers[name]:
            readers.setdefault(reads(reader, places[reader.name])[name], []).append(reader.name)
        if name in graph.outputs:
            readers.setdefault(WHOLE, [])
        divided = name in places and places[name].divided
        size = value.type.size * value.type.dtype.bytes
        for read in sorted(readers, key=lambda read: read.order):
            kind = _kind(read, divided=divided, collected=WHOLE in readers)
            if kind is not None:
                named, trains = tuple(readers[read]), name in trained
                channels = width(value.type)
                yield Crossing(name, kind, named, size, towers, trains, read.groups, read.reach, channels)


def _kind(read: Read, *, divided: bool, collected: bool) -> CollectiveKind | None:
    """The exchange that gives a value in a form; None if the tower has it so. A `collected` value is whole too."""
    match read.form:
        case "whole":
            return "collect" if divided else None
        case "partial":
            return "gather" if divided and not collected else "spread"
        case "group":
            return "gather_group" if divided and not collected else "spread_group"
        case "halo":
            return "halo"
        case "divided":
            return None if divided else "share"
