"""One tower's part of an op, of a type and of a weight."""

from __future__ import annotations

from netspec.graph.towers import axis_of
from netspec.ops import Conv2d, ConvTranspose2d, Dense, GroupNorm, LocalResponseNorm, Op
from netspec.types import TensorType


def local_op(op: Op, towers: int) -> Op:
    """The op that computes one tower's channels: its share of the filters, and of the groups if there are any.

    >>> local_op(Dense(units=8, groups=2), 2), local_op(Dense(units=8), 2)
    (Dense(initialize={}, units=4, groups=1, bias=True), Dense(initialize={}, units=4, groups=1, bias=True))
    """
    match op:
        case Conv2d() | ConvTranspose2d():
            changes = {"filters": op.filters // towers, "groups": _local_groups(op.groups, towers)}
        case Dense():
            changes = {"units": op.units // towers, "groups": _local_groups(op.groups, towers)}
        case GroupNorm() | LocalResponseNorm():
            changes = {"groups": _local_groups(op.groups, towers)}
        case _:
            return op
    return op.model_copy(update=changes)


def _local_groups(groups: int, towers: int) -> int:
    """The groups that a tower computes: its share of them, or one, or a part of one."""
    return 1 if groups % towers else groups // towers


def local_type(type: TensorType, parts: int) -> TensorType:
    """The type of one of `parts` equal parts of a value, divided along its channels.

    >>> str(local_type(TensorType.of(96, 55, 55), 2)), str(local_type(TensorType.of(7, 64), 2))
    ('(N, 48, 55, 55)', '(N, 7, 32)')
    """
    index = axis_of(type) - 1
    return type.with_features(*(size // parts if i == index else size for i, size in enumerate(type.features)))


def divided_axis(whole: tuple[int, ...], local: tuple[int, ...]) -> int | None:
    """The axis along which a tower's weight is smaller than the whole one; None if it is the whole one.

    >>> divided_axis((96, 3, 11, 11), (48, 3, 11, 11)), divided_axis((1,), (1,))
    (0, None)
    """
    return next((axis for axis, (a, b) in enumerate(zip(whole, local, strict=True)) if a != b), None)
