"""`netspec build`: compiles a spec into sources, models and weights."""

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
    compilation_of,
    compile_options,
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
  netspec build specs/alexnet.yaml --backend torch --compile --batch-size 1
  netspec build specs/alexnet.yaml --backend torch --parallel towers

\b
What is written to --out:
  NAME.safetensors             the weights, which every backend reads
  torch/NAME.py                a module that needs torch alone
  torch/NAME.safetensors       its state dict
  torch/NAME.pt2               machine code for torch._inductor (--compile)
  keras/NAME.py                a function that needs keras alone
  keras/NAME.keras             its model with its weights
  onnx/NAME.onnx               the model with its weights
  torch/NAME_tower.py          the module of each device (--parallel towers)
  torch/NAME_tower.0.safetensors, …
                               the state dict of each device
""",
)
@spec_argument
@backends_option("torch, keras, onnx, or all. Repeatable.", required=True)
@click.option("--out", type=FILE, metavar="DIR", help="Folder to write to.  [default: build/NAME]")
@weights_options("the initial weights")
@set_option
@optimize_option("none", "training", "inference", default="none")
@compile_options
@click.option(
    "--parallel", type=click.Choice(["towers"]), help="Write the part of one device, by the `placement:` of the spec."
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
    batch_size: int | None,
    parallel: str | None,
    opset: int | None,
) -> None:
    """Compile a spec: write source or a model for each backend, and the weights.

    Nothing outside --out is written, and either everything is written or nothing. Emitting PyTorch source needs no
    PyTorch; an ONNX model needs onnx, a .keras file and --compile need the framework.

    The emitted network is that of the spec, layer by layer, unless --optimize rewrites it. At level `inference`
    constants are folded into the weights, batch normalization among them: NAME.safetensors then holds the weights of
    the emitted network. `netspec verify` takes the same options and proves the result.

    With --parallel towers the source is the same for all devices that share the network; each device has its own
    weights. Run one process per device with torch.distributed; each layer that exchanges values takes a `group`.
    """
    from netspec.build import write_build, write_tower
    from netspec.spec import elaborate, read_spec

    network = read_spec(spec, settings)
    graph = elaborate(network)
    compilation = compilation_of(compiled, batch_size)
    targets = with_compilation(_targets(chosen_backends(backends), opset), compilation)
    level = level_of(optimize, compilation)
    towers = _towers(network, targets, level) if parallel else 0
    with progress() as show:
        show("weights")
        arrays = chosen_weights(graph, weights, seed)
        folder = out or Path("build") / graph.name
        if towers:
            paths = write_tower(graph, targets[0], arrays, folder, towers, level, show)
        else:
            paths = write_build(graph, targets, arrays, folder, level, show)
    print_table((Column("written"), Column("bytes", right=True)), [[str(path), path.stat().st_size] for path in paths])


def _towers(spec: ModelSpec, targets: list[Backend], level: str) -> int:
    """Return the number of devices of the placement.

    Raises:
        click.UsageError: --parallel towers is combined with several backends or with --optimize inference.
    """
    from netspec.training.distributed import towers_of

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
