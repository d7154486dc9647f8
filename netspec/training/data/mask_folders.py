"""Datasets of images and masks in two folders. Files with equal stems belong together.

A mask is an image in which each pixel is a class number.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import BytesIO
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.preprocessing import BOMB, DAMAGED, DamagedImageError, Pixels, is_bomb
from netspec.training.data.dataset import UNKNOWN, BadSampleError, Dataset
from netspec.training.data.findings import Findings
from netspec.training.data.fingerprint import fingerprint
from netspec.training.data.folders import why_no_image
from netspec.training.data.places import Entry, Place

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

IMAGES: Final = "images"
MASKS: Final = "masks"
CLASSES: Final = "classes.txt"
LOSSY: Final = ("JPEG", "WEBP")
INTEGER_MODES: Final = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")  # Pillow's modes with one integer per pixel


class MaskFolderDataset(Dataset):
    """Images in one folder, masks with the same stems in another."""

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
        """Return the content of the image file."""
        return _content(self._root / IMAGES / self._names[index][0])

    def read_map(self, index: int) -> NDArray[np.uint8]:
        """Return the decoded mask."""
        place = self._root / MASKS / self._names[index][1]
        try:
            return decode_mask(_content(place))
        except DamagedImageError as error:
            raise BadSampleError(f"{place}: {error.message}") from error

    def describe(self, index: int) -> str:
        """Return the path of the image file."""
        return str(self._root / IMAGES / self._names[index][0])


def _content(place: Place) -> bytes:
    try:
        return place.read()
    except NetspecError as error:
        raise BadSampleError(error.message) from error


def holds_masks(entries: Sequence[Entry]) -> bool:
    """Whether a folder contains the folders `images` and `masks`."""
    return {IMAGES, MASKS} <= {entry.name for entry in entries if entry.kind == "folder"}


def open_mask_folder(root: Place, entries: Sequence[Entry], findings: Findings) -> MaskFolderDataset:
    """Open the images and masks of a folder. An image without a mask, or a mask without an image, is a problem.

    `classes.txt`, in this folder or its parent, has the name of a class on each line, from class 0 on.
    """
    images, masks = (_by_stem(root / name, findings) for name in (IMAGES, MASKS))
    for files, folder, counterparts, other_folder in ((images, IMAGES, masks, MASKS), (masks, MASKS, images, IMAGES)):
        for stem in sorted(set(files) - set(counterparts)):
            problem = f"there is no {stem}.* in {root / other_folder}"
            findings.problems.append(f"{root / folder / files[stem].name}: {problem}")
    if others := [each.name for each in entries if each.kind == "folder" and each.name not in (IMAGES, MASKS)]:
        findings.notes.append(f"{root}: not read, beside {IMAGES} and {MASKS}: {', '.join(others)}")
    pairs = [(images[stem], masks[stem]) for stem in sorted(images) if stem in masks]
    return MaskFolderDataset(root, _class_names(root), pairs)


def _by_stem(folder: Place, findings: Findings) -> dict[str, Entry]:
    """Return the files that may be images, by their names without suffix; report the others as problems."""
    files: dict[str, Entry] = {}
    for entry in folder.entries():
        stem = PurePath(entry.name).stem
        problem = "a folder, which is not searched" if entry.kind == "folder" else why_no_image(entry)
        if not problem and stem in files:
            problem = f"{files[stem].name} has the same name"
        if problem:
            findings.problems.append(f"{folder / entry.name}: {problem}")
        else:
            files[stem] = entry
    return files


def _class_names(root: Place) -> tuple[str, ...]:
    for place in (root / CLASSES, root.parent / CLASSES):
        if place.kind() == "file":
            try:
                lines = place.read().decode("utf-8").splitlines()
            except UnicodeDecodeError as error:
                raise NetspecError(f"{place}: expected the name of a class a line, in UTF-8: {error}") from error
            return tuple(line.strip() for line in lines if line.strip())
    return ()


def decode_mask(data: bytes) -> NDArray[np.uint8]:
    """Decode a mask, upright. The class number of a pixel is its gray value or palette index. Shape: (H, W).

    Raises:
        DamagedImageError: not an image, damaged, absurdly large, in colors, in a lossy format, or with numbers that
            are not class numbers.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError  # noqa: PLC0415 # few commands read images

    try:
        with Image.open(BytesIO(data)) as opened:
            if is_bomb(opened.height, opened.width):
                raise DamagedImageError(BOMB)
            if opened.format in LOSSY:
                raise DamagedImageError(f"{opened.format} changes class numbers: expected a mask in PNG or TIFF")
            if opened.mode not in INTEGER_MODES:
                expected = "expected a mask of class numbers, gray or by a palette"
                raise DamagedImageError(f"{expected}, received one in colors ({opened.mode})")
            white = _number_of_white(opened)
            opened.load()
            numbers = np.asarray(ImageOps.exif_transpose(opened))
    except UnidentifiedImageError as error:
        raise DamagedImageError("not an image that Pillow reads") from error
    except Image.DecompressionBombError as error:
        raise DamagedImageError(BOMB) from error
    except DAMAGED as error:
        raise DamagedImageError(f"a damaged image: {error}") from error
    if white:  # rounding undoes Pillow's: there are no more numbers than values that it decodes them to
        numbers = np.rint(numbers * (white / (255 if numbers.dtype == np.uint8 else 65535))).astype(np.int64)
    if numbers.dtype != np.bool_ and (numbers.min() < 0 or numbers.max() > UNKNOWN):
        invalid = numbers.max() if numbers.max() > UNKNOWN else numbers.min()
        raise DamagedImageError(f"expected class numbers from 0 to {UNKNOWN - 1}, received {invalid}")
    return numbers.astype(np.uint8)


def _number_of_white(opened: ImageFile) -> int:
    """The number that a file has for white, which Pillow decodes to 255 or 65535 and others in proportion; 0 if none.

    These are PGM files of any maximum, and gray PNG and TIFF files of 2 or 4 bits a pixel.
    """
    arguments = opened.tile[0].args if opened.tile else None
    match arguments if isinstance(arguments, tuple) else (arguments,):
        case (str(), int() as greatest) if opened.format == "PPM":
            return greatest
        case (str() as layout, *_) if bits := re.match(r"L;([24])", layout):
            return (1 << int(bits[1])) - 1
    return 0


def read_mask(dataset: Dataset, index: int, size: tuple[int, ...], classes: int | None) -> Pixels:
    """Read and check the mask of a sample. Shape: (H, W, 1).

    Args:
        dataset: a dataset with masks.
        index: the index of the sample.
        size: height and width of its image.
        classes: number of classes; None if unknown.

    Raises:
        BadSampleError: the mask cannot be read, differs in size from its image, or has a class number too large.
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
