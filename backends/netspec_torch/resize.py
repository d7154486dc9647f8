"""Resizing in torch: `F.interpolate` where it computes the same function, our `Resize2d` elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from netspec.graph import Node
from netspec.lowering.python.source import LiteralValue, call
from netspec.ops import Resize
from netspec.ops.resize import Between
from netspec_torch.geometry import pair
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter


@lowers(Resize)
def resize(op: Resize, node: Node, out: ModuleWriter) -> None:
    """`nn.Upsample` by a power of two, or `F.interpolate` to a size; our `Resize2d` for rules that they lack."""
    (x,), size = out.inputs(node), pair(op.target)
    settings = _settings(op, node)
    if settings is not None:
        if "align_corners" not in settings and out.all_instances(node, _is_power_of_two):
            factor = op.target.height // node.input_types[0].features[1]
            layer = out.declare(node, "nn.Upsample", scale_factor=factor, **settings)
            out.assign(node, call(layer, x))
        else:
            out.assign(node, call("F.interpolate", x, size=(op.target.height, op.target.width), **settings))
        return
    out.support("resize2d")
    rounding: dict[str, LiteralValue] = {"rounding": op.rounding} if op.mode == "nearest" else {}
    layer = out.declare(node, "Resize2d", size, mode=op.mode, coordinates=op.coordinates, **rounding)
    out.assign(node, call(layer, x))


def _is_power_of_two(node: Node) -> bool:
    """Whether both axes become 2, 4, 8, … times as long, a factor by which torch divides without rounding."""
    _, height, width = node.input_types[0].features
    factor = node.type.features[1] // height
    is_factor = node.type.features[1:] == (factor * height, factor * width)
    return is_factor and factor > 1 and factor & (factor - 1) == 0


def _settings(op: Resize, node: Node) -> dict[str, LiteralValue] | None:
    """The arguments of `F.interpolate` with which it reads the same positions as the op; None if there are none."""
    if op.mode == "bilinear":
        if op.coordinates == "asymmetric":
            return None
        return {"mode": "bilinear"} | ({"align_corners": True} if op.coordinates == "align_corners" else {})
    (_, height, width), (rows, columns) = node.input_types[0].features, op.positions(node.input_types[0])
    for mode, offset in (("nearest", 0.0), ("nearest-exact", 0.5)):
        if _reads(rows, height, offset) and _reads(columns, width, offset):
            return {"mode": mode}
    return None


def _reads(along: Sequence[Between], length: int, offset: float) -> bool:
    """Whether torch, which reads floor((i + offset) · L/n), reads these positions in float32 and in float64."""
    expected = [position.low for position in along]
    for dtype in (np.float32, np.float64):
        centers = np.array([i + offset for i in range(len(along))], dtype)
        size, count = np.array([length, len(along)], dtype)
        index = np.floor(centers * (size / count))
        if np.minimum(index, length - 1).astype(int).tolist() != expected:
            return False
    return True
