"""The output of `netspec show --placement`: tables of layers and crossings, the paper's figure 2, and totals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from netspec.cli.console import print_out, print_table
from netspec.cli.table import Cell, Column, fold, memory, short_count
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
BOX: Final = 33  # width of a tower's box in characters; two boxes and the gap take 78
GAP: Final = 12
WAYS: Final = {"apart": "from its own", "column": "its share", "halo": "with a halo", "whole": "in each"}


def placement_of(spec: ModelSpec, graph: Graph) -> tuple[Placement, int]:
    """The placement of a spec, and the number of samples in a step of its recipe, or 1 without a recipe.

    Raises:
        NetspecError: the spec has no placement.
    """
    towers, recipe = spec.require_placement().towers, spec.training
    return place(graph, towers), recipe.batch_size * recipe.accumulate if recipe else 1


def print_placement(placement: Placement, batch: int) -> None:
    """Print the tables of layers and crossings, the drawing, and the totals."""
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
    for where, (names, size) in received(placement, batch).items():
        if size:
            print_out(f"  {where}{', ' if names else ''}{_named(names)}: {memory(size)}")
    print_out(f"by plain data parallelism over {placement.towers}: {memory(by_data_parallelism(placement))}")
    for why, layers in whole_layers(placement).items():
        print_out(f"{_named(layers)} {'is' if len(layers) == 1 else 'are'} whole in each tower: {why}")


def whole_layers(placement: Placement) -> dict[str, list[str]]:
    """The layers that are computed whole although an input of theirs is divided, or they have filters; by the reason.

    What reads only their results is computed whole too.
    """
    layers: dict[str, list[str]] = {}
    for layer in placement.places:
        if layer.why:
            layers.setdefault(layer.why, []).append(layer.name)
    return layers


def received(placement: Placement, batch: int) -> dict[str, tuple[list[str], int]]:
    """The bytes that a tower receives in a step, by where it does, with the names of the layers or outputs.

    Figure 2 of Krizhevsky et al. 2012 shows those at layers. The outputs are collected since each tower computes the
    loss.
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
    """The names; of more than six, the first and the last."""
    return ", ".join(names) if len(names) <= 6 else f"{names[0]} … {names[-1]} ({len(names)})"


def by_data_parallelism(placement: Placement) -> int:
    """Bytes that each device would receive in a step of data parallelism: an all-reduce of all trained weights."""
    graph, towers = placement.graph, placement.towers
    trained = sum(weight.size for weight in graph.weights.values() if weight.trainable)
    return 2 * trained * graph.dtype.bytes * (towers - 1) // towers


def _layers(placement: Placement) -> Iterator[list[Cell]]:
    graph, towers = placement.graph, placement.towers
    for node, layer in zip(graph.nodes, placement.places, strict=True):
        type = local_type(node.type, towers) if layer.divided else node.type
        whole = sum(weight.size for weight in node.weights.values())
        yield [layer.name, WAYS[layer.way], shape_of(type), _kept(placement, layer.name) or None, whole or None]
    yield ["total", "", "", placement.tower_weights, placement.whole_weights]


def _kept(placement: Placement, *nodes: str) -> int:
    """The number of elements of these nodes' weights that a tower keeps."""
    return sum(w.kept(placement.towers) for w in placement.weights if parent_of(w.name) in nodes)


def _crossings(placement: Placement, batch: int) -> Iterator[list[Cell]]:
    for crossing in placement.crossings:
        readers = ", ".join(crossing.readers) or "the output"
        forward, backward = crossing.forward * batch, crossing.backward * batch
        yield [crossing.value, crossing.kind, readers, _bytes(forward), _bytes(backward)]


def _bytes(size: int) -> str:
    return memory(size) if size else ""


def draw(placement: Placement, batch: int) -> Iterator[str]:
    """Lines of a drawing of the first and the last tower side by side, with the bytes of each crossing.

    Each box holds the layers from one crossing to the next.
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
    """The nodes from one crossing to the next, with the crossings to the first of them; last, those to the outputs."""
    entering: dict[str, list[Crossing]] = {}
    for crossing in placement.crossings:
        for reader in crossing.readers[:1]:
            entering.setdefault(reader, []).append(crossing)
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


def _sentence(crossing: Crossing, batch: int) -> str:
    forward, backward = crossing.forward * batch, crossing.backward * batch
    sizes = [f"{memory(size)} {name}" for size, name in ((forward, "forward"), (backward, "backward")) if size]
    return f"{crossing.value} crosses: {', '.join(sizes)} to each"


def _box(placement: Placement, nodes: list[str]) -> list[str]:
    inner = BOX - 4
    type = placement.graph.type_of(nodes[-1])
    shape = shape_of(local_type(type, placement.towers) if placement.place_of[nodes[-1]].divided else type)
    weights = _kept(placement, *nodes)
    names = " ".join(nodes) if len(nodes) <= 8 else f"{nodes[0]} … {nodes[-1]} ({len(nodes)} layers)"
    texts = [*fold(names, inner), *fold(f"{shape}{f', {short_count(weights)} weights' if weights else ''}", inner)]
    lines = [f"│ {text.ljust(inner)} │" for text in texts]
    return [f"┌{'─' * (inner + 2)}┐", *lines, f"└{'─' * (inner + 2)}┘"]


def _beside(left: str, right: str, between: str) -> str:
    return f"{left}{between.center(GAP)}{right}".rstrip()


def placement_as_json(placement: Placement, batch: int) -> dict[str, Any]:
    """The placement as JSON values. Bytes are those that each tower receives in a step."""
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
                "reads": {name: read.form for name, read in reads(node, layer).items()},
                "shape": list((local_type(node.type, placement.towers) if layer.divided else node.type).features),
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
