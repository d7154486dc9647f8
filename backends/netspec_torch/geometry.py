"""Sizes and paddings in the forms that torch takes."""

from __future__ import annotations

from netspec.graph import Node
from netspec.lowering.python.source import Expression, LiteralValue, Name, call
from netspec.ops.attributes import Padding, Size2d
from netspec_torch.writer import ModuleWriter


def pair(size: Size2d) -> LiteralValue:
    """A size: one integer if it is square, else (height, width)."""
    return size.height if size.height == size.width else (size.height, size.width)


def height_and_width(p: Padding) -> LiteralValue:
    """A symmetric padding as layers take it: one integer if all sides are equal, else (height, width)."""
    return p.top if p.top == p.left else (p.top, p.left)


def sides(p: Padding) -> LiteralValue:
    """A padding of each side: one integer if all sides are equal, else (left, right, top, bottom)."""
    return p.top if p.symmetric and p.top == p.left else (p.left, p.right, p.top, p.bottom)


def pad(
    node: Node, out: ModuleWriter, x: Name, p: Padding, more: tuple[int, int] = (0, 0), **value: Expression
) -> Name:
    """Pad a map with `F.pad` as an intermediate step of a node; returns the variable of the padded map.

    Args:
        node: the node that reads the padded map.
        out: the writer.
        x: the map.
        p: the padding.
        more: further rows at the bottom and columns at the right.
        value: `value=...` if it is not 0.
    """
    bottom, right = p.bottom + more[0], p.right + more[1]
    channels, height, width = node.input_types[0].features
    padded = node.input_types[0].with_features(channels, height + p.top + bottom, width + p.left + right)
    return out.step(node, call("F.pad", x, (p.left, right, p.top, bottom), **value), str(padded))


def dim(axis: int, node: Node) -> int:
    """An axis of a node's first input as torch code names it: the last of more than two is −1, whatever their number.

    Instances of a block may so have values of any rank.
    """
    return -1 if axis == node.input_types[0].rank - 1 > 1 else axis
