"""`netspec verify`: the proof that backends agree."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from netspec.cli.console import GREEN, print_error, print_json, print_out, print_table, progress, style
from netspec.cli.options import (
    backends_option,
    chosen_backends,
    compile_option,
    json_option,
    level_of,
    optimize_option,
    set_option,
    spec_argument,
    weights_options,
    with_compilation,
)
from netspec.cli.table import Cell, Column, counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netspec.graph import Graph
    from netspec.lowering import Backend
    from netspec.verify import Comparison, Level, NodeError, Report, TrainingDivergence

TITLES = (
    ("forward", "outputs, of the largest"),
    ("gradient", "gradients, relative L2"),
    ("training", "training, of the largest"),
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


@click.command(
    "verify",
    short_help="Prove that the backends compute one function.",
    epilog="""\b
Examples:
  netspec verify specs/alexnet.yaml
  netspec verify specs/alexnet.yaml --backends torch,onnx --level forward
  netspec verify specs/alexnet.yaml --level training
  netspec verify specs/alexnet.yaml --deep
  netspec verify specs/alexnet.yaml --optimize inference
  netspec verify specs/alexnet.yaml --parallel towers
  netspec verify specs/alexnet.yaml --json > proof.json
""",
)
@spec_argument
@backends_option("--backends", "Backends to compare.  [default: all that are installed]")
@click.option(
    "--level",
    type=click.Choice(["forward", "gradient", "training"]),
    help="How far to go: outputs, gradients, training.  [default: gradient, where two backends train]",
)
@click.option(
    "--parallel",
    type=click.Choice(["towers"]),
    help="Compare the network on the devices of its `placement:` with the network on one.  [--level: training]",
)
@click.option("--deep", is_flag=True, help="Compare the value of every layer, not only of the outputs.")
@optimize_option("none", "training", "inference", default="none")
@compile_option
@weights_options("the weights and inputs of the check")
@set_option
@json_option
def command(
    spec: Path,
    backends: tuple[tuple[str, ...], ...],
    level: str | None,
    parallel: str | None,
    deep: bool,
    optimize: str | None,
    compiled: bool,
    weights: Path | None,
    seed: int | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> int:
    """Run the same weights and inputs through every backend and a NumPy reference, and compare.

    Outputs are compared with the reference, in float64 and float32, as a share of the largest; gradients of every
    weight and of the input between the backends that train, in float64, by relative L2. Weights are He-scaled for the
    check unless --weights gives others. Exit code 1 when anything differs; then the first layer that does is named.

    Training is twenty optimizer steps with shared dropout masks, a rate divided by ten after the tenth, and a last
    partial batch, by the paper's rule and by that of the spec's recipe: after each step every weight and velocity in
    float64, against NumPy's update of the same gradients and between the backends, and the loss, in float32 too. The
    first step and weight that differ are named.

    With --parallel towers a process of this machine for each device of the `placement:` trains its part of the
    network. Logits, the gradients of a step, and weights, velocities and losses of those twenty steps are held to what
    one device makes of the same, in float64 to 1e-10, and the towers to one another, to the bit.
    """
    from netspec.spec import elaborate, read_spec
    from netspec.weights import load_weights

    network = read_spec(spec, settings)
    graph = elaborate(network)
    arrays = load_weights(weights, graph) if weights is not None else None
    common = {"weights": arrays, "recipe": network.training, "seed": seed or 0}
    names, chosen = chosen_backends(backends), cast("Level | None", level)
    left_out: list[str] = []
    if parallel:
        from netspec.cli.verify_towers import compare_towers

        report = compare_towers(network, graph, names, chosen, level_of(optimize, compiled), deep, common)
    else:
        report, left_out = _compare_backends(graph, names, chosen, optimize, compiled, common | {"deep": deep})
    if as_json:
        print_json(_as_json(report, left_out))
    else:
        _print_report(report, left_out)
    return _conclude(report, quiet=as_json)


def _compare_backends(
    graph: Graph,
    names: list[str],
    level: Level | None,
    optimize: str | None,
    compiled: bool,
    common: Mapping[str, Any],
) -> tuple[Report, list[str]]:
    """The report, and which backends are left out of it."""
    from netspec.verify import verify

    found, left_out = _targets(names)
    targets = _optimized(found, level, optimize, compiled)
    with progress() as say:
        return verify(graph, targets, level, progress=say, **common), left_out


def _optimized(backends: Sequence[Backend], level: str | None, optimize: str | None, compiled: bool) -> list[Backend]:
    """The backends as `--optimize` and `--compile` ask for them, where `--level` can be compared of them."""
    from netspec.errors import NetspecError
    from netspec.lowering import at_level

    chosen = level_of(optimize, compiled)
    if chosen == "inference" and level in {"gradient", "training"}:
        what = "--compile" if optimize is None else "--optimize inference"
        raise NetspecError(
            f"--level {level} cannot be compared of what {what} makes: in inference there is no gradient, and nothing "
            "trains",
            f"compare its outputs, `{what} --level forward`; or what trains, `--optimize training --level {level}`",
        )
    return [at_level(backend, chosen) for backend in with_compilation(backends, compiled)]


def _targets(names: list[str]) -> tuple[list[Backend], list[str]]:
    """The backends to compare, and why others are left out: those asked for by name have to be there."""
    from netspec.errors import BackendError
    from netspec.lowering import backend_names, find_backend

    if names:
        return [find_backend(name) for name in names], []
    found = [find_backend(name) for name in backend_names()]
    left_out = [
        f"{backend.name} is left out: it needs {', '.join(missing)}: pip install 'netspec[{backend.name}]'"
        for backend in found
        if (missing := backend.missing())
    ]
    installed = [backend for backend in found if not backend.missing()]
    if not installed:
        raise BackendError("no backend is installed, so there is nothing to compare", "pip install 'netspec[all]'")
    return installed, left_out


def _print_report(report: Report, left_out: Sequence[str]) -> None:
    for level, title in TITLES:
        compared = [c for c in report.comparisons if c.level == level]
        if compared:
            print_out(style(f"{report.name}: {title}", "1"))
            _print_compared(compared)
            print_out()
    if report.nodes:
        print_out(style(f"{report.name}: layer by layer, of the largest", "1"))
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


def _conclude(report: Report, *, quiet: bool) -> int:
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
    failed = sum(not c.passed for c in report.comparisons)
    lines = [f"{report.name}: {report.verdict}: {failed} of {compared} failed"]
    found: tuple[NodeError | TrainingDivergence, ...] = (*report.divergences, *report.training)
    for divergence in found:
        lines.append(f"  {divergence}")
        lines += [f"    likely: {divergence.trap}"] if divergence.trap else []
    print_error("\n".join(lines))
    return VerificationError.exit_code


def _proved(report: Report) -> str:
    """What a report that has passed says, in one sentence."""
    first, trains = report.comparisons[0], any(c.level == "training" for c in report.comparisons)
    if first.against != "reference":
        return f"{first.backend} is {first.against} on one device" + (", and trains as it does" if trains else "")
    who = f"{', '.join(dict.fromkeys(c.backend for c in report.comparisons))} and the reference are one function"
    trained = dict.fromkeys(c.backend for c in report.comparisons if c.level == "training")
    return who + (f", and train as one: {', '.join(trained)}" if trained else "")


def _as_json(report: Report, left_out: Sequence[str]) -> dict[str, Any]:
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
