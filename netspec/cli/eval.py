"""`netspec eval`: scores trained weights on data, in every backend."""

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

CLASSIFICATION = ("top-1 error", "top-5 error")
SEGMENTATION = ("pixel error", "mean IoU")


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
    help="A .safetensors file or checkpoint; or a .onnx that `netspec build` wrote.",
)
@click.option(
    "--data", default="digits", metavar="PATH", show_default=True, help="Data to evaluate on, as for `netspec train`."
)
@click.option(
    "--holdout",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="Evaluate the share that training with this --holdout held back, if the data has no validation part.  "
    "[default: evaluate all of it]",
)
@backends_option("torch, keras, onnx, or all.  [default: torch; onnx for a .onnx]")
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
    """Print the top-1 and top-5 errors of trained weights, for the centre crop and for the paper's ten views averaged.

    For segmentation networks: the share of misclassified pixels, and the mean intersection over union of the classes.
    Each image is scored whole, tile by tile.

    If the data has a validation part, that part is evaluated. The losses of several backends are compared; the exit
    code is 1 when they disagree, and when a loss is not finite.
    """
    from netspec.errors import NetspecError
    from netspec.spec import elaborate, read_spec
    from netspec.training.evaluate import disagreements, evaluate, evaluation_set, notes_on_classes
    from netspec.weights import require_file

    policy = cast("OnBadSample", on_bad_sample)
    network = read_spec(spec, settings)
    if network.discriminator is not None:
        raise NetspecError(
            f"{network.name} is a generator: its samples have no labels to be scored on",
            "samples.png in the folder of its run shows what it generates, and `netspec verify` compares backends",
        )
    graph = elaborate(network)
    seed = network.training.seed if network.training else 0
    require_file(weights)
    targets = _targets(weights, backends)
    dataset, notes = evaluation_set(data, holdout=holdout, seed=seed, on_bad_sample=policy)
    view_counts: dict[str | None, tuple[Views, ...]] = {None: (1, 10), "1": (1,), "10": (10,)}
    skipped: list[str] = []
    with progress() as show:
        evaluations = evaluate(
            graph,
            weights,
            targets,
            dataset,
            view_counts[views],
            recipe=network.training,
            on_bad_sample=policy,
            skipped=skipped.append,
            progress=show,
        )
    problems = disagreements(evaluations)
    if as_json:
        print_json({"name": network.name, "agree": not problems, "scores": [_as_json(e) for e in evaluations]})
    else:
        _print_table(evaluations, cropped=dataset.images)
    for note in (
        *notes,
        *notes_on_classes(graph, dataset, network.training),
        *(f"skipped: {text}" for text in dict.fromkeys(skipped)),
    ):
        print_note(f"note: {note}")
    return _conclude(evaluations, problems, quiet=as_json)


def _conclude(evaluations: Sequence[Evaluation], problems: Sequence[str], *, quiet: bool) -> int:
    """Print the closing line, and return the exit code: 1 if backends disagree, or the loss is not finite."""
    if problems:
        print_error("the backends disagree:\n  " + "\n  ".join(problems), "`netspec verify` finds where")
        return 1
    if not all(e.is_finite for e in evaluations):
        print_error(
            "the loss is not finite: outputs of the network overflow", "give the weights of a run that converged"
        )
        return 1
    backends = list(dict.fromkeys(e.backend for e in evaluations))
    if not quiet and len(backends) > 1:
        print_out(f"{style('✓', GREEN)} {', '.join(backends)} agree")
    return 0


def _targets(weights: Path, backends: tuple[tuple[str, ...], ...]) -> list[Backend]:
    from netspec.lowering import find_backend

    names = chosen_backends(backends)
    if weights.suffix == ".onnx":
        if names not in ([], ["onnx"]):
            raise click.UsageError("a .onnx is run by onnxruntime alone: leave out --backend")
        names = ["onnx"]
    return [find_backend(name) for name in names or ["torch"]]


def _print_table(evaluations: Sequence[Evaluation], *, cropped: bool) -> None:
    """Print a row for each evaluation, with the views if the samples are images, which are `cropped` to them."""
    rows: list[list[Cell]] = []
    for evaluation in evaluations:
        scores = evaluation.scores
        second = scores.error_top5 if scores.mean_iou is None else scores.mean_iou
        rows.append(
            [
                evaluation.backend,
                *([_views(evaluation)] if cropped else []),
                f"{scores.error:.2%}",
                f"{second:.2%}" if second is not None else "",
                f"{scores.loss:.6f}",
                f"{scores.samples:,}",
            ]
        )
    segmentation = any(evaluation.scores.mean_iou is not None for evaluation in evaluations)
    figures = (*(SEGMENTATION if segmentation else CLASSIFICATION), "loss", "samples")
    texts = ("backend", "views") if cropped else ("backend",)
    print_table([*map(Column, texts), *(Column(name, right=True) for name in figures)], rows)


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
