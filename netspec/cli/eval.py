"""`netspec eval`: how well trained weights do, in every backend."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from netspec.cli.console import GREEN, print_error, print_json, print_note, print_out, print_table, progress, style
from netspec.cli.options import (
    FILE,
    backends_option,
    bad_sample_option,
    chosen_backends,
    json_option,
    set_option,
    spec_argument,
)
from netspec.cli.table import Cell, Column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netspec.lowering import Backend
    from netspec.recipe.augmentation import Views
    from netspec.training.data.findings import OnBadSample
    from netspec.training.evaluate import Evaluation

OF_SAMPLES = ("top-1 error", "top-5 error")
OF_PIXELS = ("pixel error", "mean IoU")


@click.command(
    "eval",
    short_help="Score trained weights on data, in every backend.",
    epilog="""\b
Examples:
  netspec eval specs/lenet5.yaml --weights runs/lenet5/checkpoints/best.safetensors
  netspec eval specs/alexnet.yaml --weights alexnet.safetensors --data ~/imagenet --backend all
  netspec eval specs/alexnet.yaml --weights build/alexnet/onnx/alexnet.onnx --data ~/imagenet --views 10
""",
)
@spec_argument
@click.option(
    "--weights",
    type=FILE,
    required=True,
    metavar="FILE",
    help="A .safetensors file, a checkpoint too; or a .onnx that `netspec build` wrote.",
)
@click.option(
    "--data", default="digits", metavar="PATH", show_default=True, help="What to evaluate on, as for `netspec train`."
)
@click.option(
    "--holdout",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="Evaluate the part of undivided data that training with this --holdout set aside.  [default: all of it]",
)
@backends_option("--backend", "torch, keras, onnx, or all.  [default: torch; onnx for a .onnx]")
@click.option(
    "--views",
    type=click.Choice(["1", "10"]),
    help="Only the centre crop, or only the paper's ten views.  [default: both]",
)
@bad_sample_option
@set_option
@json_option
def command(
    spec: Path,
    weights: Path,
    data: str,
    holdout: float | None,
    backends: tuple[tuple[str, ...], ...],
    views: str | None,
    on_bad_sample: str,
    settings: tuple[str, ...],
    as_json: bool,
) -> int:
    """Top-1 and top-5 errors of trained weights, with the centre crop and with the paper's ten views averaged.

    For segmentation networks: the share of pixels that are classified wrongly, and the mean intersection over union of
    the classes, over the whole of each image, tile by tile.

    Where data is divided, its validation part is evaluated. With several backends their losses are compared; exit
    code 1 when they do not agree.
    """
    from netspec.spec import elaborate, read_spec
    from netspec.training.evaluate import disagreements, evaluate, evaluation_set
    from netspec.weights import require_file

    policy = cast("OnBadSample", on_bad_sample)
    network = read_spec(spec, settings)
    seed = network.training.seed if network.training else 0
    require_file(weights)
    targets = _targets(weights, backends)
    dataset, notes = evaluation_set(data, holdout=holdout, seed=seed, on_bad_sample=policy)
    numbers: dict[str | None, tuple[Views, ...]] = {None: (1, 10), "1": (1,), "10": (10,)}
    left_out: list[str] = []
    with progress() as say:
        found = evaluate(
            elaborate(network),
            weights,
            targets,
            dataset,
            numbers[views],
            on_bad_sample=policy,
            skipped=left_out.append,
            progress=say,
        )
    problems = disagreements(found)
    if as_json:
        print_json({"name": network.name, "agree": not problems, "scores": [_as_json(e) for e in found]})
    else:
        _print(found, (*notes, *(f"skipped: {text}" for text in dict.fromkeys(left_out))))
    return _conclude(found, problems, quiet=as_json)


def _conclude(found: Sequence[Evaluation], problems: Sequence[str], *, quiet: bool) -> int:
    """The closing line, and the exit code: 1 where backends do not agree."""
    if problems:
        print_error("the backends disagree:\n  " + "\n  ".join(problems), "`netspec verify` finds where")
        return 1
    if not quiet and len({e.backend for e in found}) > 1:
        print_out(f"{style('✓', GREEN)} {', '.join(dict.fromkeys(e.backend for e in found))} agree")
    return 0


def _targets(weights: Path, backends: tuple[tuple[str, ...], ...]) -> list[Backend]:
    from netspec.lowering import find_backend

    names = chosen_backends(backends)
    if weights.suffix == ".onnx":
        if names not in ([], ["onnx"]):
            raise click.UsageError("a .onnx is run by onnxruntime alone: leave out --backend")
        names = ["onnx"]
    return [find_backend(name) for name in names or ["torch"]]


def _print(found: Sequence[Evaluation], notes: Sequence[str]) -> None:
    rows: list[list[Cell]] = []
    for row in found:
        beside = row.scores.error_top5 if row.scores.mean_iou is None else row.scores.mean_iou
        rows.append(
            [
                row.backend,
                _views(row),
                f"{row.scores.error:.2%}",
                f"{beside:.2%}" if beside is not None else "",
                f"{row.scores.loss:.6f}",
                f"{row.scores.samples:,}",
            ]
        )
    of_pixels = any(row.scores.mean_iou is not None for row in found)
    figures = (*(OF_PIXELS if of_pixels else OF_SAMPLES), "loss", "samples")
    print_table([Column("backend"), Column("views"), *(Column(name, right=True) for name in figures)], rows)
    for note in notes:
        print_note(f"note: {note}")


def _views(evaluation: Evaluation) -> str:
    if evaluation.scores.mean_iou is not None:
        return "tiles"
    return "centre" if evaluation.views == 1 else str(evaluation.views)


def _as_json(evaluation: Evaluation) -> dict[str, Any]:
    scores = evaluation.scores
    return {
        "backend": evaluation.backend,
        "views": evaluation.views,
        "top1_error": scores.error,
        "top5_error": scores.error_top5,
        "mean_iou": scores.mean_iou,
        "loss": scores.loss,
        "samples": scores.samples,
    }
