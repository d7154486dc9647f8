"""Writes small sets in every layout that can be read: image i of a set is gray, of brightness i."""

import io
import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from netspec.training.data.dataset import Dataset

SIDE = 6


def pixels(value: int, height: int = SIDE, width: int = SIDE) -> NDArray[np.uint8]:
    return np.full((height, width, 3), value, np.uint8)


def encoded(value: int, height: int = SIDE, width: int = SIDE) -> bytes:
    """Return an image as PNG, which loses nothing."""
    buffer = io.BytesIO()
    Image.fromarray(pixels(value, height, width)).save(buffer, "PNG")
    return buffer.getvalue()


def write_folder(root: Path, classes: Mapping[str, Sequence[int]]) -> Path:
    for name, values in classes.items():
        (root / name).mkdir(parents=True)
        for value in values:
            (root / name / f"{value:03d}.png").write_bytes(encoded(value))
    return root


def write_parquet(
    path: Path,
    labels: Sequence[int | None],
    *,
    struct: bool = True,
    names: Sequence[str] = (),
    declared: Sequence[str] = (),
    group: int = 4,
) -> Path:
    """Write images with these labels; `names` is a column, `declared` is metadata as Hugging Face writes it."""
    images = [encoded(index) for index in range(len(labels))]
    fields = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    column = pa.array([{"bytes": image} for image in images], fields) if struct else pa.array(images, pa.binary())
    columns = {"image": column, "label": pa.array(labels, pa.int64())}
    table = pa.table(columns | ({"name": pa.array(names)} if names else {}))
    if declared:
        features = {"info": {"features": {"label": {"names": list(declared), "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=group)
    return path


def copied(dataset: Dataset) -> Dataset:
    """Return a dataset as a worker process receives it."""
    copy: Dataset = pickle.loads(pickle.dumps(dataset))  # noqa: S301 # of this moment
    return copy


def cut(path: Path, share: float = 0.5) -> Path:
    """Truncate a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path
