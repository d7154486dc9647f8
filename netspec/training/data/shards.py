"""Prepared datasets: images of one size as uint8 arrays in memory-mapped shards, and a manifest.

manifest.json
training/labels.npy, training/00000.npy, training/00001.npy, …
training/masks-00000.npy, training/masks-00001.npy, …             if images have masks, in the same rows
validation/…                                                      if there is a validation part
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.training.data.dataset import UNKNOWN, BadSampleError, Dataset, Splits
from netspec.training.data.findings import Findings, keep_samples, usable_labels
from netspec.training.data.fingerprint import file_digest, fingerprint
from netspec.training.data.manifest import AGAIN, MANIFEST, FileRecord, Manifest, PartRecord, read_manifest
from netspec.training.data.places import UNKNOWN_SIZE, Place

LABELS: Final = "labels.npy"
MASKS: Final = "masks-"
SHARD_BYTES: Final = 256 << 20
Sizes = Mapping[str, int]  # of the files in a folder, by name


class _Rows:
    """Arrays of one shape in several files, each mapped into memory when it is first read. Pickled without the maps.

    Attributes:
        cut_short: a message for each file that is missing or has the wrong size, by its number.
    """

    def __init__(
        self, prefix: str, shape: tuple[int, ...], records: tuple[FileRecord, ...], folder: Place, sizes: Sizes
    ) -> None:
        self._folder, self._shape, self._records = folder, shape, records
        self._places = [folder / f"{prefix}{shard_name(number)}" for number in range(len(records))]
        self.cut_short = dict(self._cut_short(sizes))
        self._maps: dict[int, NDArray[np.uint8]] = {}

    def read(self, index: int) -> NDArray[np.uint8]:
        """Return a row: a read-only view of a mapped file, or an array fetched from a remote one.

        Raises:
            BadSampleError: the row cannot be read.
        """
        number, row = divmod(index, self._records[0].rows)
        try:
            if self._folder.local is None:
                return self._fetch(number, row)
            array: NDArray[np.uint8] = self._map(number)[row]
        except (OSError, ValueError, NetspecError) as error:
            raise BadSampleError(f"{self.describe(index)}: cannot be read: {error}") from error
        return array

    def describe(self, index: int) -> str:
        """Return the file and the row in it, from 0."""
        number, row = divmod(index, self._records[0].rows)
        return f"{self._places[number]}, row {row}"

    def _cut_short(self, sizes: Sizes) -> Iterator[tuple[int, str]]:
        for number, (place, record) in enumerate(zip(self._places, self._records, strict=True)):
            size = sizes.get(place.name)
            if size not in {record.size, UNKNOWN_SIZE}:
                problem = "there is no such file" if size is None else f"cut short: {size:,} bytes of {record.size:,}"
                yield number, f"{place}: {problem}"

    def damage(self) -> list[str]:
        """Return a message for each whole file whose content does not match its digest. Reads all of them."""
        records = enumerate(zip(self._places, self._records, strict=True))
        whole = [pair for number, pair in records if number not in self.cut_short]
        damaged = [place for place, record in whole if _digest(place) != record.digest]
        return [f"{place}: damaged: its digest is not the manifest's" for place in damaged]

    def _map(self, number: int) -> NDArray[np.uint8]:
        if number not in self._maps:
            path = self._places[number].local
            assert path is not None  # noqa: S101 # `read` fetches the rows of remote files
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
            self._maps[number] = np.asarray(mapped).reshape(-1, *self._shape)
        return self._maps[number]

    def _fetch(self, number: int, row: int) -> NDArray[np.uint8]:
        record, step = self._records[number], int(np.prod(self._shape))
        start = record.size - (record.rows - row) * step  # counted from the end: the header varies in length
        content = self._places[number].read(start, start + step)
        return np.frombuffer(content, np.uint8).reshape(self._shape)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_maps": {}}


class ShardDataset(Dataset):
    """The images of a part of a prepared dataset, and their masks if they have any.

    Attributes:
        cut_short: the number of each shard whose images or masks are missing or have the wrong size, and a message.
    """

    def __init__(self, folder: Place, manifest: Manifest, part: PartRecord, labels: NDArray[np.int64]) -> None:
        self.origin, self.classes, self.labels = str(folder), manifest.classes, labels
        self.maps = bool(part.masks)
        if self.maps:
            self.pixels = np.zeros(UNKNOWN, np.int64)
            self.pixels[: len(part.pixels)] = part.pixels
        digests = [record.digest for record in (part.labels, *part.shards, *part.masks)]
        self.fingerprint = fingerprint("\0".join(manifest.classes), *digests)
        sizes = {entry.name: entry.size for entry in folder.entries()}
        self._images = _Rows("", manifest.shape, part.shards, folder, sizes)
        self._masks = _Rows(MASKS, manifest.shape[:2], part.masks, folder, sizes)
        self.cut_short = (*self._images.cut_short.items(), *self._masks.cut_short.items())

    def read(self, index: int) -> NDArray[np.uint8]:
        """Return the image."""
        return self._images.read(index)

    def read_map(self, index: int) -> NDArray[np.uint8]:
        """Return the mask."""
        return self._masks.read(index)

    def describe(self, index: int) -> str:
        """Return the shard and the row in it, from 0."""
        return self._images.describe(index)

    def damage(self) -> list[str]:
        """Return a message for each file whose content does not match its digest. Reads all files."""
        return self._images.damage() + self._masks.damage()


def shard_name(number: int) -> str:
    """Return the file name of a shard."""
    return f"{number:05d}.npy"


def open_prepared(folder: Place, findings: Findings) -> Splits:
    """Open the parts of a prepared dataset.

    Raises:
        NetspecError: the manifest or the labels are damaged, or of another version.
    """
    manifest = read_manifest(folder)
    parts = {role: _open_part(folder / role, manifest, part, findings) for role, part in manifest.parts.items()}
    if "training" not in parts:
        raise NetspecError(f"{folder / MANIFEST}: names no part to train on", AGAIN)
    return Splits(parts["training"], parts.get("validation"), manifest.notes)


def _open_part(folder: Place, manifest: Manifest, part: PartRecord, findings: Findings) -> Dataset:
    labels = _read_labels(folder / LABELS, part)
    dataset = ShardDataset(folder, manifest, part, labels)
    good = np.arange(len(labels))
    if not dataset.maps:
        good = usable_labels(labels, len(manifest.classes), dataset.describe, findings)
    for number, problem in dataset.cut_short:
        findings.problems.append(problem)
        good = good[good // part.shards[0].rows != number]
    return keep_samples(dataset, good)


def _digest(place: Place) -> str:
    with place.open() as file:
        return file_digest(file)


def _read_labels(place: Place, part: PartRecord) -> NDArray[np.int64]:
    content = place.read()
    if file_digest(io.BytesIO(content)) != part.labels.digest:
        raise NetspecError(f"{place}: damaged: its digest is not the manifest's", AGAIN)
    labels: NDArray[np.int64] = np.load(io.BytesIO(content), allow_pickle=False)
    if len(labels) != sum(shard.rows for shard in part.shards):
        raise NetspecError(f"{place}: {len(labels):,} labels, and the manifest has other counts", AGAIN)
    return labels


class ShardWriter:
    """Writes a part: collects images in order and writes each shard once it is full."""

    def __init__(self, folder: Path, shape: tuple[int, int, int], most: int, *, masks: bool = False) -> None:
        """Create the folder and allocate the first shard.

        Args:
            folder: the folder to create.
            shape: the shape of every image.
            most: upper bound on the number of images.
            masks: whether each image has a mask.
        """
        folder.mkdir()
        rows = max(1, min(most, SHARD_BYTES // int(np.prod(shape))))
        self._folder = folder
        self._rows = np.empty((rows, *shape), np.uint8)
        self._masks = np.empty((rows, *shape[:2]), np.uint8) if masks else None
        self._pixels = np.zeros(UNKNOWN + 1, np.int64)
        self._labels: list[int] = []
        self._shards: list[FileRecord] = []
        self._mask_shards: list[FileRecord] = []
        self._filled = 0

    def add(self, image: NDArray[np.uint8], label: int, mask: NDArray[np.uint8] | None = None) -> None:
        """Add the next image, and its mask if images have masks. Shape of the mask: (H, W, 1)."""
        self._rows[self._filled] = image
        self._labels.append(label)
        if self._masks is not None and mask is not None:
            self._masks[self._filled] = mask[..., 0]
            self._pixels += np.bincount(mask.ravel(), minlength=UNKNOWN + 1)
        self._filled += 1
        if self._filled == len(self._rows):
            self._flush()

    def close(self) -> PartRecord:
        """Write the last shard and the labels, and return the record of the part."""
        if self._filled:
            self._flush()
        labels = _write_array(self._folder / LABELS, np.array(self._labels, np.int64))
        pixels = np.trim_zeros(self._pixels[:UNKNOWN], "b").tolist()
        return PartRecord(labels=labels, shards=self._shards, masks=self._mask_shards, pixels=pixels)

    def _flush(self) -> None:
        name = shard_name(len(self._shards))
        self._shards.append(_write_array(self._folder / name, self._rows[: self._filled]))
        if self._masks is not None:
            self._mask_shards.append(_write_array(self._folder / f"{MASKS}{name}", self._masks[: self._filled]))
        self._filled = 0


def _write_array(path: Path, array: NDArray[Any]) -> FileRecord:
    np.save(path, array, allow_pickle=False)
    with path.open("rb") as file:
        return FileRecord(rows=len(array), size=path.stat().st_size, digest=file_digest(file))
