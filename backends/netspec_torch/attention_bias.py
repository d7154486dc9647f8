"""What attention adds to its scores, in torch: functions of our own, which move to where their input is."""

from netspec.graph import Node
from netspec.lowering.source import LiteralValue, call
from netspec.ops import RegionMask, RelativePositionBias
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter


@lowers(RelativePositionBias)
def relative_position_bias(op: RelativePositionBias, node: Node, out: ModuleWriter) -> None:
    """Views of the table: no index is kept."""
    out.support("relative_position_bias")
    out.assign(node, call("relative_position_bias", *out.inputs(node), op.grid))


@lowers(RegionMask)
def region_mask(op: RegionMask, node: Node, out: ModuleWriter) -> None:
    """A mask that is made where it is added."""
    out.support("mask_regions")
    optional: dict[str, LiteralValue] = {"window_size": op.window_size} if op.window_size is not None else {}
    optional |= {"value": op.value} if op.value != -100.0 else {}
    out.assign(node, call("mask_regions", *out.inputs(node), op.regions, **optional))
