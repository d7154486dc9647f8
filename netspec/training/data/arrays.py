"""Datasets of arrays: `.npz` files, and small datasets in memory."""

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
from netspec.training.data.findings import Findings, keep_samples, numbered_classes, usable_labels
from netspec.training.data.fingerprint import fingerprint
from netspec.training.data.places import Place
from netspec.training.data.roles import WORDS, assign_roles

SAMPLES: Final = ("image", "images", "x")
LABELS: Final = ("label", "labels", "mask", "masks", "y")
CLASSES: Final = ("classes", "class_names", "label_names")
LAYOUTS: Final = "`images` and `labels` or `masks`, or `x_train`, `y_train`, `x_test` and `y_test`"
# Raised by zipfile and NumPy for damaged files.
DAMAGED: Final = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError)


class ArrayDataset(Dataset):
    """The rows of an array: uint8 images, (N, H, W) or (N, H, W, C); or features, which are fed unchanged."""

    def __init__(
        self, origin: str, samples: NDArray[Any], labels: NDArray[np.int64], classes: tuple[str, ...], fingerprint: str
    ) -> None:
        self.origin, self.classes, self.labels, self.fingerprint = origin, classes, labels, fingerprint
        self.images = samples.dtype == np.uint8
        self._samples: NDArray[Any] | None = _with_channels(samples) if self.images else samples

    def read(self, index: int) -> NDArray[Any]:
        """Return the sample, a view of the array."""
        sample: NDArray[Any] = self._array()[index]
        return sample

    def describe(self, index: int) -> str:
        """Return the origin and the row, from 0."""
        return f"{self.origin}, row {index}"

    def _array(self) -> NDArray[Any]:
        assert self._samples is not None  # noqa: S101 # only `NpzDataset` drops it, and it overrides this method
        return self._samples


class NpzDataset(ArrayDataset):
    """An array of an `.npz` file. Pickled without the array, which a worker process reads again."""

    def __init__(self, place: Place, name: str, *arguments: Any) -> None:
        super().__init__(str(place), *arguments)
        self._place, self._name = place, name

    def describe(self, index: int) -> str:
        """Return the file, the name of the array and the row, from 0."""
        return f"{self.origin}: {self._name}, row {index}"

    def _array(self) -> NDArray[Any]:
        if self._samples is None:
            samples = _Archive(self._place).array(self._name)
            self._samples = _with_channels(samples) if self.images else samples
        return self._samples

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_samples": None}


class NpzMapDataset(NpzDataset):
    """Samples and masks of an `.npz` file. Pickled without either array."""

    maps = True

    def __init__(self, masks: NDArray[np.uint8], mask_name: str, place: Place, name: str, *arguments: Any) -> None:
        super().__init__(place, name, *arguments)
        self._masks: NDArray[np.uint8] | None = masks
        self._mask_name = mask_name

    def read_map(self, index: int) -> NDArray[np.uint8]:
        """Return the mask, a view of the array."""
        if self._masks is None:
            self._masks = _without_channels(_Archive(self._place).array(self._mask_name))
        mask: NDArray[np.uint8] = self._masks[index]
        return mask

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_masks": None}


def _without_channels(masks: NDArray[Any]) -> NDArray[np.uint8]:
    """Return masks as uint8. Shapes: (N, H, W) or (N, H, W, 1) → (N, H, W)."""
    return (masks[..., 0] if masks.ndim == 4 else masks).astype(np.uint8)


def _with_channels(images: NDArray[Any]) -> NDArray[Any]:
    return images[..., None] if images.ndim == 3 else images


def open_npz(place: Place, findings: Findings) -> Splits:
    """Open an `.npz` file, which may have a training and a validation part.

    Raises:
        NetspecError: samples or labels are missing, or are not of a usable type and shape.
    """
    try:
        archive = _Archive(place)
    except DAMAGED as error:
        findings.problems.append(f"{place}: cut short, or no .npz file: {error}")
        return Splits(ArrayDataset(str(place), np.empty((0, 0), np.float32), np.empty(0, np.int64), (), ""), None)
    parts_found = _group_by_part(place, archive.names)
    if not parts_found:
        raise NetspecError(f"{place}: holds no samples; it has {_quoted(archive.names)}", f"expected {LAYOUTS}")
    roles = assign_roles(str(place), parts_found, findings)
    parts = {role: _open_part(archive, members, findings) for role, members in roles.items()}
    return Splits(parts["training"], parts.get("validation"))


def _group_by_part(place: Place, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Group the names of arrays by part and purpose: `train_images` gives {train: {samples: train_images}}.

    Raises:
        NetspecError: two arrays have the same part and purpose.
    """
    parts: dict[str, dict[str, str]] = {}
    for name in names:
        words = name.lower().split("_")
        part = next((word for word in words if word in WORDS), "")
        rest = [word for word in words if word != part]
        if len(rest) == 1 and rest[0] in {*SAMPLES, *LABELS}:
            purpose = "samples" if rest[0] in SAMPLES else "labels"
            other = parts.setdefault(part, {}).setdefault(purpose, name)
            if other != name:
                raise NetspecError(f"{place}: holds {purpose} twice: {_quoted([other, name])}", f"expected {LAYOUTS}")
    return parts


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "nothing"


def _open_part(archive: _Archive, members: Mapping[str, str], findings: Findings) -> Dataset:
    if len(members) < 2:
        present, missing = ("samples", "labels") if "samples" in members else ("labels", "samples")
        raise NetspecError(
            f"{archive.place}: {missing} are missing beside `{members[present]}`; it has {_quoted(archive.names)}",
            f"expected {LAYOUTS}",
        )
    origin = f"{archive.place}: `{members['samples']}`"
    samples = _checked_samples(origin, archive.array(members["samples"]))
    labels = archive.array(members["labels"])
    masks = labels.ndim in {3, 4} and np.issubdtype(labels.dtype, np.integer)
    labels = labels if masks else _checked_labels(f"{archive.place}: `{members['labels']}`", labels)
    if len(samples) != len(labels):
        raise NetspecError(
            f"{origin} has {len(samples):,} samples, and `{members['labels']}` {len(labels):,} labels",
            "they belong together row by row",
        )
    names = archive.classes()
    content = fingerprint(*map(archive.checksum, sorted(members.values())), *names)
    good: NDArray[np.intp]
    row_prefix = f"{archive.place}: {members['labels']}, row "
    if masks:
        good = _usable_masks(samples, labels, row_prefix, findings)
    else:
        good = usable_labels(labels, len(names) or None, lambda row: f"{row_prefix}{row}", findings)
    if samples.dtype != np.uint8:
        good = _finite(samples, good, origin, findings)
    if masks:
        arguments = (samples, np.full(len(samples), -1, np.int64), names, content)
        mask_array = _without_channels(labels)
        masked = NpzMapDataset(mask_array, members["labels"], archive.place, members["samples"], *arguments)
        return keep_samples(masked, good)
    numbers = labels.astype(np.int64)
    classes = names or numbered_classes(numbers[good])
    return keep_samples(NpzDataset(archive.place, members["samples"], samples, numbers, classes, content), good)


def _checked_samples(origin: str, samples: NDArray[Any]) -> NDArray[Any]:
    """Return the samples if they are images or features; otherwise raise a NetspecError that says why not."""
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
    """Return labels as integers of shape (N,); otherwise raise a NetspecError that says why they are not."""
    if labels.ndim == 2 and labels.shape[1] == 1:  # as in Keras' CIFAR-10
        labels = labels[:, 0]
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        hint = "of one-hot rows, take .argmax(axis=1)" if labels.ndim == 2 else ""
        if labels.ndim in {3, 4}:
            hint = "a mask has a class number for each pixel: .astype('uint8')"
        if labels.dtype.kind in "fb" and labels.ndim == 1 and _are_whole(labels):
            hint = "labels.astype('int64') makes integers of them"
        elif labels.dtype.kind in "USf" and labels.ndim == 1:
            hint = "names, labels = np.unique(labels, return_inverse=True) numbers them"
        raise NetspecError(
            f"{origin}: expected class numbers, integers (N,), received {labels.dtype} {labels.shape}", hint
        )
    return labels


def _are_whole(numbers: NDArray[Any]) -> bool:
    with np.errstate(invalid="ignore"):  # infinity has no remainder
        return bool((numbers.astype(np.float64) % 1 == 0).all())


def _usable_masks(samples: NDArray[Any], masks: NDArray[Any], row_prefix: str, findings: Findings) -> NDArray[np.intp]:
    """Return the rows whose masks have only class numbers; report the others as problems.

    Raises:
        NetspecError: the masks and the samples differ in height or width.
    """
    size = samples.shape[1:3] if samples.dtype == np.uint8 else samples.shape[2:]
    if masks.shape[1:] not in {size, (*size, 1)}:
        raise NetspecError(
            f"{row_prefix}0: expected masks of {size}, as the samples are, received {masks.shape[1:]}",
            "a mask has a class number for each pixel of its image: (N, H, W)",
        )
    pixel_axes = tuple(range(1, masks.ndim))
    least, greatest = masks.min(axis=pixel_axes), masks.max(axis=pixel_axes)
    invalid = (least < 0) | (greatest > UNKNOWN)
    for row in np.flatnonzero(invalid):
        number = greatest[row] if greatest[row] > UNKNOWN else least[row]
        findings.problems.append(
            f"{row_prefix}{row}: expected class numbers from 0 to {UNKNOWN - 1}, received {number}"
        )
    return np.flatnonzero(~invalid)


def _finite(samples: NDArray[Any], rows: NDArray[np.intp], origin: str, findings: Findings) -> NDArray[np.intp]:
    """Return those of the rows that have no NaN or infinity; report all other samples as problems."""
    finite: NDArray[np.bool_] = np.isfinite(samples).all(axis=tuple(range(1, samples.ndim)))
    findings.problems.extend(f"{origin}, row {row}: holds NaN or infinite values" for row in np.flatnonzero(~finite))
    return np.intersect1d(rows, np.flatnonzero(finite))


class _Archive:
    """The arrays of an `.npz` file, by name. Nothing is unpickled."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._file = place.local or io.BytesIO(place.read())
        with zipfile.ZipFile(self._file) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
        self._members = {member.filename.removesuffix(".npy"): member for member in members}
        self.names = tuple(self._members)

    def checksum(self, name: str) -> str:
        """Return the name, the size and the CRC of an array, as stored in the archive."""
        member = self._members[name]
        return f"{name} {member.file_size} {member.CRC}"

    def array(self, name: str) -> NDArray[Any]:
        """Read an array. Its CRC is verified."""
        try:
            with zipfile.ZipFile(self._file) as archive, archive.open(f"{name}.npy") as file:
                array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        except DAMAGED as error:
            hint = "an array of dtype object is a pickle: save numbers" if "allow_pickle" in str(error) else ""
            raise NetspecError(f"{self.place}: `{name}` cannot be read: {error}", hint) from error
        return array

    def classes(self) -> tuple[str, ...]:
        """Return the class names, if the archive has an array of them."""
        name = next((name for name in CLASSES if name in self.names), None)
        if name is None:
            return ()
        names = self.array(name).ravel()
        try:
            return tuple((np.char.decode(names, "utf-8") if names.dtype.kind == "S" else names.astype(str)).tolist())
        except UnicodeDecodeError as error:
            raise NetspecError(f"{self.place}: `{name}`: expected names in UTF-8: {error}") from error
