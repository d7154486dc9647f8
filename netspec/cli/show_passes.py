"""The output of `netspec show --passes`: the passes of each level, the layers that each changed, and the savings."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from netspec.cli.console import print_out, print_table
from netspec.cli.table import Cell, Column, memory
from netspec.passes import Cost, Level, optimize

if TYPE_CHECKING:
    from netspec.graph import Graph
    from netspec.passes import Optimized, Step

LEVELS: Final[tuple[Level, ...]] = ("training", "inference")
COLUMNS: Final = (
    Column("pass", fold=True),
    Column("changed", fold=True),
    Column("nodes", right=True),
    Column("weights", right=True),
    Column("written", right=True),
    Column("not for"),
)
MAX_NAMES: Final = 4  # changed nodes that are listed by name; more are a range and their number


def print_passes(graph: Graph) -> None:
    """Print a table for each level: the plain costs, the savings of each pass as differences, and what is left."""
    costly = costly_passes()
    for level in LEVELS:
        optimized = optimize(graph, level)
        print_out(f"{graph.name}, --optimize {level}")
        rows: list[list[Cell]] = [["as the spec says", "", *_figures(Cost.of(graph)), ""]]
        for step, saved in _savings(optimized):
            skipped = ", ".join(costly.get(step.name, ()))
            rows.append([step.name, _changed(step), *map(_difference, saved[:2]), _saved(saved[2]), skipped])
        rows.append(["in all", "", *_figures(Cost.of(optimized.graph)), ""])
        print_table(COLUMNS, rows)
        print_out()
    steps = _steps(graph)
    for step in steps:
        print_out(f"{step.name}: {step.summary}")
    for step in steps:
        for backend, reason in costly.get(step.name, {}).items():
            print_out(f"{step.name} is not made for {backend}: {reason}")


def passes_as_json(graph: Graph) -> dict[str, Any]:
    """Return the same for JSON: the changed nodes of each pass, and the nodes, weights and bytes left after it."""
    return {
        "name": graph.name,
        "plain": _as_json(Cost.of(graph)),
        "levels": {
            level: [
                {"pass": step.name, "summary": step.summary, "changed": list(step.changed), "left": _as_json(step.cost)}
                for step in optimize(graph, level).steps
            ]
            for level in LEVELS
        },
        "not_made_for": costly_passes(),
    }


def costly_passes() -> dict[str, dict[str, str]]:
    """Return the backends that leave out a pass and their reasons, by the name of the pass."""
    from netspec.lowering import backend_names, find_backend

    reasons: dict[str, dict[str, str]] = {}
    for backend in backend_names():
        for name, reason in find_backend(backend).costly_passes.items():
            reasons.setdefault(name, {})[backend] = reason
    return reasons


def _steps(graph: Graph) -> list[Step]:
    """Return the passes that change the graph at some level, without duplicates."""
    return list({step.name: step for level in LEVELS for step in optimize(graph, level).steps}.values())


def _savings(optimized: Optimized) -> Iterator[tuple[Step, tuple[int, int, int]]]:
    """Yield each step with its change in nodes, weights and bytes written; a saving is negative."""
    costs = [Cost.of(optimized.plain), *(step.cost for step in optimized.steps)]
    for step, (before, after) in zip(optimized.steps, pairwise(costs), strict=True):
        yield step, (after.nodes - before.nodes, after.weights - before.weights, after.written - before.written)


def _changed(step: Step) -> str:
    if len(step.changed) > MAX_NAMES:
        return f"{step.changed[0]} to {step.changed[-1]}: {len(step.changed)}"
    return ", ".join(step.changed)


def _figures(cost: Cost) -> tuple[str, str, str]:
    return f"{cost.nodes:,}", f"{cost.weights:,}", memory(cost.written)


def _difference(count: int) -> str:
    return f"{count:+,}".replace("-", "−") if count else ""


def _saved(size: int) -> str:
    return ("−" if size < 0 else "+") + memory(abs(size)) if size else ""


def _as_json(cost: Cost) -> dict[str, int]:
    return {"nodes": cost.nodes, "weights": cost.weights, "written_bytes": cost.written}
