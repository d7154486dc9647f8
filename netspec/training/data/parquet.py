"""Parquet files with the columns `image` (encoded bytes) and `label`. Imported only when one is opened."""

from __future__ import annotations

import json
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.training.data.dataset import BadSampleError, Dataset
from netspec.training.data.findings import NO_LABEL, Findings, keep_samples, usable_labels
from netspec.training.data.fingerprint import fingerprint
from netspec.training.data.places import Place

CACHE_BYTES: Final = 1 << 30  # of decompressed row groups, per process
UNREADABLE: Final = (pa.ArrowException, OSError, ValueError)  # ValueError: names that are not UTF-8
_NO_NAME: Final = -1
_FOOTER: Final = 8  # a Parquet file ends with the length of the metadata and a magic number, 4 bytes each


@dataclass(frozen=True, slots=True)
class _File:
    """The metadata and labels of a file.

    Attributes:
        place: the file.
        column: the column of the encoded images: `image`, or `image.bytes` of a struct.
        rows: number of rows in each row group.
        labels: `NO_LABEL` for null. Shape: (N,).
        names: class names by class number, as far as the file has them.
        classes: number of classes; None if the file does not declare it.
        size: uncompressed size. Units: bytes.
        fingerprint: a hash of the labels and the file's metadata, which includes the statistics of its pages.
    """

    place: Place
    column: str
    rows: tuple[int, ...]
    labels: NDArray[np.int64]
    names: Mapping[int, str]
    classes: int | None
    size: int
    fingerprint: str


class ParquetDataset(Dataset):
    """Encoded images of Parquet files, in the order of the rows. Decompressed row groups are cached."""

    def __init__(self, origin: str, files: Sequence[_File], classes: tuple[str, ...] = ()) -> None:
        self.origin, self.classes = origin, classes
        self.labels = np.concatenate([np.empty(0, np.int64), *(file.labels for file in files)])
        self.fingerprint = fingerprint(*(file.fingerprint for file in files))
        self._files = [(file.place, file.column) for file in files]
        self._file_starts = _starts(len(file.labels) for file in files)
        self._groups = [(number, group) for number, file in enumerate(files) for group in range(len(file.rows))]
        self._group_starts = _starts(rows for file in files for rows in file.rows)
        self._clear_cache()

    def read(self, index: int) -> bytes:
        """Return the encoded image."""
        group = bisect_right(self._group_starts, index) - 1
        try:
            value: bytes | None = self._column(group)[index - self._group_starts[group]].as_py()
        except (*UNREADABLE, IndexError, NetspecError) as error:
            raise BadSampleError(f"{self.describe(index)}: cannot be read: {error}") from error
        if value is None:
            raise BadSampleError(f"{self.describe(index)}: there is no image (null)")
        return value

    def describe(self, index: int) -> str:
        """Return the file and the row in it, from 0."""
        number = bisect_right(self._file_starts, index) - 1
        return f"{self._files[number][0]}, row {index - self._file_starts[number]}"

    def _column(self, group: int) -> pa.ChunkedArray:
        """Return the images of a row group, from a least-recently-used cache."""
        with self._lock:
            if group in self._held:
                self._held.move_to_end(group)
                return self._held[group]
            number, group_of_file = self._groups[group]
            column = _read_group(*self._files[number], group_of_file)
            self._held[group] = column
            self._held_bytes += column.nbytes
            while self._held_bytes > CACHE_BYTES and len(self._held) > 1:
                self._held_bytes -= self._held.popitem(last=False)[1].nbytes
            return column

    def _clear_cache(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[int, pa.ChunkedArray] = OrderedDict()
        self._held_bytes = 0

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in {"_lock", "_held", "_held_bytes"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._clear_cache()


def _starts(lengths: Iterable[int]) -> list[int]:
    """Return the start of each of several consecutive ranges, given their lengths."""
    return [0, *accumulate(lengths)][:-1]


def open_parquet(places: Sequence[Place], origin: str, findings: Findings) -> Dataset:
    """Open the samples of Parquet files, one file after another.

    Raises:
        NetspecError: the columns are not the expected ones, or the files disagree on the names of the classes.
    """
    files = []
    for place in places:
        try:
            files.append(_open_file(place))
        except UNREADABLE as error:
            findings.problems.append(f"{place}: cut short, or not Parquet: {error}")
    limit = max((file.classes for file in files if file.classes is not None), default=None)
    dataset = ParquetDataset(origin, files)
    good = usable_labels(dataset.labels, limit, dataset.describe, findings)
    numbers = max(limit or 0, int(dataset.labels[good].max(initial=-1)) + 1)
    names = _merged_names(files)
    dataset.classes = tuple(names.get(number, str(number)) for number in range(numbers))
    size = sum(file.size for file in files)
    if size > CACHE_BYTES:
        findings.notes.append(
            f"{origin}: {size / 2**30:.1f} GiB are more than is held in memory, so that reading in random order "
            "is slow: `netspec data prepare` it once"
        )
    return keep_samples(dataset, good)


def _open_file(place: Place) -> _File:
    with _parquet(place) as file:
        schema = file.schema_arrow
        column = _image_column(place, schema)
        if "label" not in schema.names or not pa.types.is_integer(schema.field("label").type):
            raise _wrong_columns(place, schema)
        columns = ["label"] + [name for name in ("name",) if name in schema.names and _is_text(schema.field(name).type)]
        table = file.read(columns=columns)
        metadata = file.metadata
    labels = pc.fill_null(table["label"].cast(pa.int64(), safe=False), NO_LABEL).to_numpy()
    if len(labels) != metadata.num_rows:
        raise ValueError(f"{len(labels):,} labels in {metadata.num_rows:,} rows")
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    declared = _declared_names(schema)
    names = dict(enumerate(declared)) or (_column_names(labels, table["name"]) if len(columns) > 1 else {})
    return _File(
        place=place,
        column=column,
        rows=tuple(group.num_rows for group in groups),
        labels=labels,
        names=names,
        classes=len(declared) or None,
        size=sum(group.total_byte_size for group in groups),
        fingerprint=fingerprint(labels.astype("<i8"), _footer(place)),
    )


@contextmanager
def _parquet(place: Place) -> Iterator[pq.ParquetFile]:
    if place.local is not None:
        with pq.ParquetFile(place.local, memory_map=True) as file:
            yield file
    else:
        with place.open() as handle:
            yield pq.ParquetFile(handle)


def _read_group(place: Place, column: str, group: int) -> pa.ChunkedArray:
    with _parquet(place) as file:
        values = file.read_row_group(group, columns=[column], use_threads=False).column(0)
    return values if column == "image" else pc.struct_field(values, "bytes")


def _image_column(place: Place, schema: pa.Schema) -> str:
    """Return `image`, or `image.bytes` if the column is a struct."""
    kind = schema.field("image").type if "image" in schema.names else None
    if kind is not None and _is_binary(kind):
        return "image"
    if kind is not None and pa.types.is_struct(kind) and "bytes" in kind.names and _is_binary(kind["bytes"].type):
        return "image.bytes"
    raise _wrong_columns(place, schema)


def _wrong_columns(place: Place, schema: pa.Schema) -> NetspecError:
    has = ", ".join(f"`{field.name}` ({field.type})" for field in schema) or "none"
    expected = "`image` (binary, or a struct with `bytes`) and `label` (an integer)"
    return NetspecError(f"{place}: expected the columns {expected}, received {has}", "rename or convert the columns")


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _declared_names(schema: pa.Schema) -> tuple[str, ...]:
    """Return the class names that Hugging Face's `ClassLabel` writes to the metadata of the schema, or none."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(str(name) for name in features["label"]["names"])
    except (KeyError, TypeError, ValueError):
        return ()


def _column_names(labels: NDArray[np.int64], column: pa.ChunkedArray) -> dict[int, str]:
    """Return the class names from a `name` column; none if names differ within a class, and so belong to samples."""
    encoded = column.combine_chunks().dictionary_encode()
    codes = pc.fill_null(encoded.indices, _NO_NAME).to_numpy(zero_copy_only=False)
    named = (labels >= 0) & (codes >= 0)
    pairs = np.unique(np.stack([labels[named], codes[named]]), axis=1)
    if len(np.unique(pairs[0])) < pairs.shape[1]:
        return {}
    return {int(label): encoded.dictionary[code].as_py() for label, code in pairs.T}


def _merged_names(files: Sequence[_File]) -> dict[int, str]:
    """Return the class names of all files, by class number.

    Raises:
        NetspecError: two files have different names for a class.
    """
    names: dict[int, str] = {}
    for file in files:
        for label, name in file.names.items():
            if names.setdefault(label, name) != name:
                raise NetspecError(f"{file.place}: label {label} is {name!r}, and {names[label]!r} in another file")
    return names


def _footer(place: Place) -> bytes:
    """Return the metadata at the end of the file, as bytes."""
    size = place.size()
    length = int.from_bytes(place.read(size - _FOOTER, size - _FOOTER + 4), "little")
    return place.read(size - _FOOTER - length, size)
