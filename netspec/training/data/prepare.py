"""`netspec data prepare`: decode and resize every image once, into files that training maps into memory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from netspec.errors import NetspecError
from netspec.files import write_whole
from netspec.preprocessing import DamagedImageError, Pixels
from netspec.progress import Progress, silent
from netspec.training.data.check import REPORTED
from netspec.training.data.dataset import BadSampleError, Dataset, Splits
from netspec.training.data.division import absent_classes
from netspec.training.data.findings import Findings, OnBadSample
from netspec.training.data.fingerprint import fingerprint
from netspec.training.data.images import decoded, resize_square
from netspec.training.data.manifest import MANIFEST, Manifest, PartRecord
from netspec.training.data.mask_folders import read_mask
from netspec.training.data.parallel import available_threads, in_threads
from netspec.training.data.roles import Role
from netspec.training.data.shards import ShardWriter
from netspec.training.data.sources import open_data
from netspec.training.interrupts import uninterrupted

_SPARE = 1 << 20  # bytes for the labels and the manifest


def prepare(
    url: str,
    out: Path,
    *,
    side: int | None = None,
    gray: bool = False,
    on_bad_sample: OnBadSample = "fatal",
    validation: str | None = None,
    holdout: float | None = None,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress = silent,
) -> Manifest:
    """Prepare a dataset: write it to a folder that `open_data` opens. The folder appears complete or not at all.

    Args:
        url: the path or URL of the dataset.
        out: a folder that does not exist yet, or is empty.
        side: resize the shorter side of images to this and keep the centre square; masks likewise, by nearest pixel.
            None keeps images unchanged; they must then be of one size. Units: pixels.
        gray: convert images to one channel.
        on_bad_sample: whether an image or mask that cannot be used is fatal, once all are read, or left out.
        validation: another dataset to validate with, as in `open_data`.
        holdout: the share of samples that is held back, as in `open_data`.
        seed: determines which samples are held back.
        workers: number of threads; None for one per core.
        progress: called with progress messages.

    Raises:
        BadDataError: images or masks cannot be used; the message lists them.
        NetspecError: `out` exists, is not writable or has too little space; or the dataset cannot be opened, has no
            images, or has images of several sizes.
    """
    _require_vacant(out)
    progress("opening")
    splits = open_data(url, validation=validation, holdout=holdout, seed=seed, on_bad_sample=on_bad_sample)
    if not splits.training.images:
        raise NetspecError(f"{url}: holds features, which are read as they are: there is nothing to prepare")
    preparation = _Preparation(url, _Conversion(side, gray), workers or available_threads(), on_bad_sample, progress)
    return preparation.write(out, splits)


def _check_filled(url: str, records: dict[Role, PartRecord]) -> None:
    for role, record in records.items():
        if not record.labels.rows:
            raise NetspecError(f"{url}: {role}: no image can be used, so there is nothing to prepare")


def _parts(splits: Splits) -> dict[Role, Dataset]:
    parts: dict[Role, Dataset] = {"training": splits.training}
    if splits.validation is not None:
        parts["validation"] = splits.validation
    return parts


Stored = tuple[Pixels, Pixels | None]  # an image, and its mask where it has one


@dataclass(frozen=True, slots=True)
class _Conversion:
    """Converts a sample to the image and the mask that are stored."""

    side: int | None
    gray: bool

    def __call__(self, part: Dataset, index: int) -> Stored:
        image = decoded(part, index, self.gray)
        mask = read_mask(part, index, image.shape[:2], len(part.classes) or None) if part.maps else None
        if self.side is None:
            return image, mask
        try:
            resized = resize_square(image, self.side)
            return resized, mask if mask is None else resize_square(mask, self.side, nearest=True)
        except DamagedImageError as error:
            raise BadSampleError(f"{part.describe(index)}: {error.message}") from error


@dataclass(frozen=True, slots=True)
class _Preparation:
    """Writes the parts of a dataset one after another, and collects their problems."""

    url: str
    convert: _Conversion
    threads: int
    on_bad_sample: OnBadSample
    progress: Progress
    findings: Findings = field(default_factory=Findings)

    def write(self, out: Path, splits: Splits) -> Manifest:
        """Write the complete dataset, or nothing."""
        parts = _parts(splits)
        shape = self._first_shape(parts.values())
        sample_bytes = int(np.prod(shape)) + (int(np.prod(shape[:2])) if splits.training.maps else 0)
        _require_space(out, sum(map(len, parts.values())) * sample_bytes + _SPARE)
        with _staged(out) as stage:
            records = {role: self._write_part(stage / role, part, shape) for role, part in parts.items()}
            left = sum(map(len, parts.values())) - len(self.findings.problems)
            self.findings.settle(self.url, self.on_bad_sample, left)
            _check_filled(self.url, records)
            repeated = absent_classes(splits.training)  # added again whenever the prepared dataset is opened
            manifest = Manifest(
                classes=splits.training.classes,
                shape=shape,
                side=self.convert.side,
                source=self.url,
                source_fingerprint=fingerprint(*(part.fingerprint for part in parts.values())),
                parts=records,
                skipped=tuple(self.findings.problems),
                notes=tuple(note for note in splits.notes if note not in repeated),
            )
            write_whole(stage / MANIFEST, manifest.model_dump_json(indent=2))
        return manifest

    def _first_shape(self, parts: Iterable[Dataset]) -> tuple[int, int, int]:
        """Return the shape of the first image that can be decoded, which all others must have."""
        findings = Findings()
        for part, index in ((each, index) for each in parts for index in range(len(each))):
            try:
                height, width, channels = self.convert(part, index)[0].shape
            except BadSampleError as error:
                findings.problems.append(error.message)
            else:
                return height, width, channels
        findings.settle(self.url, "fatal", 0)
        raise NetspecError(f"{self.url}: holds no images")

    def _write_part(self, folder: Path, part: Dataset, shape: tuple[int, int, int]) -> PartRecord:
        """Write the shards of a part. After a fatal problem, nothing is written, but all problems are collected."""
        writer = ShardWriter(folder, shape, len(part), masks=part.maps)
        samples = in_threads(lambda index: self._converted(part, index, shape), range(len(part)), self.threads)
        for index, sample in enumerate(samples):
            if isinstance(sample, BadSampleError):
                self.findings.problems.append(sample.message)
            elif self.on_bad_sample == "skip" or not self.findings.problems:
                image, mask = sample
                writer.add(image, int(part.labels[index]), mask)
            if index % REPORTED == 0:
                self.progress(f"{folder.name}: {index:,} of {len(part):,}")
        return writer.close()

    def _converted(self, part: Dataset, index: int, shape: tuple[int, ...]) -> Stored | BadSampleError:
        try:
            image, mask = self.convert(part, index)
        except BadSampleError as error:
            return error
        if image.shape != shape:
            first, other = ("x".join(map(str, size)) for size in (shape, image.shape))
            raise NetspecError(
                f"{part.describe(index)}: expected {first} (H, W, C) as the first image has, received {other}",
                "give --side to resize them, or --gray for one channel",
            )
        return image, mask


def _require_vacant(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()):
        raise NetspecError(f"{out}: holds files already, and nothing is overwritten", "name a folder that is not there")
    if out.exists() and not out.is_dir():
        raise NetspecError(f"{out}: is a file", "name a folder that is not there")


def _require_space(out: Path, size: int) -> None:
    existing = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if size > free:
        unit, name = (2**30, "GiB") if size >= 2**30 else (2**20, "MiB")
        required, available = (f"{number / unit:,.1f} {name}" for number in (size, free))
        raise NetspecError(
            f"{out}: the prepared set takes {required}, and {available} are free there",
            "take a smaller --side, or another disk",
        )


@contextmanager
def _staged(out: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `out` that is renamed to `out` at the end. On any error, nothing is left."""
    absent = [folder for folder in out.absolute().parents if not folder.exists()]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with uninterrupted():
            temporary = tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent)
        with temporary as staging:
            stage = Path(staging) / out.name
            stage.mkdir()
            yield stage
            if out.exists():
                out.rmdir()  # empty, or this fails: nothing is overwritten
            stage.rename(out)
    except OSError as error:
        raise NetspecError(f"cannot write {out}: {error.strerror or error}", "name another folder") from error
    finally:
        if not out.exists():
            for folder in absent:
                with suppress(OSError):  # not empty: something else was written there
                    folder.rmdir()
