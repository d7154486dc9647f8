"""The output of `netspec verify`: the tables of errors, the closing line, and both for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from netspec.cli.console import BOLD, GREEN, print_error, print_out, print_table, style
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
    """Print all errors, in a table for each level; then notes on what was not compared, and why."""
    for level, title in TITLES:
        compared = [c for c in report.comparisons if c.level == level]
        if compared:
            print_out(style(f"{report.name}: {title}", BOLD))
            _print_compared(compared)
            print_out()
    if report.nodes:
        print_out(style(f"{report.name}: layer by layer, error as a share of the largest", BOLD))
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
    """Print the closing line and return the exit code. A failure names the first divergence and its usual cause."""
    from netspec.errors import VerificationError

    compared = counted(len(report.comparisons), "comparison")
    if report.passed:
        if not quiet:
            print_out(f"{style('✓', GREEN)} {report.name}: {_claim(report)}: {compared}")
        return 0
    if not report.comparisons:
        print_error(f"{report.name}: nothing was compared, so nothing is proved", " ".join(report.notes))
        return VerificationError.exit_code
    failed, total = sum(not c.passed for c in report.comparisons), compared
    if not failed:
        failed, total = sum(not n.passed for n in report.nodes), counted(len(report.nodes), "layer value")
    lines = [f"{report.name}: {report.verdict}: {failed} of {total} failed"]
    divergences: tuple[NodeError | TrainingDivergence, ...] = (*report.divergences, *report.training)
    for divergence in divergences:
        lines.append(f"  {divergence}")
        lines += [f"    likely: {divergence.trap}"] if divergence.trap else []
    print_error("\n".join(lines))
    return VerificationError.exit_code


def _claim(report: Report) -> str:
    """Return what a passed report proves, in one sentence."""
    first = report.comparisons[0]
    trained = list(dict.fromkeys(c.backend for c in report.comparisons if c.level == "training"))
    if first.against != "reference":
        trains = f", and trains as it does{_compared_steps(report)}" if trained else ""
        return f"{first.backend} is {first.against} on one device{trains}"
    function = f"{', '.join(dict.fromkeys(c.backend for c in report.comparisons))} and the reference are one function"
    if len(trained) == 1:
        return f"{function}, and the updates of {trained[0]} are those of NumPy"
    return function + (f", and train as one{_compared_steps(report)}: {', '.join(trained)}" if trained else "")


def _compared_steps(report: Report) -> str:
    """Return how many steps were compared, for each dtype in which that was not all; the fewest of several runs."""
    fewest: dict[str, Unfinished] = {}
    for run in sorted(report.unfinished, key=lambda run: run.compared):
        fewest.setdefault(run.dtype, run)
    limits = [
        f"in {dtype} for the first {run.compared} of {run.steps} steps" if run.compared else f"in {dtype} not compared"
        for dtype, run in fewest.items()
    ]
    return f" ({'; '.join(limits)})" if limits else ""


def report_as_json(report: Report, left_out: Sequence[str]) -> dict[str, Any]:
    """Return the same for JSON. An error that could not be measured is infinite, which `print_json` writes as null."""
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
                "error": c.error,
                "tolerance": c.tolerance,
                "passed": c.passed,
            }
            for c in report.comparisons
        ],
        "layers": [_node(node) for node in report.nodes],
        "divergences": [_node(node) for node in report.divergences],
        "training": [asdict(divergence) for divergence in report.training],
        "unfinished": [run._asdict() for run in report.unfinished],
        "notes": [*report.notes, *left_out],
    }


def _node(node: NodeError) -> dict[str, Any]:
    return {
        "layer": node.node,
        "op": node.op,
        "backend": node.backend,
        "dtype": node.dtype,
        "error": node.error,
        "tolerance": node.tolerance,
        "passed": node.passed,
        "trap": node.trap,
    }
