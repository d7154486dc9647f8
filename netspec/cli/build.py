"""`netspec build`: from a spec to sources, models and weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from netspec.cli.console import print_table, progress
from netspec.cli.options import (
    FILE,
    backends_option,
    chosen_backends,
    chosen_weights,
    compile_option,
    level_of,
    optimize_option,
    set_option,
    spec_argument,
    weights_options,
    with_compilation,
)
from netspec.cli.table import Column

if TYPE_CHECKING:
    from netspec.lowering import Backend
    from netspec.spec import ModelSpec


@click.command(
    "build",
    short_help="Compile a spec into PyTorch, Keras and ONNX.",
    epilog="""\b
Examples:
  netspec build specs/alexnet.yaml --backend torch
  netspec build specs/alexnet.yaml --backend all --out build/alexnet
  netspec build specs/alexnet.yaml --backend torch,onnx --weights trained.safetensors
  netspec build specs/alexnet.yaml --backend onnx --opset 20 --set classes=10
  netspec build specs/alexnet.yaml --backend onnx --optimize inference
  netspec build specs/alexnet.yaml --backend torch --compile
  netspec build specs/alexnet.yaml --backend torch --parallel towers

\b
What is written to --out:
  NAME.safetensors                 the weights, canonical, for every backend
  torch/NAME.py                    a module that needs torch alone
  torch/NAME.pt2                   with --compile, for torch._inductor.aoti_load_package
  keras/NAME.py, keras/NAME.keras  a function that needs keras alone, and its model
  onnx/NAME.onnx                   the model with its weights
  torch/NAME_tower.py              with --parallel towers: what each device runs, by torch.distributed
  NAME_tower.0.safetensors, …      and the weights of each
""",
)
@spec_argument
@backends_option("--backend", "torch, keras, onnx, or all. Repeatable.", required=True)
@click.option("--out", type=FILE, metavar="DIR", help="Folder to write to.  [default: build/NAME]")
@weights_options("the initial weights")
@set_option
@optimize_option("none", "training", "inference", default="none")
@compile_option
@click.option(
    "--parallel", type=click.Choice(["towers"]), help="Write one device's part of the network, by its `placement:`."
)
@click.option("--opset", type=int, metavar="N", help="Operator set of the ONNX model.  [default: 18]")
def command(
    spec: Path,
    backends: tuple[tuple[str, ...], ...],
    out: Path | None,
    weights: Path | None,
    seed: int | None,
    settings: tuple[str, ...],
    optimize: str | None,
    compiled: bool,
    parallel: str | None,
    opset: int | None,
) -> None:
    """Compile a spec: write source or a model for each backend, and the weights.

    Nothing outside --out is written, and either everything appears or nothing does. Emitting PyTorch source needs no
    PyTorch; an ONNX model needs onnx, a .keras file and --compile need the framework.

    What is emitted is plain unless --optimize asks for more. At `inference` what is constant is in the weights, batch
    normalization among it: NAME.safetensors then holds those of the emitted network. Whatever is written passes the
    same `netspec verify`, which takes the same options.

    With --parallel towers the source is of one of the devices that the network lies on: the same for all, each with
    its own weights. Its processes form a group with torch.distributed; each layer that exchanges has a `group`.
    """
    from netspec.build import write_build, write_tower
    from netspec.spec import elaborate, read_spec

    network = read_spec(spec, settings)
    graph = elaborate(network)
    targets = with_compilation(_targets(chosen_backends(backends), opset), compiled)
    level = level_of(optimize, compiled)
    towers = _towers(network, targets, level) if parallel else 0
    with progress() as say:
        say("weights")
        arrays = chosen_weights(graph, weights, seed)
        folder = out or Path("build") / graph.name
        if towers:
            paths = write_tower(graph, targets[0], arrays, folder, towers, level, say)
        else:
            paths = write_build(graph, targets, arrays, folder, level, say)
    print_table((Column("written"), Column("bytes", right=True)), [[str(path), path.stat().st_size] for path in paths])


def _towers(spec: ModelSpec, targets: list[Backend], level: str) -> int:
    """Over how many devices the network lies; what it cannot be combined with is a usage error."""
    from netspec.training.together import towers_of

    if len(targets) != 1:
        raise click.UsageError("--parallel towers takes one backend at a time")
    if level == "inference":
        raise click.UsageError("--parallel towers keeps each weight as it is: --optimize training, or none")
    return towers_of(spec, targets[0])


def _targets(names: list[str], opset: int | None) -> list[Backend]:
    from netspec.lowering import find_backend

    if opset is not None and "onnx" not in names:
        raise click.UsageError("--opset is for ONNX, and --backend does not name onnx")
    return [
        find_backend(name).with_options(opset=opset) if name == "onnx" and opset is not None else find_backend(name)
        for name in names
    ]
