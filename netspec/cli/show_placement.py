"""What `netspec show --placement` prints: where each layer and weight lies, what crosses, and the paper's figure 2."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from netspec.cli.console import print_out, print_table
from netspec.cli.table import Cell, Column, fold, memory, short_count
from netspec.graph import Node
from netspec.graph.crossing import Crossing
from netspec.graph.localize import local_type
from netspec.graph.mermaid import shape_of
from netspec.graph.placement import Placement, place
from netspec.graph.places import reads
from netspec.graph.scopes import parent_of
from netspec.words import counted

if TYPE_CHECKING:
    from netspec.graph import Graph
    from netspec.spec import ModelSpec

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
BOX: Final = 33  # characters of a tower's box; two of them and the gap are 78
GAP: Final = 12
WAYS: Final = {"apart": "from its own", "column": "its share", "whole": "in each"}


def placement_of(spec: ModelSpec, graph: Graph) -> tuple[Placement, int]:
    """The placement that a spec asks for, and the samples of a step by its recipe.

    Raises:
        NetspecError: it asks for none.
    """
    towers, recipe = spec.require_placement().towers, spec.training
    return place(graph, towers), recipe.batch_size * recipe.accumulate if recipe else 1


def print_placement(placement: Placement, batch: int) -> None:
    """Two tables, the drawing and the sums."""
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
        f"weights of a tower: {placement.tower_weights:,} of {placement.whole_weights:,} ({share:.3f}), "
        "and so each slot"
    )
    print_out(f"received by a tower in a step: {memory(placement.moved(batch))}")
    for what, (names, size) in received(placement, batch).items():
        if size:
            print_out(f"  {what}{_named(names)}: {memory(size)}")
    print_out(f"by plain data parallelism over {placement.towers}: {memory(by_data_parallelism(placement))}")
    for own in placement.places:
        if own.why:
            print_out(f"{own.name} is whole in each tower: {own.why}")


def received(placement: Placement, batch: int) -> dict[str, tuple[list[str], int]]:
    """Of what a tower receives in a step, where: the layers or outputs, and bytes.

    Figure 2 of Krizhevsky et al. 2012 draws the first of these. The loss is of the outputs, and each tower computes it.
    """

    def moved(crossings: list[Crossing]) -> int:
        return batch * sum(crossing.forward + crossing.backward for crossing in crossings)

    moving = [crossing for crossing in placement.crossings if crossing.forward or crossing.backward]
    inner, outer = [c for c in moving if c.readers], [c for c in moving if not c.readers]
    layers = list(dict.fromkeys(name for crossing in inner for name in crossing.readers))
    return {
        "at layers that read other towers": (layers, moved(inner)),
        "at the outputs": ([crossing.value for crossing in outer], moved(outer)),
        "gradients of weights that each has whole": ([], placement.moved_gradients),
    }


def _named(names: list[str]) -> str:
    if not names:
        return ""
    return f", {', '.join(names)}" if len(names) <= 6 else f", {names[0]} … {names[-1]} ({len(names)})"


def by_data_parallelism(placement: Placement) -> int:
    """Bytes that each of as many replicas would receive in a step: an all-reduce of all trained weights."""
    graph, towers = placement.graph, placement.towers
    trained = sum(weight.size for weight in graph.weights.values() if weight.trainable)
    return 2 * trained * graph.dtype.bytes * (towers - 1) // towers


def _layers(placement: Placement) -> Iterator[list[Cell]]:
    graph, towers = placement.graph, placement.towers
    for own in placement.places:
        node = graph.values[own.name]
        type = local_type(node.type, towers) if own.divided else node.type
        whole = sum(weight.size for weight in node.weights.values()) if isinstance(node, Node) else 0
        yield [own.name, WAYS[own.way], shape_of(type), _kept(placement, own.name) or None, whole or None]
    yield ["total", "", "", placement.tower_weights, placement.whole_weights]


def _kept(placement: Placement, *nodes: str) -> int:
    """Weights of these nodes that a tower keeps."""
    return sum(w.kept(placement.towers) for w in placement.weights if parent_of(w.name) in nodes)


def _crossings(placement: Placement, batch: int) -> Iterator[list[Cell]]:
    for crossing in placement.crossings:
        readers = ", ".join(crossing.readers) or "the output"
        forward, backward = crossing.forward * batch, crossing.backward * batch
        yield [crossing.value, crossing.kind, readers, _bytes(forward), _bytes(backward)]


def _bytes(size: int) -> str:
    return memory(size) if size else ""


def draw(placement: Placement, batch: int) -> Iterator[str]:
    """The first tower and the last beside each other, from top to bottom; where values cross, and how much of them.

    A box holds the layers from one crossing to the next.
    """
    first, last = "tower 1", f"tower {placement.towers}"
    between = "…" if placement.towers > 2 else ""
    yield _beside(first.center(BOX), last.center(BOX), between)
    for crossings, nodes in _stages(placement):
        moved = [c for c in crossings if c.forward or c.backward]
        for crossing in moved:
            yield _beside("│".center(BOX), "│".center(BOX), "╳" if crossing is moved[0] else "")
            yield _sentence(crossing, batch).center(2 * BOX + GAP).rstrip()
        if moved:
            yield _beside("▼".center(BOX), "▼".center(BOX), "")
        if nodes:
            box = _box(placement, nodes)
            yield from (_beside(line, line, between) for line in box)


def _stages(placement: Placement) -> Iterator[tuple[list[Crossing], list[str]]]:
    """The nodes from one crossing to the next, with what crosses to them; at the end what crosses to the outputs."""
    entering: dict[str, list[Crossing]] = {}
    for crossing in placement.crossings:
        for reader in crossing.readers[:1]:
            entering.setdefault(reader, []).append(crossing)
    crossings: list[Crossing] = []
    nodes: list[str] = []
    for own in placement.places:
        if own.name in entering:
            if nodes:
                yield crossings, nodes
            crossings, nodes = entering[own.name], []
        nodes.append(own.name)
    yield crossings, nodes
    yield [crossing for crossing in placement.crossings if not crossing.readers], []


def _sentence(crossing: Crossing, batch: int) -> str:
    forward, backward = crossing.forward * batch, crossing.backward * batch
    ways = [f"{memory(size)} {way}" for size, way in ((forward, "forward"), (backward, "backward")) if size]
    return f"{crossing.value} crosses: {', '.join(ways)} to each"


def _box(placement: Placement, nodes: list[str]) -> list[str]:
    inner = BOX - 4
    shapes = [placement.graph.type_of(nodes[-1])]
    divided = placement.place_of[nodes[-1]].divided
    shape = shape_of(local_type(shapes[0], placement.towers) if divided else shapes[0])
    weights = _kept(placement, *nodes)
    names = " ".join(nodes) if len(nodes) <= 8 else f"{nodes[0]} … {nodes[-1]} ({len(nodes)} layers)"
    texts = [*fold(names, inner), *fold(f"{shape}{f', {short_count(weights)} weights' if weights else ''}", inner)]
    lines = [f"│ {text.ljust(inner)} │" for text in texts]
    return [f"┌{'─' * (inner + 2)}┐", *lines, f"└{'─' * (inner + 2)}┘"]


def _beside(left: str, right: str, between: str) -> str:
    return f"{left}{between.center(GAP)}{right}".rstrip()


def placement_as_json(placement: Placement, batch: int) -> dict[str, Any]:
    """The same as data; bytes are of a step, received by each tower."""
    graph = placement.graph
    return {
        "name": graph.name,
        "towers": placement.towers,
        "batch": batch,
        "layers": [
            {
                "name": own.name,
                "way": own.way,
                "why": own.why,
                "reads": {name: read.form for name, read in reads(node, own).items()},
                "shape": list((local_type(node.type, placement.towers) if own.divided else node.type).features),
            }
            for node, own in zip(graph.nodes, placement.places, strict=True)
        ],
        "weights": [
            {"name": w.name, "shape": list(w.shape), "axis": w.axis, "partial": w.partial} for w in placement.weights
        ],
        "crossings": [
            {
                "value": crossing.value,
                "kind": crossing.kind,
                "groups": crossing.groups,
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
            "layer_bytes": received(placement, batch)["at layers that read other towers"][1],
            "output_bytes": received(placement, batch)["at the outputs"][1],
            "gradient_bytes": placement.moved_gradients,
            "data_parallel_bytes": by_data_parallelism(placement),
        },
    }
