"""`netspec run`: classifies photographs with a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netspec.cli.console import print_error, print_json, print_out, print_table, progress
from netspec.cli.options import (
    FILE,
    backends_option,
    chosen_backends,
    chosen_weights,
    installed_backends,
    json_option,
    set_option,
    weights_options,
)
from netspec.cli.table import Cell, Column
from netspec.progress import Progress

if TYPE_CHECKING:
    from netspec.graph import Preprocessing
    from netspec.lowering import Backend
    from netspec.ops.base import Array

SPEC_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Runner:
    """A loaded model. `call` maps a batch of inputs to scores, (N, classes)."""

    backend: str
    call: Callable[[Array], Array]


@dataclass(frozen=True)
class Loaded:
    """A network as loaded by one or several backends, with the preprocessing of its images."""

    name: str
    input_shape: tuple[int, ...]
    preprocessing: Preprocessing
    runners: tuple[Runner, ...]


@click.command(
    "run",
    short_help="Run a model on photographs.",
    epilog="""\b
Examples:
  netspec run build/alexnet/onnx/alexnet.onnx photograph.jpg
  netspec run build/alexnet/onnx/alexnet.onnx *.jpg --top 3 --labels classes.txt
  netspec run specs/alexnet.yaml photograph.jpg --weights build/alexnet/alexnet.safetensors
  netspec run specs/alexnet.yaml photograph.jpg --backend torch,keras --json
""",
)
@click.argument("model", type=FILE, metavar="MODEL")
@click.argument("images", nargs=-1, required=True, type=FILE, metavar="IMAGE...")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, metavar="N", help="Classes to print.")
@click.option("--labels", type=FILE, metavar="FILE", help="Names of the classes, one per line.")
@backends_option("Backends to run a spec with.  [default: all that are installed]")
@weights_options("the initial weights of a spec, without --weights")
@set_option
@json_option
def command(
    model: Path,
    images: tuple[Path, ...],
    top: int,
    labels: Path | None,
    backends: tuple[tuple[str, ...], ...],
    weights: Path | None,
    seed: int | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> int:
    """Print the classes with the largest outputs of MODEL, for each IMAGE.

    MODEL is a .onnx file that netspec wrote, which contains its preprocessing, or a spec. A spec is run by each
    backend; the outputs are printed side by side, with the largest difference. The outputs are those of the network:
    probabilities if it ends in a softmax, otherwise logits. An image that cannot be read is an error with exit code 2,
    after the other images have been run.
    """
    is_spec = model.suffix in SPEC_SUFFIXES
    if not is_spec and (backends or weights or seed is not None or settings):
        raise click.UsageError("--backend, --weights, --seed and --set are for a spec; an ONNX model is complete")
    names = _read_labels(labels) if labels else None
    with progress() as show:
        if is_spec:
            loaded = _load_spec(model, chosen_backends(backends), (weights, seed), settings, show)
        else:
            loaded = _load_file(model)
        results, unreadable = _run(loaded, images, show)
    if labels and names is not None and results:
        _require_labels(labels, names, loaded, len(next(iter(results[0][1].values()))))
    if as_json:
        print_json([_as_json(path, scores, top, names) for path, scores in results])
    else:
        for index, (path, scores) in enumerate(results):
            if index:
                print_out()
            _print_image(f"{loaded.name}: {path}", scores, top, names)
    return 2 if unreadable else 0


def _load_file(path: Path) -> Loaded:
    """Load an ONNX file with the onnx backend."""
    from netspec.lowering import find_backend

    saved = find_backend("onnx").open(path)
    output = _require_scores(saved.name, saved.output_shapes)
    preprocessing = _require_preprocessing(saved.name, saved.preprocessing)
    runner = Runner("onnx", lambda batch: saved(batch)[output])
    return Loaded(saved.name, saved.input_shape, preprocessing, (runner,))


def _load_spec(
    path: Path,
    names: list[str],
    weights_or_seed: tuple[Path | None, int | None],
    settings: tuple[str, ...],
    show: Progress,
) -> Loaded:
    """Load a spec with each of the named backends, or with all installed ones, with the same weights."""
    from netspec.errors import NetspecError
    from netspec.lowering import find_backend
    from netspec.spec import load_graph

    graph = load_graph(path, settings)
    if len(graph.inputs) != 1:
        raise NetspecError(
            f"{graph.name} has {len(graph.inputs)} inputs; only networks of one input run on photographs"
        )
    (value,) = graph.inputs
    output = _require_scores(graph.name, {name: graph.type_of(name).features for name in graph.main})
    preprocessing = _require_preprocessing(graph.name, value.preprocessing)
    backends = [find_backend(name) for name in names] if names else installed_backends()[0]
    for backend in backends:
        backend.require()
    show("weights")
    weights = chosen_weights(graph, *weights_or_seed)

    def load(backend: Backend) -> Runner:
        show(f"loading {backend.name}")
        model = backend.load(backend.lower(graph), weights)
        return Runner(backend.name, lambda batch: model.forward({value.name: batch})[output])

    return Loaded(graph.name, value.type.features, preprocessing, tuple(load(backend) for backend in backends))


def _require_preprocessing(name: str, preprocessing: Preprocessing | None) -> Preprocessing:
    """Return the preprocessing.

    Raises:
        NetspecError: the network states none, or its mean has not been computed yet.
    """
    from netspec.errors import NetspecError
    from netspec.preprocessing import require_mean

    if preprocessing is None:
        raise NetspecError(
            f"{name} does not say how a photograph becomes its input", "`input: {preprocessing: {…}}` in its spec does"
        )
    require_mean(preprocessing)
    return preprocessing


def _require_scores(name: str, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Return the name of the first output.

    Raises:
        NetspecError: the output is not one number per class.
    """
    from netspec.errors import NetspecError

    output, shape = next(iter(shapes.items()))
    if len(shape) != 1:
        raise NetspecError(
            f"{name}: its output {output} has shape {shape}, expected a number a class",
            "a network that gives the class of each pixel is scored with masks: `netspec eval`",
        )
    return output


def _run(loaded: Loaded, images: Sequence[Path], show: Progress) -> tuple[list[tuple[Path, dict[str, Array]]], int]:
    """Return the scores of each readable image by backend, and the number of unreadable images, each an error."""
    from netspec.errors import NetspecError
    from netspec.preprocessing import load_image

    results, unreadable = [], 0
    for path in images:
        show(str(path))
        try:
            batch = load_image(path, loaded.input_shape, loaded.preprocessing)[None]
        except NetspecError as error:
            print_error(error.message, error.hint)
            unreadable += 1
        else:
            results.append((path, {runner.backend: runner.call(batch)[0] for runner in loaded.runners}))
    return results, unreadable


def _top_classes(scores: dict[str, Array], top: int) -> list[int]:
    """Return the `top` classes by the scores of the first backend, in descending order."""
    import numpy as np

    first = next(iter(scores.values()))
    return [int(index) for index in np.argsort(-first, kind="stable")[:top]]


def _print_image(title: str, scores: dict[str, Array], top: int, labels: list[str] | None) -> None:
    print_out(title)
    columns = [Column("rank", right=True), Column("class", right=labels is None, fold=True)]
    columns += [Column(backend, right=True) for backend in scores]
    rows: list[list[Cell]] = []
    for rank, index in enumerate(_top_classes(scores, top), start=1):
        rows.append([str(rank), _label(index, labels), *(f"{values[index]:.6g}" for values in scores.values())])
    print_table(columns, rows)
    if differences := _differences(scores):
        first = next(iter(scores))
        largest = ", ".join(f"{backend} {error:.1e}" for backend, error in differences.items())
        print_out(f"largest difference from {first}, of the largest output: {largest}")


def _differences(scores: dict[str, Array]) -> dict[str, float]:
    """Return the largest difference of each later backend from the first, as a share of the largest score.

    It is NaN if the scores of either backend overflow.
    """
    import numpy as np

    from netspec.verify.compare import difference_of_largest

    (_, expected), *others = scores.items()
    return {
        backend: difference_of_largest(values, expected) if np.isfinite((values, expected)).all() else math.nan
        for backend, values in others
    }


def _label(index: int, labels: list[str] | None) -> str:
    return str(index) if labels is None or index >= len(labels) else labels[index]


def _read_labels(path: Path) -> list[str]:
    from netspec.errors import NetspecError

    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise NetspecError(f"cannot read the labels {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise NetspecError(f"cannot read the labels {path}: not UTF-8 text", "give the names, a line each") from error


def _require_labels(path: Path, labels: Sequence[str], loaded: Loaded, classes: int) -> None:
    """Raise unless there is one name per class: after a missing or extra line, all names would be wrong."""
    from netspec.errors import NetspecError
    from netspec.words import counted

    if len(labels) != classes:
        raise NetspecError(f"{path}: has {counted(len(labels), 'line')}, and {loaded.name} has {classes:,} classes")


def _as_json(path: Path, scores: dict[str, Array], top: int, labels: list[str] | None) -> dict[str, Any]:
    return {
        "image": str(path),
        "top": [
            {
                "class": index,
                "label": None if labels is None else _label(index, labels),
                "outputs": {backend: float(values[index]) for backend, values in scores.items()},
            }
            for index in _top_classes(scores, top)
        ],
        "differences": _differences(scores),
    }
