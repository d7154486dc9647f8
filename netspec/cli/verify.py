"""`netspec verify`: proves that the backends compute one function."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from netspec.cli.console import print_json, progress
from netspec.cli.options import (
    backends_option,
    chosen_backends,
    compilation_of,
    compile_options,
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

    from netspec.cli.verify_towers import Common
    from netspec.graph import Graph
    from netspec.lowering import Backend
    from netspec.spec import ModelSpec
    from netspec.verify import Level, Report


@click.command(
    "verify",
    short_help="Prove that the backends compute one function.",
    epilog="""\b
Examples:
  netspec verify specs/alexnet.yaml
  netspec verify specs/alexnet.yaml --backend torch,onnx --level forward
  netspec verify specs/alexnet.yaml --level training
  netspec verify specs/alexnet.yaml --deep
  netspec verify specs/alexnet.yaml --optimize inference
  netspec verify specs/alexnet.yaml --backend torch --compile --batch-size 1
  netspec verify specs/alexnet.yaml --parallel towers
  netspec verify specs/alexnet.yaml --json > proof.json
""",
)
@spec_argument
@backends_option("Backends to compare.  [default: all that are installed]")
@click.option(
    "--level",
    type=click.Choice(["forward", "gradient", "training"]),
    help="Last level to compare: outputs, gradients or training.  "
    "[default: gradient if two backends train, otherwise forward]",
)
@click.option(
    "--parallel",
    type=click.Choice(["towers"]),
    help="Compare the network on the devices of its `placement:` with the network on one device.",
)
@click.option("--deep", is_flag=True, help="Compare the value of every layer too; each has to pass.")
@optimize_option("none", "training", "inference", default="none")
@compile_options
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
    batch_size: int | None,
    weights: Path | None,
    seed: int | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> int:
    """Run the same weights and inputs through every backend and a NumPy reference, and compare.

    Outputs are compared with the reference, in float64 and float32; the error is a share of the largest output. The
    gradients of every weight and of the input are compared between the backends that train, in float64, by relative
    L2 error. The weights are He-scaled, unless --weights gives others. If anything differs, the exit code is 1, and
    the first layer that differs is named.

    Level `training` makes twenty optimizer steps, with the rule of the AlexNet paper and with that of the spec's
    recipe. Backends share the dropout masks; the learning rate falls to a tenth after ten steps; the last batch is
    smaller. After each step, every weight and velocity is compared in float64 with NumPy's update from the same
    gradients, and between backends; losses are compared in float32 too. The first step and weight that differ are
    named.

    With --parallel towers each device of the `placement:` is a process on this machine, which computes and trains its
    part of the network. Outputs, gradients and the twenty steps are compared with those of one device, in float64 to
    1e-10; what several towers hold must be identical. The default --level is then `training` if the network has a
    loss, otherwise `gradient`.
    """
    from netspec.cli.verify_report import conclude, print_report, report_as_json
    from netspec.spec import elaborate, read_spec
    from netspec.weights import load_weights

    network = read_spec(spec, settings)
    graph = elaborate(network)
    arrays = load_weights(weights, graph) if weights is not None else None
    common: Common = {"weights": arrays, "recipe": network.training, "seed": seed or 0}
    names, chosen = chosen_backends(backends), cast("Level | None", level)
    compilation = compilation_of(compiled, batch_size)
    left_out: list[str] = []
    if parallel:
        from netspec.cli.verify_towers import compare_towers

        report = compare_towers(network, graph, names, chosen, level_of(optimize, compilation), deep, common)
    else:
        report, left_out = _compare_backends(network, graph, names, chosen, optimize, compilation, deep, common)
    if as_json:
        print_json(report_as_json(report, left_out))
    else:
        print_report(report, left_out)
    return conclude(report, quiet=as_json)


def _compare_backends(
    network: ModelSpec,
    graph: Graph,
    names: list[str],
    level: Level | None,
    optimize: str | None,
    compilation: Mapping[str, object],
    deep: bool,
    common: Common,
) -> tuple[Report, list[str]]:
    """Return the report, and a note for each backend that is not installed."""
    from netspec.training.adversarial import opponent_of
    from netspec.verify import verify

    backends, left_out = _targets(names)
    targets = _optimized(backends, level, optimize, compilation)
    opponent = opponent_of(network) if level == "training" else None
    with progress() as show:
        return verify(graph, targets, level, deep=deep, progress=show, opponent=opponent, **common), left_out


def _optimized(
    backends: Sequence[Backend], level: str | None, optimize: str | None, compilation: Mapping[str, object]
) -> list[Backend]:
    """Return the backends with `--optimize` and `--compile` applied.

    Raises:
        NetspecError: `--level` needs gradients, which a network optimized for inference does not have.
    """
    from netspec.errors import NetspecError
    from netspec.lowering import at_level

    chosen = level_of(optimize, compilation)
    if chosen == "inference" and level in {"gradient", "training"}:
        what = "--compile" if optimize is None else "--optimize inference"
        raise NetspecError(
            f"--level {level} cannot be compared after {what}: at inference there are no gradients, and nothing trains",
            f"compare the outputs, `{what} --level forward`; or in training, `--optimize training --level {level}`",
        )
    return [at_level(backend, chosen) for backend in with_compilation(backends, compilation)]


def _targets(names: list[str]) -> tuple[list[Backend], list[str]]:
    """Return the backends to compare, and a note for each that is not installed. A named one has to be installed."""
    from netspec.lowering import find_backend

    if names:
        return [find_backend(name) for name in names], []
    installed, others = installed_backends()
    return installed, [
        f"{backend.name} is left out: it needs {', '.join(backend.missing())}: {backend.installation}"
        for backend in others
    ]
