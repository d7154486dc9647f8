"""What attention adds to its scores, in torch: functions of our own, which move to where their input is."""

from collections.abc import Iterable

from netspec.graph import Node
from netspec.lowering.python.source import Expression, ListOf, Literal, LiteralValue, call
from netspec.ops import RegionMask, RelativePositionBias
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter


@lowers(RelativePositionBias)
def relative_position_bias(op: RelativePositionBias, node: Node, out: ModuleWriter) -> None:
    """Views of the table: no index is kept."""
    out.support("relative_position_bias")
    out.assign(node, call("relative_position_bias", *out.inputs(node), _numbers(op.grid)))


@lowers(RegionMask)
def region_mask(op: RegionMask, node: Node, out: ModuleWriter) -> None:
    """A mask that is made where it is added."""
    out.support("mask_regions")
    regions = ListOf(tuple(map(_numbers, op.regions)))
    optional: dict[str, Expression | LiteralValue] = {}
    if op.window_size is not None:
        optional["window_size"] = _numbers(op.window_size)
    if op.value != -100.0:
        optional["value"] = op.value
    out.assign(node, call("mask_regions", *out.inputs(node), regions, **optional))


def _numbers(values: Iterable[int]) -> ListOf:
    """A list of numbers, as any number of them is annotated where TorchScript reads it."""
    return ListOf(tuple(map(Literal, values)))
