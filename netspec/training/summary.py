"""The report at the end of a run, gathered from the files in its folder."""

from __future__ import annotations

import platform
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netspec.lowering import Backend, Trainer
from netspec.ops.base import Weights
from netspec.recipe import Recipe
from netspec.training.folder import RunFolder
from netspec.training.material import Material
from netspec.training.metrics import read_metrics
from netspec.training.report import RunRecord, write_report
from netspec.training.score import Scores


def write_run_report(
    folder: RunFolder, material: Material, backend: Backend, trainer: Trainer, weights: Weights, scores: Scores | None
) -> None:
    """Write the `report.html` of a finished run.

    Raises:
        NetspecError: the file cannot be written.
    """
    metrics = list(read_metrics(folder.metrics))
    finished = datetime.now(UTC)
    confusion, classes = _confusion(material, scores)
    record = RunRecord(
        name=folder.path.name,
        spec=folder.spec.read_text(encoding="utf-8"),
        graph=material.graph,
        backend=backend.name,
        device=trainer.device,
        started=_started(metrics, finished),
        finished=finished,
        metrics=[line for line in metrics if line["kind"] != "note"],
        weights=dict(weights),
        versions={"netspec": version("netspec"), "Python": platform.python_version(), **backend.versions()},
        recipe=_recipe_rows(material.recipe),
        notes=[line["text"] for line in metrics if line["kind"] == "note"],
        classes=classes,
        confusion=confusion,
        samples=folder.samples.read_bytes() if folder.samples.is_file() else None,
    )
    write_report(folder.report, record)


def _started(metrics: list[dict[str, Any]], finished: datetime) -> datetime:
    """When the first session began. A log that does not tell gives the latest time at which it can have begun."""
    seconds = max((float(line["seconds"]) for line in metrics if "seconds" in line), default=0.0)
    sessions = [datetime.fromisoformat(line["time"]) for line in metrics if line["kind"] == "session"]
    return min([*sessions, finished - timedelta(seconds=seconds)])


def _confusion(material: Material, scores: Scores | None) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """The confusion matrix and the names of its classes.

    Its classes are those of the data. If the network predicted one that the data lack, they are those of the network.
    """
    names = material.splits.training.classes
    if scores is None:
        return None, names
    classes = len(names)
    if not scores.confusion[:, classes:].any():
        return scores.confusion[:classes, :classes], names
    return scores.confusion, (*names, *(str(number) for number in range(classes, len(scores.confusion))))


def _recipe_rows(recipe: Recipe) -> list[tuple[str, str]]:
    """A row for each field of the recipe that is not a default: its name, and its value in words."""
    fields: dict[str, Any] = recipe.model_dump(mode="json", exclude_defaults=True)
    return [(name.replace("_", " "), _in_words(value)) for name, value in fields.items()]


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        name = [str(value["name"])] if "name" in value else []
        rest = [f"{key.replace('_', ' ')} {_in_words(item)}" for key, item in value.items() if key != "name"]
        return ", ".join(name + rest)
    if isinstance(value, list):
        return ", ".join(map(_in_words, value))
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
