"""Normalization in Keras; epsilons are written out, for Keras' own are 1e-3."""

from netspec.graph import Node
from netspec.lowering.python.source import LiteralValue, call
from netspec.ops import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, LocalResponseNorm, RmsNorm
from netspec_keras.layout import native_axis, native_order
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter


@lowers(LocalResponseNorm)
def local_response_norm(op: LocalResponseNorm, node: Node, out: ModelWriter) -> None:
    """Keras has no layer for it; ours take alpha for each element."""
    settings: dict[str, LiteralValue] = {"alpha": op.alpha_per_element, "beta": op.beta, "k": op.k}
    if op.groups != 1:
        settings["groups"] = op.groups
    layer = "LocalResponseNormalization" if op.region == "channels" else "MapResponseNormalization"
    out.apply(node, call(layer, op.size, **settings), *out.inputs(node))


@lowers(BatchNorm)
def batch_norm(op: BatchNorm, node: Node, out: ModelWriter) -> None:
    """`layers.BatchNormalization`, whose momentum is what is kept; ours where the running variance is unbiased."""
    settings = _axis(node)
    # 1 - 0.1 is 0.9 and nothing longer, as a person would write it.
    settings |= {"momentum": float(f"{1 - op.update_rate:.15g}"), "epsilon": op.epsilon} | _affine(op.affine)
    biased = op.running_variance == "biased"
    layer = "layers.BatchNormalization" if biased else "UnbiasedBatchNormalization"
    _bind_affine(node, out)
    out.bind(node, "running_mean", "moving_mean")
    out.bind(node, "running_variance", "moving_variance")
    out.apply(node, call(layer, **settings), *out.inputs(node))


@lowers(LayerNorm)
def layer_norm(op: LayerNorm, node: Node, out: ModelWriter) -> None:
    """`layers.LayerNormalization` for the last axes; ours for others, which Keras gets wrong on PyTorch.

    Weights have the axes in the order in which Keras keeps them.
    """
    settings, order, last = _along(op, node)
    _bind_affine(node, out, order)
    layer = "layers.LayerNormalization" if last else "AxisLayerNormalization"
    out.apply(node, call(layer, **settings, **_affine(op.affine)), *out.inputs(node))


@lowers(RmsNorm)
def rms_norm(op: RmsNorm, node: Node, out: ModelWriter) -> None:
    """`layers.RMSNormalization` for the last axes; ours for others, along which Keras' scale does not broadcast.

    Without a weight it is a function, for the layer always has one.
    """
    settings, order, last = _along(op, node)
    if not op.affine:
        out.assign(node, call("ops.rms_normalization", *out.inputs(node), **settings))
        return
    out.bind(node, "weight", "scale", axes=order)
    out.apply(node, call("layers.RMSNormalization" if last else "AxisRMSNormalization", **settings), *out.inputs(node))


def _along(op: LayerNorm | RmsNorm, node: Node) -> tuple[dict[str, LiteralValue], tuple[int, ...], bool]:
    """`axis` and `epsilon`; which of the op's axes each of Keras' is, by place; and whether they are the last axes."""
    rank = node.type.rank
    kept = [axis for axis in native_order(rank) if axis in op.axes]
    axes = tuple(native_axis(axis, rank) % rank for axis in kept)
    settings: dict[str, LiteralValue] = {} if axes == (rank - 1,) else {"axis": axes if len(axes) > 1 else axes[0]}
    settings["epsilon"] = op.epsilon
    return settings, tuple(op.axes.index(axis) for axis in kept), axes == tuple(range(rank - len(axes), rank))


@lowers(InstanceNorm)
def instance_norm(op: InstanceNorm, node: Node, out: ModelWriter) -> None:
    """`layers.GroupNormalization` with a group for each channel, which it writes as -1."""
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
    """Where the channels are, when that is not last."""
    axis = native_axis(1, node.type.rank)
    return {} if axis == -1 else {"axis": axis}


def _affine(affine: bool) -> dict[str, LiteralValue]:
    return {} if affine else {"center": False, "scale": False}


def _bind_affine(node: Node, out: ModelWriter, axes: tuple[int, ...] | None = None) -> None:
    out.bind(node, "weight", "gamma", axes=axes)
    out.bind(node, "bias", "beta", axes=axes)
