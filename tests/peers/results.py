"""The table of carried models, and the file that stores it."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
from collections.abc import Iterator, Sequence
from itertools import groupby

from netspec.transfer import model_names, shipped_mappings
from tests.peers.carried import BATCH, TOLERANCE, Carried

SHOWN = ("netspec", "torch", "torchvision", "timm", "keras", "tensorflow", "onnxruntime", "numpy")
COLUMNS = ("model", "spec", "weights", "ignored", "output", "torch", "keras", "onnx")


def table(carried: Sequence[Carried]) -> Iterator[str]:
    """Return the lines of a Markdown table: a row for each output of a model, a column for each backend."""
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|---|---|--:|--:|---|--:|--:|--:|"
    for one in carried:
        for output in dict.fromkeys(ratio.output for ratio in one.ratios):
            found = {ratio.backend: f"{ratio.value:.1e}" for ratio in one.ratios if ratio.output == output}
            shown = (found.get(backend, "") for backend in COLUMNS[5:])
            yield f"| {one.model} | {one.spec} | {one.elements:,} | {one.ignored} | {output} | {' | '.join(shown)} |"


def kept(carried: Sequence[Carried], before: str = "") -> str:
    """Return the contents of RESULTS.md.

    Args:
        carried: what a run has compared.
        before: the file as it is. Where its versions are those of now, its rows of other models stay.
    """
    order = model_names(shipped_mappings())
    versions, titles = f"{', '.join(_versions())}.", [*table([])]
    old = _rows_by_model(before) if versions in before.splitlines() else {}
    rows = {model: old[model] for model in order if model in old} | _rows_by_model("\n".join(table(carried)))
    models = sorted(rows, key=lambda model: order.index(model) if model in order else len(order))
    lines = [
        "# Networks of the zoo beside the published ones",
        "",
        f"Kept by `make peers-keep`, last on {datetime.datetime.now(datetime.UTC).date()}, with",
        versions,
        "",
        "Every weight of the published network is drawn at random, batch normalization's scale, shift, mean and",
        "variance among them, and carried by the mapping in `specs/weights/`. Both networks then read the same",
        f"{BATCH} images at the network's size, in float32. The last columns hold the largest difference of an output",
        f"as a share of its largest element; {TOLERANCE:.0e} is allowed. Keras and ONNX run the smallest model of each",
        "mapping.",
        "",
        *titles,
        *(row for model in models for row in rows[model]),
        "",
    ]
    return "\n".join(lines)


def _rows_by_model(text: str) -> dict[str, list[str]]:
    """Return the rows of a table by the `ORIGIN:MODEL` that they begin with; a model with heads has several."""
    rows = (line for line in text.splitlines() if line.startswith("| ") and not line.startswith(f"| {COLUMNS[0]} "))
    return {model: list(own) for model, own in groupby(rows, key=lambda row: row.split(" ")[1])}


def _versions() -> Iterator[str]:
    yield f"Python {platform.python_version()}"
    for distribution in SHOWN:
        try:
            yield f"{distribution} {importlib.metadata.version(distribution)}"
        except importlib.metadata.PackageNotFoundError:
            continue
