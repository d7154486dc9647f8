"""The sizes of boxes, and their labels."""

from __future__ import annotations

import math
from dataclasses import dataclass

from netspec.graph.drawing.boxes import Box
from netspec.graph.graph import Node
from netspec.graph.mermaid import shape_of
from netspec.ops import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    Conv2d,
    Dense,
    Flatten,
    GlobalAvgPool2d,
    Identity,
    LocalResponseNorm,
    MaxPool2d,
    Op,
)
from netspec.ops.attributes import Size2d
from netspec.types import TensorType


@dataclass(frozen=True, slots=True)
class Style:
    """The sizes of a drawing. Units: CSS pixels.

    Attributes:
        octave: the height that is added when the height of a map doubles.
        depth: the depth of a box relative to its size, to the right and up; 0 draws flat tiles.
        column: the least width of a column.
        gap: the gap between columns.
        row: the greatest width of a row.
        lines: the greatest number of lines of a label.
        characters: the greatest number of characters in a line.
        text: the text size of labels.
        letter: the average width of a letter, relative to the text size; the greater for labels that are bold names.
    """

    octave: float
    depth: float
    column: float
    gap: float
    row: float
    lines: int
    characters: int
    text: float
    letter: float


FULL = Style(octave=14, depth=0.3, column=62, gap=20, row=1180, lines=5, characters=18, text=11, letter=0.62)
COMPACT = Style(octave=5, depth=0, column=40, gap=14, row=1180, lines=1, characters=8, text=9, letter=0.7)


@dataclass(frozen=True, slots=True)
class Solid:
    """The size of a box in oblique projection: width for channels, height for rows, and (right, up) for columns."""

    width: float
    height: float
    right: float = 0.0
    up: float = 0.0


def solid_of(box: Box, style: Style) -> Solid:
    """Return the size of one tower of a box. It grows by logarithms and roots, so that maps of 224 and 6 both fit."""
    if box.kind == "merge":
        side = 22 if style.depth else 14
        return Solid(side, side)
    features = _tower_features(box)
    small = style.depth == 0
    match features:
        case (channels, height, width):
            tall, wide = _height(height, style), _height(width, style)
            return Solid(_width(channels, small), tall, 0.9 * style.depth * wide, 0.8 * style.depth * wide)
        case (length, channels):
            return Solid(_width(channels, small), _height(length, style))
        case (units,):
            return Solid(10 - 4 * small, 0.8 * _height(units, style), 18 * style.depth, 14 * style.depth)
        case _:
            return Solid(_width(math.prod(features), small), _height(16, style))


def _tower_features(box: Box) -> tuple[int, ...]:
    """The shape of one tower's part of the value, without the batch."""
    features = box.head.type.features
    divided = 1 if len(features) == 2 else 0
    return tuple(size // box.towers if axis == divided else size for axis, size in enumerate(features))


def _height(size: int, style: Style) -> float:
    return style.octave * (0.7 + math.log2(size))


def _width(channels: int, small: bool) -> float:
    """The width of a number of channels. Unlike a logarithm, a root makes 384 channels visibly wider than 96."""
    width = min(4 + 2.6 * math.pow(channels, 0.42), 72.0)
    return width / 2.4 if small else width


def window_share(box: Box) -> float:
    """Return the drawn size of an op's window relative to that of the map that it reads."""
    kernel = getattr(box.head.op, "kernel_size", None) if isinstance(box.head, Node) else None
    if not isinstance(box.head, Node) or not isinstance(kernel, Size2d) or box.head.input_types[0].rank != 4:
        return 0.5
    sides = zip((kernel.height, kernel.width), box.head.input_types[0].features[1:], strict=True)
    return min(0.8, max(0.16, *(0.7 * (0.7 + math.log2(k)) / (0.7 + math.log2(side)) for k, side in sides)))


def label_of(box: Box, style: Style) -> list[str]:
    """Return the lines of a box's label: its name, op, output shape and folded ops."""
    if style.lines == 1:  # too short for the blocks that a layer is in
        return [shorten(box.head.name.rpartition(".")[2], style.characters)]
    name = shorten(box.head.name, style.characters)
    lines = [name, *(_operation(box.head, box.towers) if isinstance(box.head, Node) else []), shape_text(box.head.type)]
    folded = [_short(node.op) for node in box.folded if not isinstance(node.op, Flatten | Identity)]
    return [*lines, *_wrap(folded, style.characters)][: style.lines]


def shape_text(type: TensorType) -> str:
    """Return the shape without the batch as text, such as `96×55×55`."""
    return shape_of(type).replace("x", "×")


def shorten(text: str, length: int) -> str:
    """Shorten a name by omitting its middle, since the end distinguishes the layers of a block.

    >>> shorten("layer1.0.downsample.conv", 18), shorten("features.expand_and_squeeze", 18)
    ('layer1.0.down…conv', 'features…d_squeeze')
    """
    if len(text) <= length:
        return text
    last = len(text.rpartition(".")[2])
    tail = last if last <= length // 2 else length // 2
    return f"{text[: length - tail - 1]}…{text[-tail:]}"


def _operation(node: Node, towers: int) -> list[str]:
    op = node.op
    match op:
        case Conv2d():
            return [f"{_size(op.kernel_size)} conv{_stride(op.stride)}", *_groups(op.groups, towers)]
        case Dense():
            return ["dense", *_groups(op.groups, towers)]
        case MaxPool2d():
            return [f"{_size(op.kernel_size)} max{_stride(op.effective_stride)}"]
        case AvgPool2d():
            return [f"{_size(op.kernel_size)} average{_stride(op.effective_stride)}"]
        case GlobalAvgPool2d():
            return ["global average"]
        case AdaptiveAvgPool2d():
            return [f"average to {_size(op.output_size)}"]
        case _:
            return [_short(op)]


def _size(size: Size2d) -> str:
    return str(size).replace("x", "×")


def _stride(stride: Size2d) -> str:
    if stride.height == stride.width:
        return f", /{stride.height}" if stride.height > 1 else ""
    return f", /{_size(stride)}"


def _groups(groups: int, towers: int) -> list[str]:
    """The number of groups, unless there is one or they are drawn as towers."""
    return [f"{groups} groups"] if groups not in {1, towers} else []


def _short(op: Op) -> str:
    return "LRN" if isinstance(op, LocalResponseNorm) else op.kind.removesuffix("2d").replace("_", " ")


def _wrap(words: list[str], length: int) -> list[str]:
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(word) + 3 <= length:
            lines[-1] += f" · {word}"
        else:
            lines.append(word)
    return lines
