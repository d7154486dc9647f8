"""Reads `preprocessing:` of an input, with the file of its mean image."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

from netspec.errors import NetspecError
from netspec.graph import MeanImage, Preprocessing
from netspec.graph.mean import FLOAT32, MAX_HEADER, SUFFIX, read_npy
from netspec.spec.model import InputSpec, MeanFile, PreprocessingSpec
from netspec.spec.text.document import DocumentNode, MappingNode, Position, Problems, quote
from netspec.spec.text.files import read_bytes
from netspec.words import counted


def read_preprocessing(spec: InputSpec, node: MappingNode, problems: Problems) -> Preprocessing | None:
    """The preprocessing that makes an input of an image, or None if the input states none, or after a problem.

    Args:
        spec: the input.
        node: the input in the document.
        problems: collects the problems.
    """
    how = spec.preprocessing
    if how is None:
        return None
    at, stated = node.entries["preprocessing"]
    if len(spec.shape) != 3:
        shape = ", ".join(map(str, spec.shape))
        problems.add(at, f"an image becomes an input of shape [C, H, W], and this one is [{shape}]")
        return None
    values = {key: entry.value for key, entry in stated.entries.items()} if isinstance(stated, MappingNode) else {}
    if how.channels != spec.shape[0]:
        order = f"{quote(how.channel_order)} gives {counted(how.channels, 'channel')}"
        place = values["channel_order"].at if "channel_order" in values else at
        message = f"an image read as {order}, and the input has {spec.shape[0]}"
        problems.add(place, message, "`channel_order` is rgb, bgr or gray")
    _check_figures(how, values, problems)
    figures = dict(how)
    if isinstance(how.mean, MeanFile):
        image = _read_image(how.mean.image, _image_position(values["mean"]), spec.shape, problems)
        if image is None:
            return None
        figures["mean"] = image
    return Preprocessing.model_construct(**figures)  # each field was validated


def _check_figures(how: PreprocessingSpec, values: Mapping[str, DocumentNode], problems: Problems) -> None:
    """Report a mean or a standard deviation with other than one value, or one per channel."""
    for key, figures in (("mean", how.mean), ("std", how.std)):
        if isinstance(figures, tuple) and len(figures) not in (1, how.channels):
            expected = f"expected 1 value, or {how.channels}: one a channel" if how.channels > 1 else "expected 1 value"
            problems.add(values[key].at, f"{expected}, received {len(figures)}")


def _image_position(mean: DocumentNode) -> Position:
    return mean.entries["image"].value.at if isinstance(mean, MappingNode) else mean.at


def _read_image(stated: str, at: Position, shape: tuple[int, ...], problems: Problems) -> MeanImage | None:
    """The mean image in a file, whose path is relative to the file that states it; None after a problem."""
    if Path(stated).is_absolute():
        problems.add(at, f"{quote(stated)} is absolute", "write the path relative to this file")
    elif Path(stated).suffix != SUFFIX:
        problems.add(at, f"{quote(stated)} is not a {SUFFIX} file", f"expected a name that ends in {SUFFIX}")
    else:
        path = Path(os.path.normpath(Path(at.source.file).parent / stated))
        try:
            content = read_bytes(path, MAX_HEADER + FLOAT32 * math.prod(shape), (SUFFIX,))
        except NetspecError as error:
            problems.add(at, error.message, error.hint)
            return None
        try:
            return read_npy(content, shape)
        except NetspecError as error:
            problems.add(at, f"{path}: {error.message}", error.hint)
    return None
