"""`netspec diff`: the differences between two specs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netspec.cli.console import GREEN, RED, print_json, print_out, print_table, style, terminal_width
from netspec.cli.options import FILE, json_option, set_option
from netspec.cli.table import Cell, Column

if TYPE_CHECKING:
    from netspec.graph import Graph, Node
    from netspec.graph.analysis import Analysis
    from netspec.graph.diff import FieldChange, GraphDiff
    from netspec.spec import ModelSpec

TOTALS = {"weights": "weights", "neurons": "neurons", "macs": "MACs", "activation_bytes": "activation bytes"}


@click.command(
    "diff",
    short_help="Show the differences between two specs.",
    epilog="""\b
Examples:
  netspec diff specs/alexnet.yaml specs/alexnet-caffe.yaml
  netspec diff specs/alexnet.yaml specs/alexnet-owt.yaml --json
""",
)
@click.argument("before", type=FILE, metavar="A")
@click.argument("after", type=FILE, metavar="B")
@set_option
@json_option
def command(before: Path, after: Path, settings: tuple[str, ...], as_json: bool) -> None:
    """Show the layers that are only in A (-), only in B (+) or different in B (~), the totals of both, and recipes.

    Layers are matched by name. The exit code is 0 whether anything differs or not.
    """
    from netspec.graph.analysis import analyze
    from netspec.graph.diff import diff_graphs
    from netspec.spec import elaborate, read_spec

    specs = (read_spec(before, settings), read_spec(after, settings))
    graphs = (elaborate(specs[0]), elaborate(specs[1]))
    diff, recipe = diff_graphs(*graphs), _diff_recipes(*specs)
    analyses = (analyze(graphs[0]), analyze(graphs[1]))
    if as_json:
        print_json(_as_json(graphs, diff, analyses) | {"recipe": _fields(recipe)})
        return
    if diff:
        _print_diff(diff)
        print_out()
        _print_totals(graphs, analyses)
    else:
        print_out(f"{graphs[0].name} and {graphs[1].name} compute the same, layer by layer")
    if recipe:
        print_out("\ntheir recipes differ")
        for change in recipe:
            _print_change(change, "~ ", "    ")


def _diff_recipes(before: ModelSpec, after: ModelSpec) -> list[FieldChange]:
    """Return the settings in which the recipes of two specs differ."""
    from netspec.graph.diff import FieldChange
    from netspec.training.same_run import differences

    old, new = ({"training": s.training.model_dump(mode="json") if s.training else None} for s in (before, after))
    return [FieldChange(each.path, each.before, each.now) for each in differences(old, new)]


def _print_diff(diff: GraphDiff) -> None:
    for change in diff.interface:
        _print_change(change, "~ ", "    ")
    from netspec.graph.text import print_node

    for node in diff.removed:
        print_out(style(f"- {print_node(node)}", RED))
    for node in diff.added:
        print_out(style(f"+ {print_node(node)}", GREEN))
    for layer in diff.changed:
        print_out(f"~ {layer.name}")
        for change in layer.fields:
            _print_change(change, "    ", "      ")


def _print_change(change: FieldChange, prefix: str, indent: str) -> None:
    """Print `field: before → after` on one line, or on three where the terminal is too narrow."""
    width = terminal_width()
    if width is None or len(f"{prefix}{change}") <= width:
        print_out(f"{prefix}{change}")
        return
    print_out(f"{prefix}{change.field}:")
    print_out(f"{indent}{change.before}")
    print_out(f"{indent}→ {change.after}")


def _print_totals(graphs: tuple[Graph, Graph], analyses: tuple[Analysis, Analysis]) -> None:
    rows: list[list[Cell]] = []
    for name, title in TOTALS.items():
        a, b = (getattr(analysis, name) for analysis in analyses)
        rows.append([title, a, b, f"{b - a:+,}"])
    names = [Column(graph.name, right=True) for graph in graphs]
    print_table((Column("in all"), *names, Column("difference", right=True)), rows)


def _as_json(graphs: tuple[Graph, Graph], diff: GraphDiff, analyses: tuple[Analysis, Analysis]) -> dict[str, Any]:
    totals = {}
    for name in TOTALS:
        a, b = (getattr(analysis, name) for analysis in analyses)
        totals[name] = {"before": a, "after": b, "difference": b - a}
    return {
        "before": graphs[0].name,
        "after": graphs[1].name,
        "interface": _fields(diff.interface),
        "removed": [_node(node) for node in diff.removed],
        "added": [_node(node) for node in diff.added],
        "changed": [{"name": layer.name, "fields": _fields(layer.fields)} for layer in diff.changed],
        "totals": totals,
    }


def _fields(changes: Iterable[FieldChange]) -> list[dict[str, str]]:
    return [{"field": c.field, "before": c.before, "after": c.after} for c in changes]


def _node(node: Node) -> dict[str, Any]:
    from netspec.graph.diff import attributes_of

    return {
        "name": node.name,
        "op": node.op.kind,
        "inputs": list(node.inputs),
        "shape": list(node.type.features),
        "attributes": attributes_of(node),
    }
