"""Sizes, paddings and the `same` rule in the forms that Keras takes."""

from netspec.lowering.python.source import LiteralValue
from netspec.ops.attributes import Padding, Same, Size2d, both, padding_of, resolve_padding
from netspec.types import TensorType


def pair(size: Size2d) -> LiteralValue:
    """A size: one integer if it is square, else (height, width)."""
    return size.height if size.height == size.width else (size.height, size.width)


def sides(p: Padding) -> LiteralValue:
    """A padding: one integer if all sides are equal, (height, width) if symmetric, else all four sides."""
    if not p.symmetric:
        return ((p.top, p.bottom), (p.left, p.right))
    return p.top if p.top == p.left else (p.top, p.left)


def padded(x: TensorType, p: Padding) -> tuple[int, int, int]:
    """The (H, W, C) of a padded map."""
    channels, height, width = x.features
    return height + p.top + p.bottom, width + p.left + p.right, channels


def is_same(x: TensorType, p: Padding, kernel: Size2d, stride: Size2d, dilation: Size2d | None = None) -> bool:
    """Whether this padding is not empty and is that of Keras' `padding="same"`."""
    _, height, width = x.features
    same = resolve_padding(Same(same="tf"), (height, width), kernel, stride, dilation or both(1))
    return bool(p) and p == same


def enlarged(p: Padding, overhang: tuple[int, int]) -> Padding:
    """A padding extended by the (rows, columns) by which the last window reaches beyond it."""
    rows, columns = overhang
    return p + padding_of((0, 0, rows, columns))
