"""The kernels of the first layer as pictures, as in Figure 3 of Krizhevsky et al. 2012."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netspec.graph import Graph, Input, Node
from netspec.graph.towers import find_runs
from netspec.markup import Element, element
from netspec.ops import (
    BatchNorm,
    Conv2d,
    Dense,
    Flatten,
    GroupNorm,
    Identity,
    InstanceNorm,
    LayerNorm,
    LayerScale,
    LocalResponseNorm,
    PRelu,
    RmsNorm,
)
from netspec.ops.activation import Elementwise
from netspec.ops.base import Array
from netspec.ops.pooling import Pool2d
from netspec.training.report.png import picture, png

MOST = 256  # kernels shown
PIXELS = 500_000  # of all kernels shown together
ACROSS = 16  # kernels in a row, as in the paper's figure
ROOM = 1120  # width of a row. Units: CSS pixels.
LARGEST = 66  # side of a kernel. Units: CSS pixels.
KEEPS_CHANNELS = (
    Elementwise,
    PRelu,
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LayerScale,
    LocalResponseNorm,
    RmsNorm,
    Pool2d,
)


@dataclass(frozen=True)
class Kernels:
    """The kernels of a layer as colors.

    Attributes:
        layer: the name of the layer.
        size: the size of a kernel in words.
        colors: the kernels, each scaled from its smallest to its largest value. Shape: (kernels, height, width, 3).
        towers: the number of towers over which the layer's outputs are divided.
    """

    layer: str
    size: str
    colors: NDArray[np.uint8]
    towers: int


def first_kernels(graph: Graph, weights: Mapping[str, Array]) -> Kernels | None:
    """The kernels of the first convolution or dense layer; None if they are not pictures.

    The kernels of a convolution always are; the rows of a dense layer are if it reads a flattened image.
    """
    node = next((node for node in graph.nodes if isinstance(node.op, Conv2d | Dense)), None)
    if node is None:
        return None
    image = _origin(graph, node)
    kernels = weights[f"{node.name}.weight"]
    if isinstance(node.op, Dense):
        if image is None or image.type.rank != 4 or node.op.groups != 1:
            return None
        kernels = kernels.reshape(-1, *image.type.features)
    order = image.preprocessing.channel_order if image and image.preprocessing else "rgb"
    towers = {name: run.count for run in find_runs(graph) for name in run.nodes}
    channels, height, width = kernels.shape[1:]
    size = f"{height}×{width}×{channels}" if channels > 1 else f"{height}×{width}"
    return Kernels(node.name, size, _colors(kernels, order), _towers(graph, node, towers))


def _origin(graph: Graph, node: Node) -> Input | None:
    """The input that a node reads, directly or through ops that do not mix its elements; None if there is none."""
    value = graph.values[node.inputs[0]]
    while isinstance(value, Node) and isinstance(value.op, Elementwise | Flatten | Identity):
        value = graph.values[value.inputs[0]]
    return value if isinstance(value, Input) else None


def _towers(graph: Graph, node: Node, towers: Mapping[str, int]) -> int:
    """The number of towers of a layer, or of the layers behind it that keep its channels apart, such as a norm."""
    name = node.name
    while towers.get(name, 1) == 1:
        readers = graph.readers[name]
        if len(readers) != 1 or not isinstance(readers[0].op, KEEPS_CHANNELS):
            return 1
        name = readers[0].name
    return towers[name]


def _colors(kernels: Array, order: str) -> NDArray[np.uint8]:
    """Kernels as RGB: three channels are a color; any other number of them is shown as their mean, in gray."""
    if kernels.shape[1] == 3:
        values = kernels[:, ::-1] if order == "bgr" else kernels
    else:
        values = np.repeat(kernels.mean(axis=1, keepdims=True), 3, axis=1)
    values = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    low = values.min(axis=(1, 2, 3), keepdims=True)
    span = values.max(axis=(1, 2, 3), keepdims=True) - low
    scaled = np.where(span > 0, (values - low) / np.where(span > 0, span, 1.0), 0.5)
    colors: NDArray[np.uint8] = np.rint(255 * scaled).astype(np.uint8).transpose(0, 2, 3, 1)
    return colors


def kernels_section(kernels: Kernels) -> Element:
    """The section that shows the kernels: one picture, or one for each tower."""
    most = max(kernels.towers, min(MOST, PIXELS // math.prod(kernels.colors.shape[1:3])))
    shown = kernels.colors[:most]
    parts = np.split(shown, kernels.towers) if len(shown) == len(kernels.colors) else [shown]
    figures = []
    for number, part in enumerate(parts, 1):
        name = f"Tower {number}" if len(parts) > 1 else ""
        caption = element("figcaption", name) if name else None
        alt = f"{len(part)} kernels of {kernels.layer}" + (f", {name.lower()}" if name else "")
        figures.append(element("figure", caption, _image(part, alt), class_="kernels"))
    count = len(kernels.colors)
    lead = f"The {count:,} kernels of {kernels.layer}, {kernels.size}, each scaled to its own least and largest value"
    lead += f"; the first {len(shown)} are shown." if len(shown) < count else "."
    return element("section", element("h2", "First layer"), element("p", lead, class_="lead"), *figures)


def _image(colors: NDArray[np.uint8], alt: str) -> Element:
    """A grid of kernels as an image with one pixel for each weight, which the browser enlarges without smoothing."""
    count, height, width, _ = colors.shape
    columns = max(1, min(_columns(count), ROOM // (width + 1)))
    rows = math.ceil(count / columns)
    grid = np.zeros((rows * (height + 1) - 1, columns * (width + 1) - 1, 4), np.uint8)
    for index, kernel in enumerate(colors):
        top, left = index // columns * (height + 1), index % columns * (width + 1)
        grid[top : top + height, left : left + width] = np.dstack([kernel, np.full((height, width), 255, np.uint8)])
    scale = max(1, min(LARGEST // max(height, width), ROOM // grid.shape[1]))
    return picture(png(grid), alt, (grid.shape[0], grid.shape[1]), scale)


def _columns(count: int) -> int:
    """The number of kernels in a row: a divisor of `count` near 16, so that all rows are full, or else 16."""
    if count <= ACROSS:
        return count
    return next((columns for columns in range(ACROSS, 9, -1) if count % columns == 0), ACROSS)
