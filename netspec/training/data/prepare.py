"""`netspec data prepare`: every image decoded and resized once, into files that are then mapped into memory."""

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
from netspec.training.data.check import REPORTED, Progress
from netspec.training.data.dataset import BadSampleError, Dataset, Splits
from netspec.training.data.division import absent_classes
from netspec.training.data.findings import Findings, OnBadSample
from netspec.training.data.fingerprint import fingerprint
from netspec.training.data.images import decoded, resize_square
from netspec.training.data.mask_folders import read_mask
from netspec.training.data.parallel import available_threads, in_threads
from netspec.training.data.roles import Role
from netspec.training.data.shards import MANIFEST, Manifest, PartRecord, ShardWriter
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
    progress: Progress = lambda _: None,
) -> Manifest:
    """Decode a set into a folder that `open_data` opens. The folder appears whole or not at all.

    Args:
        url: what is prepared.
        out: a folder that is not there yet, or empty.
        side: images are resized to this shorter side, and its centre square kept, masks likewise by the nearest
            pixels; None keeps them as they are, and they must be of one size. Units: pixels.
        gray: keep one channel.
        on_bad_sample: whether an image that cannot be used, or its mask not, is fatal when all are read, or left out.
        validation: another set to validate with, as `open_data` has it.
        holdout: the share that is held back, likewise.
        seed: of the draw of samples that are held back.
        workers: threads; None for one a core.
        progress: called with what is being done.

    Raises:
        BadDataError: all that cannot be used, listed.
        NetspecError: `out` is there, is not writable or has no space; the set cannot be opened, or holds
            no images, or such of several sizes.
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
    """From a sample to what is stored of it."""

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
    """Parts written one after another, their problems collected."""

    url: str
    convert: _Conversion
    threads: int
    on_bad_sample: OnBadSample
    progress: Progress
    findings: Findings = field(default_factory=Findings)

    def write(self, out: Path, splits: Splits) -> Manifest:
        """The whole set, or nothing."""
        parts = _parts(splits)
        shape = self._first_shape(parts.values())
        each = int(np.prod(shape)) + (int(np.prod(shape[:2])) if splits.training.maps else 0)
        _require_space(out, sum(map(len, parts.values())) * each + _SPARE)
        with _arriving(out) as stage:
            records = {role: self._write_part(stage / role, part, shape) for role, part in parts.items()}
            self.findings.settle(self.url, self.on_bad_sample)
            _check_filled(self.url, records)
            found_again = absent_classes(splits.training)
            manifest = Manifest(
                classes=splits.training.classes,
                shape=shape,
                side=self.convert.side,
                source=self.url,
                source_fingerprint=fingerprint(*(part.fingerprint for part in parts.values())),
                parts=records,
                skipped=tuple(self.findings.problems),
                notes=tuple(note for note in splits.notes if note not in found_again),
            )
            write_whole(stage / MANIFEST, manifest.model_dump_json(indent=2))
        return manifest

    def _first_shape(self, parts: Iterable[Dataset]) -> tuple[int, int, int]:
        """What every image has to be like: the first that can be decoded says it."""
        findings = Findings()
        for part, index in ((each, index) for each in parts for index in range(len(each))):
            try:
                height, width, channels = self.convert(part, index)[0].shape
            except BadSampleError as error:
                findings.problems.append(error.message)
            else:
                return height, width, channels
        findings.settle(self.url, "fatal")
        raise NetspecError(f"{self.url}: holds no images")

    def _write_part(self, folder: Path, part: Dataset, shape: tuple[int, int, int]) -> PartRecord:
        """Shards of the part's good images. Once a problem is fatal, the rest is read for its problems alone."""
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
    there = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if size > free:
        unit, name = (2**30, "GiB") if size >= 2**30 else (2**20, "MiB")
        needed, left = (f"{each / unit:,.1f} {name}" for each in (size, free))
        raise NetspecError(
            f"{out}: the prepared set takes {needed}, and {left} are free there",
            "take a smaller --side, or another disk",
        )


@contextmanager
def _arriving(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its name once all is written; whatever goes wrong, nothing is left."""
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
                with suppress(OSError):  # not empty: another has written there
                    folder.rmdir()
