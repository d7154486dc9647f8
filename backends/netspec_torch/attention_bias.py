"""Biases and masks of attention scores, in torch: functions that compute them on the device of their input."""

from collections.abc import Iterable

from netspec.graph import Node
from netspec.lowering.python.source import Expression, ListOf, Literal, LiteralValue, call
from netspec.ops import RegionMask, RelativePositionBias
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter


@lowers(RelativePositionBias)
def relative_position_bias(op: RelativePositionBias, node: Node, out: ModuleWriter) -> None:
    """`relative_position_bias`, which takes views of the table and needs no index buffer."""
    out.support("relative_position_bias")
    out.assign(node, call("relative_position_bias", *out.inputs(node), _numbers(op.grid)))


@lowers(RegionMask)
def region_mask(op: RegionMask, node: Node, out: ModuleWriter) -> None:
    """`mask_regions`, which computes the mask when it adds it and needs no buffer."""
    out.support("mask_regions")
    regions = ListOf(tuple(map(_numbers, op.regions)))
    optional: dict[str, Expression | LiteralValue] = {}
    if op.window_size is not None:
        optional["window_size"] = _numbers(op.window_size)
    if op.value != -100.0:
        optional["value"] = op.value
    out.assign(node, call("mask_regions", *out.inputs(node), regions, **optional))


def _numbers(values: Iterable[int]) -> ListOf:
    """A list literal: TorchScript has no type for a tuple of variable length."""
    return ListOf(tuple(map(Literal, values)))
