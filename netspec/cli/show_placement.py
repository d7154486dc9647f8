"""The output of `netspec show --placement`: the part of each tower, what crosses, and a drawing as in figure 2."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from netspec.cli.console import print_out, print_table
from netspec.cli.table import Cell, Column, fold, memory, short_count
from netspec.graph import Node
from netspec.graph.localize import local_type
from netspec.graph.mermaid import shape_of
from netspec.graph.placement import Crossing, Placement, place, reads
from netspec.graph.scopes import parent_of
from netspec.words import counted

if TYPE_CHECKING:
    from netspec.graph import Graph
    from netspec.spec import ModelSpec
    from netspec.types import TensorType

LAYERS: Final = (
    Column("layer", fold=True),
    Column("computed"),
    Column("in a tower"),
    Column("weights", right=True),
    Column("of", right=True),
)
CROSSINGS: Final = (
    Column("value", fold=True),
    Column("crossing"),
    Column("to", fold=True),
    Column("forward", right=True),
    Column("backward", right=True),
)
BOX: Final = 33  # width of the box of a tower, in characters; two boxes and the gap take 78
GAP: Final = 12
WAYS: Final = {"apart": "from its own", "column": "its share", "whole": "in each"}
NAMED_LAYERS: Final = 6  # layers that receive values, listed by name; of more, the first and the last
BOXED_LAYERS: Final = 8  # the same for the layers of a box


def placement_of(spec: ModelSpec, graph: Graph) -> tuple[Placement, int]:
    """Return the placement that a spec states, and the number of samples in a step of its recipe (1 without one).

    Raises:
        NetspecError: the spec has no `placement:`.
    """
    towers, recipe = spec.require_placement().towers, spec.training
    return place(graph, towers), recipe.batch_size * recipe.accumulate if recipe else 1


def print_placement(placement: Placement, batch: int) -> None:
    """Print the tables of layers and crossings, the drawing and the totals."""
    graph = placement.graph
    print_out(f"{graph.name} on {placement.towers} towers, a step of {counted(batch, 'sample')}")
    print_out()
    print_table(LAYERS, [*_layers(placement)])
    print_out()
    if placement.crossings:
        print_table(CROSSINGS, [*_crossings(placement, batch)])
        print_out()
    for line in draw(placement, batch):
        print_out(line)
    print_out()
    share = placement.tower_weights / placement.whole_weights
    print_out(
        f"weights of a tower: {placement.tower_weights:,} of {placement.whole_weights:,} ({share:.3f}); "
        "optimizer state likewise"
    )
    print_out(f"received by a tower in a step: {memory(placement.moved(batch))}")
    for part in _received(placement, batch).values():
        if part.size:
            print_out(f"  {part.title}{_listed(part.names)}: {memory(part.size)}")
    print_out(f"by plain data parallelism over {placement.towers}: {memory(_data_parallel_bytes(placement))}")
    for layer in placement.places:
        if layer.why:
            print_out(f"{layer.name} is whole in each tower: {layer.why}")


class Received(NamedTuple):
    """A part of the bytes that a tower receives in a step, and the layers or outputs that it receives them for."""

    title: str
    names: list[str]
    size: int


def _received(placement: Placement, batch: int) -> dict[str, Received]:
    """Return the bytes that a tower receives in a step, by the key of their total in JSON.

    Figure 2 of Krizhevsky et al. 2012 draws those of layers. Every tower computes the loss, and receives all outputs.
    """

    def moved(crossings: list[Crossing]) -> int:
        return batch * sum(crossing.forward + crossing.backward for crossing in crossings)

    moving = [crossing for crossing in placement.crossings if crossing.forward or crossing.backward]
    inner, outer = [c for c in moving if c.readers], [c for c in moving if not c.readers]
    layers = list(dict.fromkeys(name for crossing in inner for name in crossing.readers))
    outputs = [crossing.value for crossing in outer]
    return {
        "layer_bytes": Received("at layers that read all towers", layers, moved(inner)),
        "output_bytes": Received("at the outputs", outputs, moved(outer)),
        "gradient_bytes": Received("gradients of weights that every tower holds", [], placement.moved_gradients),
    }


def _listed(names: list[str]) -> str:
    if not names:
        return ""
    return f", {', '.join(names)}" if len(names) <= NAMED_LAYERS else f", {names[0]} … {names[-1]} ({len(names)})"


def _data_parallel_bytes(placement: Placement) -> int:
    """Return the bytes that each of as many replicas would receive in a step: a ring all-reduce of all gradients."""
    graph, towers = placement.graph, placement.towers
    trained = sum(weight.size for weight in graph.weights.values() if weight.trainable)
    return 2 * trained * graph.dtype.bytes * (towers - 1) // towers


def _layers(placement: Placement) -> Iterator[list[Cell]]:
    for layer in placement.places:
        node = placement.graph.values[layer.name]
        whole = sum(weight.size for weight in node.weights.values()) if isinstance(node, Node) else 0
        kept = _kept_weights(placement, layer.name)
        yield [layer.name, WAYS[layer.way], shape_of(_tower_type(placement, layer.name)), kept or None, whole or None]
    yield ["total", "", "", placement.tower_weights, placement.whole_weights]


def _tower_type(placement: Placement, name: str) -> TensorType:
    """Return the type of a node's value in one tower."""
    type = placement.graph.type_of(name)
    return local_type(type, placement.towers) if placement.place_of[name].divided else type


def _kept_weights(placement: Placement, *nodes: str) -> int:
    """Return how many weights of these nodes a tower keeps."""
    return sum(w.kept(placement.towers) for w in placement.weights if parent_of(w.name) in nodes)


def _crossings(placement: Placement, batch: int) -> Iterator[list[Cell]]:
    for crossing in placement.crossings:
        readers = ", ".join(crossing.readers) or "the output"
        forward, backward = crossing.forward * batch, crossing.backward * batch
        yield [crossing.value, crossing.kind, readers, _bytes(forward), _bytes(backward)]


def _bytes(size: int) -> str:
    return memory(size) if size else ""


def draw(placement: Placement, batch: int) -> Iterator[str]:
    """Yield the lines of a drawing: the first and the last tower side by side, and the values that cross between them.

    A box holds the layers from one crossing to the next.
    """
    first, last = "tower 1", f"tower {placement.towers}"
    between = "…" if placement.towers > 2 else ""
    yield _beside(first.center(BOX), last.center(BOX), between)
    for crossings, nodes in _stages(placement):
        moved = [c for c in crossings if c.forward or c.backward]
        for crossing in moved:
            yield _beside("│".center(BOX), "│".center(BOX), "╳" if crossing is moved[0] else "")
            yield _crossing_label(crossing, batch).center(2 * BOX + GAP).rstrip()
        if moved:
            yield _beside("▼".center(BOX), "▼".center(BOX), "")
        if nodes:
            box = _box(placement, nodes)
            yield from (_beside(line, line, between) for line in box)


def _stages(placement: Placement) -> Iterator[tuple[list[Crossing], list[str]]]:
    """Yield the crossings to each box and its nodes; at the end the crossings to the outputs, without nodes."""
    entering: dict[str, list[Crossing]] = {}
    for crossing in placement.crossings:
        if crossing.readers:
            entering.setdefault(crossing.readers[0], []).append(crossing)
    crossings: list[Crossing] = []
    nodes: list[str] = []
    for layer in placement.places:
        if layer.name in entering:
            if nodes:
                yield crossings, nodes
            crossings, nodes = entering[layer.name], []
        nodes.append(layer.name)
    yield crossings, nodes
    yield [crossing for crossing in placement.crossings if not crossing.readers], []


def _crossing_label(crossing: Crossing, batch: int) -> str:
    forward, backward = crossing.forward * batch, crossing.backward * batch
    ways = [f"{memory(size)} {way}" for size, way in ((forward, "forward"), (backward, "backward")) if size]
    return f"{crossing.value} crosses: {', '.join(ways)} to each"


def _box(placement: Placement, nodes: list[str]) -> list[str]:
    inner = BOX - 4
    shape = shape_of(_tower_type(placement, nodes[-1]))
    weights = _kept_weights(placement, *nodes)
    names = " ".join(nodes) if len(nodes) <= BOXED_LAYERS else f"{nodes[0]} … {nodes[-1]} ({len(nodes)} layers)"
    sizes = f"{shape}, {short_count(weights)} weights" if weights else shape
    lines = [f"│ {text.ljust(inner)} │" for text in (*fold(names, inner), *fold(sizes, inner))]
    return [f"┌{'─' * (inner + 2)}┐", *lines, f"└{'─' * (inner + 2)}┘"]


def _beside(left: str, right: str, between: str) -> str:
    return f"{left}{between.center(GAP)}{right}".rstrip()


def placement_as_json(placement: Placement, batch: int) -> dict[str, Any]:
    """Return the same for JSON. Bytes are those that each tower receives in a step."""
    graph = placement.graph
    return {
        "name": graph.name,
        "towers": placement.towers,
        "batch": batch,
        "layers": [
            {
                "name": layer.name,
                "way": layer.way,
                "why": layer.why,
                "reads": reads(node, layer),
                "shape": list(_tower_type(placement, layer.name).features),
            }
            for node, layer in zip(graph.nodes, placement.places, strict=True)
        ],
        "weights": [
            {"name": w.name, "shape": list(w.shape), "axis": w.axis, "partial": w.partial} for w in placement.weights
        ],
        "crossings": [
            {
                "value": crossing.value,
                "kind": crossing.kind,
                "readers": list(crossing.readers),
                "forward_bytes": crossing.forward * batch,
                "backward_bytes": crossing.backward * batch,
            }
            for crossing in placement.crossings
        ],
        "totals": {
            "weights": placement.whole_weights,
            "tower_weights": placement.tower_weights,
            "bytes": placement.moved(batch),
            **{key: part.size for key, part in _received(placement, batch).items()},
            "data_parallel_bytes": _data_parallel_bytes(placement),
        },
    }
