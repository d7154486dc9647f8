"""`netspec train`: a spec trained by its recipe."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netspec.cli.console import GREEN, hushed, print_note, print_out, style
from netspec.cli.options import (
    FILE,
    bad_sample_option,
    device_option,
    optimize_option,
    precision_option,
    set_option,
    spec_argument,
)
from netspec.cli.watch import clock, watching
from netspec.errors import SIGNAL

if TYPE_CHECKING:
    from netspec.training.session import Outcome


@click.command(
    "train",
    short_help="Train a network by the recipe in its spec.",
    epilog="""\b
Examples:
  netspec train specs/lenet5.yaml
  netspec train specs/lenet5.yaml --backend keras --exact
  netspec train specs/alexnet.yaml --data ~/imagenet --device cuda --precision bfloat16
  netspec train specs/lenet5.yaml --set training.epochs=5 --set training.seed=1
  netspec train specs/lenet5.yaml --resume
  torchrun --nproc-per-node 2 -m netspec train specs/alexnet.yaml --data ~/imagenet
  torchrun --nproc-per-node 2 -m netspec train specs/alexnet.yaml --parallel towers

\b
What --data takes, local or as a URL that fsspec opens:
  digits               1,797 scanned digits that scikit-learn carries
  a folder             of a folder a class, divided into train/ and val/ or not; of Parquet files; or
                       of what `netspec data prepare` wrote
  images/ and masks/   in a folder, files of equal stems: the class of each pixel, 255 where unknown
  a .parquet file      with the columns `image` (encoded bytes) and `label`
  a .npz file          with x and y (or masks), or x_train, y_train, x_test and y_test

\b
What is written to runs/NAME/:
  spec.yaml                      the spec and recipe as they were used
  checkpoints/last.safetensors   what --resume continues from, in any backend
  checkpoints/best.safetensors   of the lowest validation error; --weights of other commands takes it
  metrics.jsonl, events/         a line a step and an epoch; the same for TensorBoard
  report.html                    curves, confusion, kernels and the architecture, at the end
""",
)
@spec_argument
@click.option("--backend", default="torch", metavar="NAME", show_default=True, help="torch or keras.")
@click.option("--data", default="digits", metavar="PATH", show_default=True, help="What to train on.")
@click.option("--validation", metavar="PATH", help="What to validate on, where --data is not divided itself.")
@click.option(
    "--holdout",
    type=click.FloatRange(0, 1, max_open=True),
    metavar="SHARE",
    help="The share of --data to validate on instead.  [default: 0.1]",
)
@click.option("--name", metavar="NAME", help="Of the run.  [default: the spec's, with a number where it is taken]")
@click.option("--out", type=FILE, default=Path("runs"), metavar="DIR", show_default=True, help="Folder of all runs.")
@click.option("--resume", is_flag=True, help="Continue the run, to the bit; in the other backend, to rounding.")
@click.option("--weights", type=FILE, metavar="FILE", help="Weights to begin with, from a safetensors file.")
@device_option
@precision_option
@optimize_option("none", "training", default="training")
@click.option("--exact", is_flag=True, help="Dropout masks from a stream that all backends share.")
@click.option(
    "--workers", type=click.IntRange(min=0), default=0, metavar="N", help="Processes that read.  [default: threads]"
)
@bad_sample_option
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=1),
    default=1000,
    metavar="STEPS",
    show_default=True,
    help="Steps between checkpoints, besides one an epoch.",
)
@click.option(
    "--parallel",
    type=click.Choice(["data", "towers"]),
    default="data",
    show_default=True,
    help="What torchrun's processes divide: the samples, or the network by its `placement:` too.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=600,
    metavar="SECONDS",
    show_default=True,
    help="How long torchrun's processes wait for one that hangs.",
)
@set_option
def command(spec: Path, backend: str, settings: tuple[str, ...], **options: Any) -> int:
    """Train a network as the `training:` of its spec says.

    The same command with another --backend is the same run: initial weights, batches, crops, flips, color shifts and
    the update rule are the same, with --exact dropout masks too, and so are the losses. Ctrl-C writes a checkpoint and
    stops; --resume goes on from there.
    """
    from netspec.lowering import find_backend
    from netspec.spec import read_spec
    from netspec.training.options import TrainOptions
    from netspec.training.run import train

    options["optimize"] = options["optimize"] or "training"
    chosen = TrainOptions(**options)  # each option above has the name of a field
    network = read_spec(spec, settings)
    with hushed(), watching() as watch:
        outcome = train(network, find_backend(backend), chosen, watch, watch.doing)
    return _conclude(outcome)


def _conclude(outcome: Outcome) -> int:
    """What came of it, and the exit code: that of the signal which ended it."""
    if outcome.folder is None:  # another process among those that trained together tells
        return 0
    if outcome.stopped is not None:
        again = _without_beginning(sys.argv[1:])
        print_note(f"stopped by {outcome.stopped.name} after step {outcome.position.step}: {outcome.folder.last}")
        print_note(f"to go on: {_launcher()} {shlex.join([*again, '--resume'])}")
        return SIGNAL + outcome.stopped
    scores = outcome.scores
    time = clock(outcome.position.seconds)
    if scores is not None:
        more = f", top-5 {scores.error_top5:.2%}" if scores.error_top5 is not None else ""
        whole = f"{scores.samples:,}"
        if scores.mean_iou is not None:
            more, whole = f", mean IoU {scores.mean_iou:.2%}", f"the pixels of {scores.samples:,}"
        print_out(
            f"{style('✓', GREEN)} {1 - scores.error:.2%} of {whole} right (error {scores.error:.2%}{more}) after {time}"
        )
    else:
        print_out(f"{style('✓', GREEN)} trained for {time}, without validation")
    print_out(f"  {outcome.folder.report}")
    return 0


def _launcher() -> str:
    """What a run is started with: where it was one of torchrun's processes, torchrun, as on this machine."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return "netspec"
    return f"torchrun --nproc-per-node {os.environ.get('LOCAL_WORLD_SIZE', os.environ['WORLD_SIZE'])} -m netspec"


def _without_beginning(arguments: list[str]) -> list[str]:
    """The command line without what only the beginning of a run is given."""
    kept: list[str] = []
    for argument, before in zip(arguments, ["", *arguments], strict=False):
        if argument not in {"--resume", "--weights"} and before != "--weights" and "--weights=" not in argument:
            kept.append(argument)
    return kept
