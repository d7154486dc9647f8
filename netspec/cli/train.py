"""`netspec train`: trains the network of a spec by its recipe."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netspec.cli.console import GREEN, native_stderr_held, print_note, print_out, style
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
  digits               the 1,797 scanned digits of scikit-learn
  a folder             with a subfolder for each class; with Parquet files;
                       with a training and a validation part of either kind
                       (train/, val/); or written by `netspec data prepare`
  images/ and masks/   in a folder, with files of the same stems: a mask holds
                       the class of each pixel, 255 if unknown
  images alone         in a folder, for a generator, which needs no labels
  a .parquet file      with the columns `image` (encoded bytes) and `label`
  a .npz file          with x and y (or masks), or x_train, y_train, x_test
                       and y_test

\b
What is written to runs/NAME/:
  spec.yaml                     the spec and recipe as they were used
  checkpoints/last.safetensors  from which --resume continues, in any backend
  checkpoints/best.safetensors  of the lowest validation error, for --weights
                                of other commands
  metrics.jsonl, events/        per session, step, epoch; for TensorBoard
  samples.png                   what a generator makes, after each epoch
  report.html                   curves, confusion, kernels, the architecture
""",
)
@spec_argument
@click.option("--backend", default="torch", metavar="NAME", show_default=True, help="torch or keras.")
@click.option("--data", default="digits", metavar="PATH", show_default=True, help="Data to train on.")
@click.option("--validation", metavar="PATH", help="Data to validate on, if --data has no validation part.")
@click.option(
    "--holdout",
    type=click.FloatRange(0, 1, max_open=True),
    metavar="SHARE",
    help="Share of --data to validate on instead.  [default: 0.1]",
)
@click.option("--name", metavar="NAME", help="Name of the run.  [default: the spec's, with a number if it is taken]")
@click.option("--out", type=FILE, default=Path("runs"), metavar="DIR", show_default=True, help="Folder of all runs.")
@click.option(
    "--resume", is_flag=True, help="Continue the run: bit for bit, or in the other backend, to within rounding."
)
@click.option("--weights", type=FILE, metavar="FILE", help="Initial weights, from a safetensors file.")
@device_option
@precision_option
@optimize_option("none", "training", default="training")
@click.option("--exact", is_flag=True, help="Draw dropout masks that are the same in all backends.")
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Processes that read data.  [default: 0, for threads]",
)
@bad_sample_option
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=1),
    default=1000,
    metavar="STEPS",
    show_default=True,
    help="Steps between checkpoints, besides one per epoch.",
)
@click.option(
    "--parallel",
    type=click.Choice(["data", "towers"]),
    default="data",
    show_default=True,
    help="What the processes of torchrun divide: the samples, or the network too, by its `placement:`.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=600,
    metavar="SECONDS",
    show_default=True,
    help="How long the processes of torchrun wait for one that hangs.",
)
@set_option
def command(spec: Path, backend: str, settings: tuple[str, ...], **options: Any) -> int:
    """Train a network by the recipe under `training:` in its spec.

    The same command with another --backend repeats the run: initial weights, batches, crops, flips, color shifts and
    the update rule are the same, and with --exact the dropout masks too. The losses then agree as well. Ctrl-C writes a
    checkpoint and stops; --resume continues from it.
    """
    from netspec.lowering import find_backend
    from netspec.spec import read_spec
    from netspec.training.options import TrainOptions
    from netspec.training.run import train

    options["optimize"] = options["optimize"] or "training"
    chosen = TrainOptions(**options)  # each option above has the name of a field
    network = read_spec(spec, settings)
    with native_stderr_held(), watching() as watch:
        outcome = train(network, find_backend(backend), chosen, watch, watch.doing)
    return _conclude(outcome)


def _conclude(outcome: Outcome) -> int:
    """Print the result of the run, and return the exit code: 0, or that of the signal which stopped the run."""
    if outcome.folder is None:  # only the first of several processes prints
        return 0
    if outcome.stopped is not None:
        command = [*_without_initial_options(sys.argv[1:]), "--resume"]
        print_note(f"stopped by {outcome.stopped.name} after step {outcome.position.step}: {outcome.folder.last}")
        print_note(f"to go on: {_launcher()} {shlex.join(command)}")
        return SIGNAL + outcome.stopped
    scores = outcome.scores
    time = clock(outcome.position.seconds)
    if scores is None:
        print_out(f"{style('✓', GREEN)} trained for {time}, without validation")
    else:
        second = f", top-5 {scores.error_top5:.2%}" if scores.error_top5 is not None else ""
        samples = f"{scores.samples:,}"
        if scores.mean_iou is not None:
            second, samples = f", mean IoU {scores.mean_iou:.2%}", f"the pixels of {scores.samples:,}"
        figures = f"{1 - scores.error:.2%} of {samples} right (error {scores.error:.2%}{second})"
        print_out(f"{style('✓', GREEN)} {figures} after {time}")
    if outcome.folder.samples.is_file():
        print_out(f"  {outcome.folder.samples}")
    print_out(f"  {outcome.folder.report}")
    return 0


def _launcher() -> str:
    """Return the program that started this process: netspec, or torchrun with its number of processes."""
    from netspec.lowering.environment import environment

    world = environment("WORLD_SIZE", 1, least=1)
    if world == 1:
        return "netspec"
    return f"torchrun --nproc-per-node {environment('LOCAL_WORLD_SIZE', world, least=1)} -m netspec"


def _without_initial_options(arguments: list[str]) -> list[str]:
    """Return a command line without `--weights`, which a continued run does not take, and without `--resume`."""
    return [
        argument
        for argument, previous in zip(arguments, ["", *arguments], strict=False)
        if argument not in {"--resume", "--weights"}
        and not argument.startswith("--weights=")
        and previous != "--weights"
    ]
