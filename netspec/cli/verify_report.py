"""What `netspec verify` shows: the figures, the closing line, and both as a value for JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from netspec.cli.console import GREEN, print_error, print_out, print_table, style
from netspec.cli.table import Cell, Column
from netspec.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netspec.verify import Comparison, NodeError, Report, TrainingDivergence, Unfinished

TITLES = (
    ("forward", "outputs, error as a share of the largest"),
    ("gradient", "gradients, error in relative L2"),
    ("training", "training, error as a share of the largest"),
)
COLUMNS = (
    Column("backend"),
    Column("against"),
    Column("dtype"),
    Column("input", fold=True),
    Column("worst in", fold=True),
    Column("error", right=True),
    Column("limit", right=True),
    Column(""),
)
NODE_COLUMNS = (
    Column("backend"),
    Column("dtype"),
    Column("layer", fold=True),
    Column("op", fold=True),
    Column("error", right=True),
    Column("limit", right=True),
    Column(""),
)


def print_report(report: Report, left_out: Sequence[str]) -> None:
    """Every figure, in a table for each level; then what was not compared, and why."""
    for level, title in TITLES:
        compared = [c for c in report.comparisons if c.level == level]
        if compared:
            print_out(style(f"{report.name}: {title}", "1"))
            _print_compared(compared)
            print_out()
    if report.nodes:
        print_out(style(f"{report.name}: layer by layer, error as a share of the largest", "1"))
        rows = [[n.backend, n.dtype, n.node, n.op, *_figures(n)] for n in report.nodes]
        print_table(NODE_COLUMNS, rows, lambda index: not report.nodes[index].passed)
        print_out()
    for note in (*report.notes, *left_out):
        print_out(f"note: {note}")


def _print_compared(compared: Sequence[Comparison]) -> None:
    rows: list[list[Cell]] = [[c.backend, c.against, str(c.dtype), c.case, c.subject, *_figures(c)] for c in compared]
    print_table(COLUMNS, rows, lambda index: not compared[index].passed)


def _figures(row: Comparison | NodeError) -> tuple[str, str, str]:
    return f"{row.error:.1e}", f"{row.tolerance:.0e}", "✓" if row.passed else "✗"


def conclude(report: Report, *, quiet: bool) -> int:
    """The closing line, and the exit code; of a failure, where it begins and what it usually is."""
    from netspec.errors import VerificationError

    compared = counted(len(report.comparisons), "comparison")
    if report.passed:
        if not quiet:
            print_out(f"{style('✓', GREEN)} {report.name}: {_proved(report)}: {compared}")
        return 0
    if not report.comparisons:
        print_error(f"{report.name}: nothing was compared, so nothing is proved", " ".join(report.notes))
        return VerificationError.exit_code
    failed, of = sum(not c.passed for c in report.comparisons), compared
    if not failed:
        failed, of = sum(not n.passed for n in report.nodes), counted(len(report.nodes), "layer value")
    lines = [f"{report.name}: {report.verdict}: {failed} of {of} failed"]
    found: tuple[NodeError | TrainingDivergence, ...] = (*report.divergences, *report.training)
    for divergence in found:
        lines.append(f"  {divergence}")
        lines += [f"    likely: {divergence.trap}"] if divergence.trap else []
    print_error("\n".join(lines))
    return VerificationError.exit_code


def _proved(report: Report) -> str:
    """What a report that has passed says, in one sentence."""
    first = report.comparisons[0]
    trained = list(dict.fromkeys(c.backend for c in report.comparisons if c.level == "training"))
    if first.against != "reference":
        trains = f", and trains as it does{_how_far(report)}" if trained else ""
        return f"{first.backend} is {first.against} on one device{trains}"
    who = f"{', '.join(dict.fromkeys(c.backend for c in report.comparisons))} and the reference are one function"
    if len(trained) == 1:
        return f"{who}, and the updates of {trained[0]} are those of NumPy"
    return who + (f", and train as one{_how_far(report)}: {', '.join(trained)}" if trained else "")


def _how_far(report: Report) -> str:
    """Where training was not compared to its end, how far it was: of several trainings in a dtype, the least."""
    least: dict[str, Unfinished] = {}
    for one in sorted(report.unfinished, key=lambda one: one.compared):
        least.setdefault(one.dtype, one)
    told = [
        f"in {dtype} for the first {one.compared} of {one.steps} steps" if one.compared else f"in {dtype} not compared"
        for dtype, one in least.items()
    ]
    return f" ({'; '.join(told)})" if told else ""


def as_value(report: Report, left_out: Sequence[str]) -> dict[str, Any]:
    """The same for JSON, which has no infinity: what could not be measured is null there."""
    return {
        "name": report.name,
        "passed": report.passed,
        "comparisons": [
            {
                "level": c.level,
                "backend": c.backend,
                "against": c.against,
                "dtype": str(c.dtype),
                "case": c.case,
                "subject": c.subject,
                "measure": c.measure,
                "error": _number(c.error),
                "tolerance": c.tolerance,
                "passed": c.passed,
            }
            for c in report.comparisons
        ],
        "layers": [_node(node) for node in report.nodes],
        "divergences": [_node(node) for node in report.divergences],
        "training": [asdict(found) | {"error": _number(found.error)} for found in report.training],
        "unfinished": [found._asdict() for found in report.unfinished],
        "notes": [*report.notes, *left_out],
    }


def _node(node: NodeError) -> dict[str, Any]:
    return {
        "layer": node.node,
        "op": node.op,
        "backend": node.backend,
        "dtype": node.dtype,
        "error": _number(node.error),
        "tolerance": node.tolerance,
        "passed": node.passed,
        "trap": node.trap,
    }


def _number(error: float) -> float | None:
    """The error, or None where nothing could be measured: JSON has no infinity."""
    return error if math.isfinite(error) else None
