"""The manifest of a prepared dataset: its classes, its files with their digests, and where it comes from."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from netspec.errors import NetspecError
from netspec.training.data.dataset import UNKNOWN
from netspec.training.data.places import Place
from netspec.training.data.roles import Role

MANIFEST: Final = "manifest.json"
AGAIN: Final = "prepare the set again"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class FileRecord(_Record):
    """A file as it was written: its rows, its size in bytes, and the digest of its content."""

    rows: Annotated[int, Field(ge=0)]
    size: Annotated[int, Field(gt=0)]
    digest: str


class PartRecord(_Record):
    """A part of the dataset. Every shard but the last has as many rows as the first.

    Attributes:
        labels, shards: its files.
        masks: the masks of each shard; none if images have one label each.
        pixels: number of pixels of each class in all masks, up to the last class that occurs.
    """

    labels: FileRecord
    shards: tuple[FileRecord, ...] = Field(strict=False)
    masks: tuple[FileRecord, ...] = Field(default=(), strict=False)
    pixels: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(), strict=False, max_length=UNKNOWN)


class Manifest(_Record):
    """The content and the origin of a prepared dataset.

    Attributes:
        classes: class names, indexed by class number.
        shape: that of every image, (H, W, C).
        side: the side of the square that images were resized and cropped to; None if they were stored unchanged.
        source, source_fingerprint: the dataset that was prepared.
        parts: the parts by role.
        skipped: a message for each sample that was left out.
        notes: how the dataset was divided.
    """

    format: Literal["netspec shards"] = "netspec shards"
    version: Literal[1] = 1
    classes: tuple[str, ...] = Field(strict=False)
    shape: tuple[int, int, int] = Field(strict=False)
    side: int | None
    source: str
    source_fingerprint: str
    parts: dict[Role, PartRecord]
    skipped: tuple[str, ...] = Field(default=(), strict=False)
    notes: tuple[str, ...] = Field(default=(), strict=False)


def read_manifest(folder: Place) -> Manifest:
    """Read the manifest of a prepared dataset.

    Raises:
        NetspecError: the manifest is damaged, or of another version.
    """
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise NetspecError(
            f"{folder / MANIFEST}: no manifest of a prepared set: {where}: {first['msg']}", AGAIN
        ) from error
