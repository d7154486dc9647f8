"""Images and their masks in two folders: files of equal stems belong together, and a mask holds a class a pixel."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import PurePath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.preprocessing import BOMB, DAMAGED, DamagedImageError, Pixels, is_bomb
from netspec.training.data.dataset import UNKNOWN, BadSampleError, Dataset
from netspec.training.data.findings import Findings
from netspec.training.data.fingerprint import fingerprint
from netspec.training.data.folders import why_no_image
from netspec.training.data.places import Entry, Place

IMAGES: Final = "images"
MASKS: Final = "masks"
CLASSES: Final = "classes.txt"
LOSSY: Final = ("JPEG", "WEBP")
OF_NUMBERS: Final = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")  # Pillow's modes in which a pixel is one integer


class MaskFolderDataset(Dataset):
    """Images in one folder, masks of the same stems in another."""

    maps = True

    def __init__(self, root: Place, classes: tuple[str, ...], pairs: Sequence[tuple[Entry, Entry]]) -> None:
        self._root = root
        self._names = [(image.name, mask.name) for image, mask in pairs]
        self.origin, self.classes = str(root), classes
        self.labels = np.full(len(pairs), -1, np.int64)
        sizes = np.array([(image.size, mask.size) for image, mask in pairs], dtype="<i8")
        names = "\0".join(name for pair in self._names for name in pair)
        self.fingerprint = fingerprint("\0".join(classes), names, sizes)

    def read(self, index: int) -> bytes:
        """The image's file."""
        return _content(self._root / IMAGES / self._names[index][0])

    def read_map(self, index: int) -> NDArray[np.uint8]:
        """The mask's file, decoded."""
        place = self._root / MASKS / self._names[index][1]
        try:
            return decode_mask(_content(place))
        except DamagedImageError as error:
            raise BadSampleError(f"{place}: {error.message}") from error

    def describe(self, index: int) -> str:
        """The image's path."""
        return str(self._root / IMAGES / self._names[index][0])


def _content(place: Place) -> bytes:
    try:
        return place.read()
    except NetspecError as error:
        raise BadSampleError(error.message) from error


def holds_masks(entries: Sequence[Entry]) -> bool:
    """Whether a folder has a folder of images and one of masks."""
    return {IMAGES, MASKS} <= {entry.name for entry in entries if entry.kind == "folder"}


def open_mask_folder(root: Place, entries: Sequence[Entry], findings: Findings) -> MaskFolderDataset:
    """The images of a folder that have a mask; an image or a mask alone is a problem.

    `classes.txt`, there or in the folder around it, names the classes from 0 on, one a line.
    """
    images, masks = (_by_stem(root / name, findings) for name in (IMAGES, MASKS))
    for one, other, own, lacking in ((images, masks, IMAGES, MASKS), (masks, images, MASKS, IMAGES)):
        for stem in sorted(set(one) - set(other)):
            findings.problems.append(f"{root / own / one[stem].name}: there is no {stem}.* in {root / lacking}")
    if others := [each.name for each in entries if each.kind == "folder" and each.name not in (IMAGES, MASKS)]:
        findings.notes.append(f"{root}: not read, beside {IMAGES} and {MASKS}: {', '.join(others)}")
    return MaskFolderDataset(
        root, _classes(root), [(images[stem], masks[stem]) for stem in sorted(images) if stem in masks]
    )


def _by_stem(folder: Place, findings: Findings) -> dict[str, Entry]:
    """The files that may be images, by their names without the suffix; the rest are problems."""
    found: dict[str, Entry] = {}
    for entry in folder.entries():
        stem = PurePath(entry.name).stem
        why = "a folder, which is not searched" if entry.kind == "folder" else why_no_image(entry)
        if not why and stem in found:
            why = f"{found[stem].name} has the same name"
        if why:
            findings.problems.append(f"{folder / entry.name}: {why}")
        else:
            found[stem] = entry
    return found


def _classes(root: Place) -> tuple[str, ...]:
    for place in (root / CLASSES, root.parent / CLASSES):
        if place.kind() == "file":
            try:
                lines = place.read().decode("utf-8").splitlines()
            except UnicodeDecodeError as error:
                raise NetspecError(f"{place}: expected the name of a class a line, in UTF-8: {error}") from error
            return tuple(line.strip() for line in lines if line.strip())
    return ()


def decode_mask(data: bytes) -> NDArray[np.uint8]:
    """The class number of each pixel of a mask, upright: its gray value, or its place in the palette. Shape: (H, W).

    Raises:
        DamagedImageError: it is no image, damaged, absurdly large, in colors, of a lossy format, or of numbers that
            are none of a class.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError  # noqa: PLC0415 # few commands read images

    try:
        with Image.open(BytesIO(data)) as opened:
            if is_bomb(opened.height, opened.width):
                raise DamagedImageError(BOMB)
            if opened.format in LOSSY:
                raise DamagedImageError(f"{opened.format} changes class numbers: expected a mask in PNG or TIFF")
            if opened.mode not in OF_NUMBERS:
                expected = "expected a mask of class numbers, gray or by a palette"
                raise DamagedImageError(f"{expected}, received one in colors ({opened.mode})")
            opened.load()
            numbers = np.asarray(ImageOps.exif_transpose(opened))
    except UnidentifiedImageError as error:
        raise DamagedImageError("not an image that Pillow reads") from error
    except Image.DecompressionBombError as error:
        raise DamagedImageError(BOMB) from error
    except DAMAGED as error:
        raise DamagedImageError(f"a damaged image: {error}") from error
    if numbers.dtype != np.bool_ and (numbers.min() < 0 or numbers.max() > UNKNOWN):
        found = numbers.max() if numbers.max() > UNKNOWN else numbers.min()
        raise DamagedImageError(f"expected class numbers from 0 to {UNKNOWN - 1}, received {found}")
    return numbers.astype(np.uint8)


def read_mask(dataset: Dataset, index: int, size: tuple[int, ...], classes: int | None) -> Pixels:
    """The mask of a sample. Shape: (H, W, 1).

    Args:
        dataset: of maps.
        index: which.
        size: height and width of its image.
        classes: how many there are; None where that is not known.

    Raises:
        BadSampleError: it cannot be read, is not of the image's size, or holds a class that is not there.
    """
    mask = dataset.read_map(index)
    if mask.shape != size:
        (height, width), (rows, columns) = size, mask.shape
        received = f"the image is {height}x{width} (HxW), and its mask {rows}x{columns}"
        raise BadSampleError(f"{dataset.describe(index)}: {received}")
    highest = int(mask.max(initial=0, where=mask != UNKNOWN))
    if classes is not None and highest >= classes:
        expected = f"expected classes 0 to {classes - 1} in its mask, or {UNKNOWN} where nothing is known"
        raise BadSampleError(f"{dataset.describe(index)}: {expected}; received {highest}")
    return mask[..., None]
