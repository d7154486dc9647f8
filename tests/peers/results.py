"""The table of what was carried, and the file that keeps it."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
from collections.abc import Iterator, Sequence

from tests.peers.carried import BATCH, TOLERANCE, Carried

SHOWN = ("netspec", "torch", "torchvision", "timm", "keras", "tensorflow", "onnxruntime", "numpy")
COLUMNS = ("model", "spec", "weights", "ignored", "output", "torch", "keras", "onnx")


def table(carried: Sequence[Carried]) -> Iterator[str]:
    """Lines of a Markdown table: a row for each output of a model, a column for each backend."""
    yield f"| {' | '.join(COLUMNS)} |"
    yield "|---|---|--:|--:|---|--:|--:|--:|"
    for one in carried:
        for output in dict.fromkeys(ratio.output for ratio in one.ratios):
            found = {ratio.backend: f"{ratio.value:.1e}" for ratio in one.ratios if ratio.output == output}
            shown = (found.get(backend, "") for backend in COLUMNS[5:])
            yield f"| {one.model} | {one.spec} | {one.elements:,} | {one.ignored} | {output} | {' | '.join(shown)} |"


def kept(carried: Sequence[Carried]) -> str:
    """The file RESULTS.md, whole."""
    lines = [
        "# Networks of the zoo beside the published ones",
        "",
        f"Kept by `make peers-keep` on {datetime.datetime.now(datetime.UTC).date()}, with",
        f"{', '.join(_versions())}.",
        "",
        "Every weight of the published network is drawn at random, batch normalization's scale, shift, mean and",
        "variance among them, and carried by the mapping in `specs/weights/`. Both networks then read the same",
        f"{BATCH} images at the network's size, in float32. The last columns hold the largest difference of an output",
        f"as a share of its largest element; {TOLERANCE:.0e} is allowed. Keras and ONNX run the smallest model of each",
        "mapping.",
        "",
        *table(carried),
        "",
    ]
    return "\n".join(lines)


def _versions() -> Iterator[str]:
    yield f"Python {platform.python_version()}"
    for distribution in SHOWN:
        try:
            yield f"{distribution} {importlib.metadata.version(distribution)}"
        except importlib.metadata.PackageNotFoundError:
            continue
