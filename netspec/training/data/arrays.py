"""Samples as arrays: `.npz` files, and what is small enough to be in memory anyway."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.training.data.dataset import UNKNOWN, Dataset, Splits
from netspec.training.data.findings import Findings, kept, numbered_classes, usable_labels
from netspec.training.data.fingerprint import fingerprint
from netspec.training.data.places import Place
from netspec.training.data.roles import WORDS, assign_roles

SAMPLES: Final = ("image", "images", "x")
LABELS: Final = ("label", "labels", "mask", "masks", "y")
CLASSES: Final = ("classes", "class_names", "label_names")
LAYOUTS: Final = "`images` and `labels` or `masks`, or `x_train`, `y_train`, `x_test` and `y_test`"
# What zipfile and NumPy raise for bytes that are not what they should be.
DAMAGED: Final = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError)


class ArrayDataset(Dataset):
    """Samples of an array: uint8 images, (N, H, W) or (N, H, W, C); or features, as they are."""

    def __init__(
        self, origin: str, samples: NDArray[Any], labels: NDArray[np.int64], classes: tuple[str, ...], hashed: str
    ) -> None:
        self.origin, self.classes, self.labels, self.fingerprint = origin, classes, labels, hashed
        self.images = samples.dtype == np.uint8
        self._samples: NDArray[Any] | None = _with_channels(samples) if self.images else samples

    def read(self, index: int) -> NDArray[Any]:
        """The sample, a view."""
        sample: NDArray[Any] = self._array()[index]
        return sample

    def describe(self, index: int) -> str:
        """The origin and the row, from 0."""
        return f"{self.origin}, row {index}"

    def _array(self) -> NDArray[Any]:
        assert self._samples is not None  # noqa: S101 # a subclass that drops it loads it again
        return self._samples


class NpzDataset(ArrayDataset):
    """An array of an `.npz` file. Pickled without it: a worker process reads it again."""

    def __init__(self, place: Place, name: str, *arguments: Any) -> None:
        super().__init__(str(place), *arguments)
        self._place, self._name = place, name

    def describe(self, index: int) -> str:
        """The file, the array and the row, from 0."""
        return f"{self.origin}: {self._name}, row {index}"

    def _array(self) -> NDArray[Any]:
        if self._samples is None:
            samples = _Archive(self._place).array(self._name)
            self._samples = _with_channels(samples) if self.images else samples
        return self._samples

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_samples": None}


class NpzMapDataset(NpzDataset):
    """Samples of an `.npz` file with a class number for each pixel. Pickled without either array."""

    maps = True

    def __init__(self, masks: NDArray[np.uint8], mask_name: str, place: Place, name: str, *arguments: Any) -> None:
        super().__init__(place, name, *arguments)
        self._masks: NDArray[np.uint8] | None = masks
        self._mask_name = mask_name

    def read_map(self, index: int) -> NDArray[np.uint8]:
        """The mask, a view."""
        if self._masks is None:
            self._masks = _numbers(_Archive(self._place).array(self._mask_name))
        mask: NDArray[np.uint8] = self._masks[index]
        return mask

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_masks": None}


def _numbers(masks: NDArray[Any]) -> NDArray[np.uint8]:
    """Class numbers of pixels. Shape: (N, H, W)."""
    return (masks[..., 0] if masks.ndim == 4 else masks).astype(np.uint8)


def _with_channels(images: NDArray[Any]) -> NDArray[Any]:
    return images[..., None] if images.ndim == 3 else images


def open_npz(place: Place, findings: Findings) -> Splits:
    """The samples of an `.npz` file, which may hold two parts.

    Raises:
        NetspecError: it does not hold samples and labels, or not such as can be used.
    """
    try:
        archive = _Archive(place)
    except DAMAGED as error:
        findings.problems.append(f"{place}: cut short, or no .npz file: {error}")
        return Splits(ArrayDataset(str(place), np.empty((0, 0), np.float32), np.empty(0, np.int64), (), ""), None)
    found = _named(place, archive.names)
    if not found:
        raise NetspecError(f"{place}: holds no samples; it has {_names(archive.names)}", f"expected {LAYOUTS}")
    roles = assign_roles(str(place), found, findings)
    parts = {role: _open_part(archive, members, findings) for role, members in roles.items()}
    return Splits(parts["training"], parts.get("validation"))


def _named(place: Place, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """The arrays by the part and by what they are: `train_images` is {train: {samples: train_images}}.

    Raises:
        NetspecError: two for one purpose.
    """
    found: dict[str, dict[str, str]] = {}
    for name in names:
        words = name.lower().split("_")
        part = next((word for word in words if word in WORDS), "")
        rest = [word for word in words if word != part]
        if len(rest) == 1 and rest[0] in {*SAMPLES, *LABELS}:
            purpose = "samples" if rest[0] in SAMPLES else "labels"
            other = found.setdefault(part, {}).setdefault(purpose, name)
            if other != name:
                raise NetspecError(f"{place}: holds {purpose} twice: {_names([other, name])}", f"expected {LAYOUTS}")
    return found


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "nothing"


def _open_part(archive: _Archive, members: Mapping[str, str], findings: Findings) -> Dataset:
    if len(members) < 2:
        has, lacks = ("samples", "labels") if "samples" in members else ("labels", "samples")
        raise NetspecError(
            f"{archive.place}: {lacks} are missing beside `{members[has]}`; it has {_names(archive.names)}",
            f"expected {LAYOUTS}",
        )
    origin = f"{archive.place}: `{members['samples']}`"
    samples = _checked_samples(origin, archive.array(members["samples"]))
    labels = archive.array(members["labels"])
    of_pixels = labels.ndim in {3, 4} and np.issubdtype(labels.dtype, np.integer)
    labels = labels if of_pixels else _checked_labels(f"{archive.place}: `{members['labels']}`", labels)
    if len(samples) != len(labels):
        raise NetspecError(
            f"{origin} has {len(samples):,} samples, and `{members['labels']}` {len(labels):,} labels",
            "they belong together row by row",
        )
    names = archive.classes()
    hashed = fingerprint(*map(archive.hashed, sorted(members.values())), *names)
    good: NDArray[np.intp]
    where = f"{archive.place}: {members['labels']}, row "
    if of_pixels:
        good = _usable_masks(samples, labels, where, findings)
    else:
        good = usable_labels(labels, len(names) or None, lambda row: f"{where}{row}", findings)
    if samples.dtype != np.uint8:
        good = _finite(samples, good, origin, findings)
    if of_pixels:
        given = (samples, np.full(len(samples), -1, np.int64), names, hashed)
        masked = NpzMapDataset(_numbers(labels), members["labels"], archive.place, members["samples"], *given)
        return kept(masked, good)
    numbers = labels.astype(np.int64)
    classes = names or numbered_classes(numbers[good])
    return kept(NpzDataset(archive.place, members["samples"], samples, numbers, classes, hashed), good)


def _checked_samples(origin: str, samples: NDArray[Any]) -> NDArray[Any]:
    """Images or features; an error says why it is neither."""
    if 0 in samples.shape[1:]:
        raise NetspecError(f"{origin}: the samples are empty, {samples.shape}")
    if np.issubdtype(samples.dtype, np.floating):
        if samples.ndim < 2:
            raise NetspecError(f"{origin}: expected features of shape (N, …), received {samples.shape}")
        return samples
    received = f"{origin}: expected images (uint8) or features (floating), received {samples.dtype} {samples.shape}"
    if samples.dtype != np.uint8:
        raise NetspecError(received, "images have values 0 to 255: scale others to these, then .astype('uint8')")
    if samples.ndim not in {3, 4}:
        raise NetspecError(received, "images are (N, H, W) or (N, H, W, C)")
    if samples.ndim == 4 and samples.shape[3] not in {1, 3} and samples.shape[1] in {1, 3}:
        raise NetspecError(received, "images have their channels last: .transpose(0, 2, 3, 1)")
    if samples.ndim == 4 and samples.shape[3] not in {1, 3}:
        raise NetspecError(received, "images have 1 channel or 3: [..., :3] leaves out an alpha channel")
    return samples


def _checked_labels(origin: str, labels: NDArray[Any]) -> NDArray[Any]:
    """Class numbers, (N,), still of any integer type."""
    if labels.ndim == 2 and labels.shape[1] == 1:  # as Keras has CIFAR-10's
        labels = labels[:, 0]
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        hint = "of one-hot rows, take .argmax(axis=1)" if labels.ndim == 2 else ""
        if labels.dtype.kind in "US":
            hint = "names, labels = np.unique(labels, return_inverse=True) numbers them"
        raise NetspecError(
            f"{origin}: expected class numbers, integers (N,), received {labels.dtype} {labels.shape}", hint
        )
    return labels


def _usable_masks(samples: NDArray[Any], masks: NDArray[Any], where: str, findings: Findings) -> NDArray[np.intp]:
    """The rows whose masks hold class numbers; the others are problems.

    Raises:
        NetspecError: the masks are not of the samples' height and width.
    """
    size = samples.shape[1:3] if samples.dtype == np.uint8 else samples.shape[2:]
    if masks.shape[1:] not in {size, (*size, 1)}:
        raise NetspecError(
            f"{where}0: expected masks of {size}, as the samples are, received {masks.shape[1:]}",
            "a mask has a class number for each pixel of its image: (N, H, W)",
        )
    pixels = tuple(range(1, masks.ndim))
    least, most = masks.min(axis=pixels), masks.max(axis=pixels)
    wrong = (least < 0) | (most > UNKNOWN)
    for row in np.flatnonzero(wrong):
        received = most[row] if most[row] > UNKNOWN else least[row]
        findings.problems.append(f"{where}{row}: expected class numbers from 0 to {UNKNOWN - 1}, received {received}")
    return np.flatnonzero(~wrong)


def _finite(samples: NDArray[Any], rows: NDArray[np.intp], origin: str, findings: Findings) -> NDArray[np.intp]:
    """The rows without NaN and infinity."""
    finite: NDArray[np.bool_] = np.isfinite(samples).all(axis=tuple(range(1, samples.ndim)))
    findings.problems.extend(f"{origin}, row {row}: holds NaN or infinite values" for row in np.flatnonzero(~finite))
    return np.intersect1d(rows, np.flatnonzero(finite))


class _Archive:
    """An `.npz` file: its arrays by name. Nothing in it is unpickled."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._file = place.local or io.BytesIO(place.read())
        with zipfile.ZipFile(self._file) as archive:
            found = [entry for entry in archive.infolist() if entry.filename.endswith(".npy")]
        entries = {entry.filename.removesuffix(".npy"): entry for entry in found}
        self.names = tuple(entries)
        self._hashed = {name: f"{name} {entry.file_size} {entry.CRC}" for name, entry in entries.items()}

    def hashed(self, name: str) -> str:
        """What says that an array changed: the archive's own checksum of it."""
        return self._hashed[name]

    def array(self, name: str) -> NDArray[Any]:
        """An array, read whole; its checksum is verified."""
        try:
            with zipfile.ZipFile(self._file) as archive, archive.open(f"{name}.npy") as file:
                array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        except DAMAGED as error:
            hint = "an array of dtype object is a pickle: save numbers" if "allow_pickle" in str(error) else ""
            raise NetspecError(f"{self.place}: `{name}` cannot be read: {error}", hint) from error
        return array

    def classes(self) -> tuple[str, ...]:
        """The names of the classes, where an array has them."""
        name = next((name for name in CLASSES if name in self.names), None)
        return () if name is None else tuple(self.array(name).ravel().astype(str).tolist())
