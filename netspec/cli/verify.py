"""`netspec verify`: the proof that backends agree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from netspec.cli.console import print_json, progress
from netspec.cli.options import (
    backends_option,
    chosen_backends,
    compile_option,
    installed_backends,
    json_option,
    level_of,
    optimize_option,
    set_option,
    spec_argument,
    weights_options,
    with_compilation,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from netspec.graph import Graph
    from netspec.lowering import Backend
    from netspec.verify import Level, Report


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
    help="Compare the network on the devices of its `placement:` with the network on one.  [--level: the furthest]",
)
@click.option("--deep", is_flag=True, help="Compare the value of every layer too; each has to pass.")
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

    With --parallel towers a process of this machine for each device of the `placement:` computes and trains its part
    of the network. All outputs, their gradients, those of a step, and weights, velocities and losses of those twenty
    steps are held to what one device makes of the same, in float64 to 1e-10, and the towers to one another, to the
    bit. Left out, --level is training where a loss can be taken of the network, and gradient where not.
    """
    from netspec.cli.verify_report import as_value, conclude, print_report
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
        print_json(as_value(report, left_out))
    else:
        print_report(report, left_out)
    return conclude(report, quiet=as_json)


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
            f"--level {level} cannot be compared after {what}: at inference there are no gradients, and nothing trains",
            f"compare the outputs, `{what} --level forward`; or in training, `--optimize training --level {level}`",
        )
    return [at_level(backend, chosen) for backend in with_compilation(backends, compiled)]


def _targets(names: list[str]) -> tuple[list[Backend], list[str]]:
    """The backends to compare, and why others are left out: those asked for by name have to be there."""
    from netspec.lowering import find_backend

    if names:
        return [find_backend(name) for name in names], []
    installed, others = installed_backends()
    return installed, [
        f"{backend.name} is left out: it needs {', '.join(backend.missing())}: pip install 'netspec[{backend.name}]'"
        for backend in others
    ]
