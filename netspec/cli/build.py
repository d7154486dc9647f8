"""`netspec build`: from a spec to sources, models and weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from netspec.cli.console import print_table, progress
from netspec.cli.options import (
    FILE,
    BackendNames,
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

\b
What is written to --out:
  NAME.safetensors                 the weights, canonical, for every backend
  torch/NAME.py                    a module that needs torch alone
  torch/NAME.pt2                   with --compile, for torch._inductor.aoti_load_package
  keras/NAME.py, keras/NAME.keras  a function that needs keras alone, and its model
  onnx/NAME.onnx                   the model with its weights
""",
)
@spec_argument
@click.option(
    "--backend",
    "backends",
    type=BackendNames(),
    multiple=True,
    required=True,
    metavar="NAME[,NAME...]",
    help="torch, keras, onnx, or all. Repeatable.",
)
@click.option("--out", type=FILE, metavar="DIR", help="Folder to write to.  [default: build/NAME]")
@weights_options("the initial weights")
@set_option
@optimize_option("none", "training", "inference", default="none")
@compile_option
@click.option("--opset", type=int, metavar="N", help="Operator set of the ONNX model.  [default: 17]")
def command(
    spec: Path,
    backends: tuple[tuple[str, ...], ...],
    out: Path | None,
    weights: Path | None,
    seed: int | None,
    settings: tuple[str, ...],
    optimize: str | None,
    compiled: bool,
    opset: int | None,
) -> None:
    """Compile a spec: write source or a model for each backend, and the weights.

    Nothing outside --out is written, and either everything appears or nothing does. Emitting PyTorch source needs no
    PyTorch; an ONNX model needs onnx, a .keras file and --compile need the framework.

    What is emitted is plain unless --optimize asks for more. At `inference` what is constant is in the weights, batch
    normalization among it: NAME.safetensors then holds those of the emitted network. Whatever is written passes the
    same `netspec verify`, which takes the same options.
    """
    from netspec.build import write_build
    from netspec.spec import load_graph

    graph = load_graph(spec, settings)
    targets = with_compilation(_targets(chosen_backends(backends), opset), compiled)
    with progress() as say:
        say("weights")
        arrays = chosen_weights(graph, weights, seed)
        folder, level = out or Path("build") / graph.name, level_of(optimize, compiled)
        paths = write_build(graph, targets, arrays, folder, level, say)
    print_table((Column("written"), Column("bytes", right=True)), [[str(path), path.stat().st_size] for path in paths])


def _targets(names: list[str], opset: int | None) -> list[Backend]:
    from netspec.lowering import find_backend

    if opset is not None and "onnx" not in names:
        raise click.UsageError("--opset is of ONNX, and --backend names no onnx")
    return [
        find_backend(name).with_options(opset=opset) if name == "onnx" and opset is not None else find_backend(name)
        for name in names
    ]
