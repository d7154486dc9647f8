"""Normalization in Keras. Epsilon is always written out: the default of Keras is 1e-3."""

from netspec.graph import Node
from netspec.lowering.python.source import LiteralValue, call
from netspec.ops import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, LocalResponseNorm, RmsNorm
from netspec_keras.layout import native_axis, native_order
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter


@lowers(LocalResponseNorm)
def local_response_norm(op: LocalResponseNorm, node: Node, out: ModelWriter) -> None:
    """Our layers, which Keras lacks; their alpha is not divided by the size."""
    settings: dict[str, LiteralValue] = {"alpha": op.alpha_per_element, "beta": op.beta, "k": op.k}
    if op.groups != 1:
        settings["groups"] = op.groups
    layer = "LocalResponseNormalization" if op.region == "channels" else "MapResponseNormalization"
    out.apply(node, call(layer, op.size, **settings), *out.inputs(node))


@lowers(BatchNorm)
def batch_norm(op: BatchNorm, node: Node, out: ModelWriter) -> None:
    """`layers.BatchNormalization`, whose momentum is 1 - update rate; ours for an unbiased running variance."""
    settings = _axis(node)
    # 15 digits: 1 - 0.9 is written 0.1 and not 0.09999999999999998.
    settings |= {"momentum": float(f"{1 - op.update_rate:.15g}"), "epsilon": op.epsilon} | _affine(op.affine)
    biased = op.running_variance == "biased"
    layer = "layers.BatchNormalization" if biased else "UnbiasedBatchNormalization"
    _bind_affine(node, out)
    out.bind(node, "running_mean", "moving_mean")
    out.bind(node, "running_variance", "moving_variance")
    out.apply(node, call(layer, **settings), *out.inputs(node))


@lowers(LayerNorm)
def layer_norm(op: LayerNorm, node: Node, out: ModelWriter) -> None:
    """`layers.LayerNormalization` over the last axes, our `AxisLayerNormalization` over others."""
    settings, order, last = _axes(op, node)
    _bind_affine(node, out, order)
    layer = "layers.LayerNormalization" if last else "AxisLayerNormalization"
    out.apply(node, call(layer, **settings, **_affine(op.affine)), *out.inputs(node))


@lowers(RmsNorm)
def rms_norm(op: RmsNorm, node: Node, out: ModelWriter) -> None:
    """`layers.RMSNormalization` over the last axes, our `AxisRMSNormalization` over others.

    Without a weight, `ops.rms_normalization`: the layer always has a scale.
    """
    settings, order, last = _axes(op, node)
    if not op.affine:
        out.assign(node, call("ops.rms_normalization", *out.inputs(node), **settings))
        return
    out.bind(node, "weight", "scale", axes=order)
    out.apply(node, call("layers.RMSNormalization" if last else "AxisRMSNormalization", **settings), *out.inputs(node))


def _axes(op: LayerNorm | RmsNorm, node: Node) -> tuple[dict[str, LiteralValue], tuple[int, ...], bool]:
    """The arguments of the layer, the permutation of the op's axes into native order, and whether they are the last."""
    rank = node.type.rank
    canonical = [axis for axis in native_order(rank) if axis in op.axes]  # in native order
    native = tuple(native_axis(axis, rank) % rank for axis in canonical)
    settings: dict[str, LiteralValue] = (
        {} if native == (rank - 1,) else {"axis": native if len(native) > 1 else native[0]}
    )
    settings["epsilon"] = op.epsilon
    order = tuple(op.axes.index(axis) for axis in canonical)
    return settings, order, native == tuple(range(rank - len(native), rank))


@lowers(InstanceNorm)
def instance_norm(op: InstanceNorm, node: Node, out: ModelWriter) -> None:
    """`layers.GroupNormalization` with one channel in each group, for which it takes `groups=-1`."""
    settings = {"groups": -1} | _axis(node) | {"epsilon": op.epsilon} | _affine(op.affine)
    _bind_affine(node, out)
    out.apply(node, call("layers.GroupNormalization", **settings), *out.inputs(node))


@lowers(GroupNorm)
def group_norm(op: GroupNorm, node: Node, out: ModelWriter) -> None:
    """`layers.GroupNormalization`."""
    settings = _axis(node) | {"epsilon": op.epsilon} | _affine(op.affine)
    _bind_affine(node, out)
    out.apply(node, call("layers.GroupNormalization", op.groups, **settings), *out.inputs(node))


def _axis(node: Node) -> dict[str, LiteralValue]:
    """The argument for the axis of the channels, if it is not the last."""
    axis = native_axis(1, node.type.rank)
    return {} if axis == -1 else {"axis": axis}


def _affine(affine: bool) -> dict[str, LiteralValue]:
    return {} if affine else {"center": False, "scale": False}


def _bind_affine(node: Node, out: ModelWriter, axes: tuple[int, ...] | None = None) -> None:
    out.bind(node, "weight", "gamma", axes=axes)
    out.bind(node, "bias", "beta", axes=axes)
