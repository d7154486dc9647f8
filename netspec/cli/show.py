"""`netspec show`: the layers, shapes, weights and costs of a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netspec.cli.console import print_json, print_out, print_table
from netspec.cli.options import json_option, set_option, spec_arguments
from netspec.cli.table import Cell, Column, memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netspec.graph import Graph
    from netspec.graph.analysis import Analysis
    from netspec.spec import ModelSpec

COLUMNS = (
    Column("layer", fold=True),
    Column("op", fold=True),
    Column("output"),
    Column("weights", right=True),
    Column("MACs", right=True),
    Column("activation", right=True),
    Column("field", right=True),
)


@click.command(
    "show",
    short_help="Show layers, shapes, weights and costs.",
    epilog="""\b
Examples:
  netspec show specs/alexnet.yaml
  netspec show specs/alexnet.yaml --set classes=10
  netspec show specs/alexnet.yaml --graph > alexnet.mmd
  netspec show specs/resnet.yaml --set depth=18 --unfold
  netspec show specs/*.yaml --json
  netspec show specs/alexnet.yaml --passes
  netspec show specs/alexnet.yaml --placement
""",
)
@spec_arguments
@set_option
@json_option
@click.option("--graph", "as_graph", is_flag=True, help="Print a Mermaid flowchart instead of a table.")
@click.option("--unfold", is_flag=True, help="Show each layer of a block, not one line per block.")
@click.option("--passes", "as_passes", is_flag=True, help="Print what each pass of --optimize changes and saves.")
@click.option("--placement", "as_placement", is_flag=True, help="Print how the network is placed on several devices.")
def command(
    specs: tuple[Path, ...],
    settings: tuple[str, ...],
    as_json: bool,
    as_graph: bool,
    unfold: bool,
    as_passes: bool,
    as_placement: bool,
) -> None:
    """Show each layer's op, output shape, weights, MACs, activation memory and receptive field, for one sample.

    A block is one line, with the sums of its layers. JSON lists all layers, and the blocks separately.

    Layers of auxiliary heads, which exist only in training, are marked.

    The totals below the table are printed beside the published ones, if the spec states those. Neurons are counted as
    in Krizhevsky et al. 2012: the outputs of the layers that multiply by weights.

    --passes shows what `--optimize` of other commands does to the network: the layers that each pass removes or
    changes, and the nodes, weights and bytes written per sample that it saves.

    --placement shows how the network is divided between the devices of its `placement:`, as in figure 2 of Krizhevsky
    et al. 2012: what each tower computes, the weights that it keeps, and the bytes that it receives at each crossing,
    in a training step with the batch of the recipe.
    """
    from netspec.graph.analysis import analyze
    from netspec.graph.mermaid import print_mermaid
    from netspec.spec import elaborate, read_spec

    _require_exclusive({"--graph": as_graph, "--passes": as_passes, "--placement": as_placement})
    if as_graph and (as_json or len(specs) > 1):
        raise click.UsageError("--graph prints one flowchart: give it one SPEC, and no --json")
    networks = [(spec, elaborate(spec)) for spec in [read_spec(path, settings) for path in specs]]
    if as_graph:
        print_out(print_mermaid(networks[0][1], unfold=unfold))
    elif as_passes:
        _show_passes([graph for _, graph in networks], as_json)
    elif as_placement:
        _show_placements(networks, as_json)
    elif as_json:
        print_json([_as_json(spec, graph, analyze(graph)) for spec, graph in networks])
    else:
        _show_layers(networks, unfold=unfold)


def _require_exclusive(options: Mapping[str, bool]) -> None:
    """Raise UsageError if more than one of the options is given."""
    if len(given := [name for name, chosen in options.items() if chosen]) > 1:
        raise click.UsageError(f"{given[0]} and {given[1]} exclude each other")


def _show_layers(networks: Sequence[tuple[ModelSpec, Graph]], *, unfold: bool) -> None:
    from netspec.graph.analysis import analyze

    for index, (spec, graph) in enumerate(networks):
        if index:
            print_out()
        _print_network(spec, graph, analyze(graph), unfold=unfold)


def _show_passes(graphs: Sequence[Graph], as_json: bool) -> None:
    from netspec.cli.show_passes import passes_as_json, print_passes

    if as_json:
        print_json([passes_as_json(graph) for graph in graphs])
        return
    for index, graph in enumerate(graphs):
        if index:
            print_out()
        print_passes(graph)


def _show_placements(networks: Sequence[tuple[ModelSpec, Graph]], as_json: bool) -> None:
    from netspec.cli.show_placement import placement_as_json, placement_of, print_placement

    placed = [placement_of(spec, graph) for spec, graph in networks]
    if as_json:
        print_json([placement_as_json(placement, batch) for placement, batch in placed])
        return
    for index, (placement, batch) in enumerate(placed):
        if index:
            print_out()
        print_placement(placement, batch)


def _print_network(spec: ModelSpec, graph: Graph, analysis: Analysis, *, unfold: bool) -> None:
    from netspec.graph.analysis import at_inference
    from netspec.graph.folding import fold_rows
    from netspec.graph.mermaid import shape_of

    print_out(f"{graph.name}: {graph.source}" if graph.source else graph.name)
    print_out()
    rows: list[list[Cell]] = [[value.name, "input", shape_of(value.type)] + [None] * 4 for value in graph.inputs]
    for row in analysis.rows if unfold else fold_rows(graph, analysis):
        figures = [row.weights or None, row.macs or None, memory(row.activation_bytes), str(row.receptive_field)]
        kind = f"{row.kind}, in training" if _is_training_only(graph, row.name) else row.kind
        rows.append([row.name, kind, ", ".join(map(shape_of, row.types)), *figures])
    rows.append(["total", "", "", analysis.weights, analysis.macs, memory(analysis.activation_bytes), ""])
    print_table(COLUMNS, rows)
    print_out()
    _print_totals(spec, analysis, at_inference(graph) if graph.heads else None)


def _is_training_only(graph: Graph, name: str) -> bool:
    """Whether a layer or block serves only auxiliary heads."""
    return name in graph.training_only or any(node.startswith(f"{name}.") for node in graph.training_only)


def _print_totals(spec: ModelSpec, analysis: Analysis, inference: Analysis | None) -> None:
    """Print the totals beside the published ones.

    For a network with auxiliary heads, `inference` is its analysis without them, which is what sources publish.
    """
    published = spec.published.model_dump() if spec.published else {}
    columns = [Column("in all"), Column("counted", right=True)]
    if inference is not None:
        columns.append(Column("with heads", right=True))
    if published:
        columns.append(Column("published", right=True))
    with_heads = {title: total for title, _, total in _totals(analysis, published)}
    rows = []
    for title, key, total in _totals(inference or analysis, published):
        heads = [with_heads[title]] if inference is not None else []
        rows.append([title, total, *heads, *([_exact(published.get(key))] if published else [])])
    print_table(columns, rows)


def _totals(analysis: Analysis, published: Mapping[str, int | None]) -> list[tuple[str, str, str]]:
    """Return the title, the key under `published:` and the value of each total.

    The trained weights have a row of their own if some weights are not trained, or if their number is published.
    """
    rows = [
        ("weights", "weights", f"{analysis.weights:,}"),
        ("neurons", "neurons", f"{analysis.neurons:,}"),
        ("MACs", "macs", f"{analysis.macs:,}"),
    ]
    if analysis.untrained or published.get("trained") is not None:
        rows.insert(1, ("  trained", "trained", f"{analysis.weights - analysis.untrained:,}"))
    if analysis.untrained:
        rows.insert(2, ("  not trained", "", f"{analysis.untrained:,}"))
    return rows


def _exact(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def _as_json(spec: ModelSpec, graph: Graph, analysis: Analysis) -> dict[str, Any]:
    from netspec.graph.analysis import at_inference

    layers, inference = [], at_inference(graph)
    for row in analysis.rows:
        field = row.receptive_field
        layers.append(
            {
                "name": row.node.name,
                "op": row.node.op.kind,
                "inputs": list(row.node.inputs),
                "shape": list(row.node.type.features),
                "weights": row.weights,
                "untrained": row.untrained,
                "macs": row.macs,
                "activation_bytes": row.activation_bytes,
                "receptive_field": None if field.whole else list(field.size),
            }
        )
    totals = ("weights", "untrained", "neurons", "macs", "activation_bytes")
    return {
        "name": graph.name,
        "source": graph.source,
        "inputs": [{"name": value.name, "shape": list(value.type.features)} for value in graph.inputs],
        "outputs": list(graph.main),
        "auxiliary": list(graph.auxiliary),
        "layers": layers,
        "blocks": [
            {"path": scope.path, "block": scope.block, "arguments": dict(scope.arguments)}
            for scope in graph.scopes
            if not scope.is_stack
        ],
        "totals": {name: getattr(analysis, name) for name in totals},
        "inference": {name: getattr(inference, name) for name in totals},
        "published": spec.published.model_dump(exclude_none=True) if spec.published else {},
    }
