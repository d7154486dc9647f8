"""Normalization in torch: its own layers where they compute the same function, ours elsewhere."""

from netspec.graph import Node
from netspec.lowering.python.source import LiteralValue, Name, call, method
from netspec.ops import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, LocalResponseNorm, RmsNorm
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter

DEFAULT_EPSILON = 1e-5
DEFAULT_MOMENTUM = 0.1


@lowers(LocalResponseNorm)
def local_response_norm(op: LocalResponseNorm, node: Node, out: ModuleWriter) -> None:
    """Our layers: `nn.LocalResponseNorm` has no groups and no region, and takes several times as long.

    Over channels, the layer for training has a custom backward pass, the one for inference can be fused by compilers.
    """
    arguments: dict[str, LiteralValue] = {
        "size": op.size,
        "alpha": op.alpha_per_element,
        "beta": op.beta,
        "k": op.k,
    }
    if op.region == "map":
        out.support("local_response_norm_in_map")
        layer = out.declare(node, "LocalResponseNormInMap", **arguments)
    else:
        out.support("local_response_norm_inference" if out.inference else "local_response_norm")
        groups: dict[str, LiteralValue] = {} if op.groups == 1 else {"groups": op.groups}
        layer = out.declare(node, "LocalResponseNorm", **arguments, **groups)
    out.assign(node, call(layer, *out.inputs(node)))


@lowers(BatchNorm)
def batch_norm(op: BatchNorm, node: Node, out: ModuleWriter) -> None:
    """`nn.BatchNorm1d` to `3d` by rank, whose momentum is the op's update rate.

    Our `BiasedBatchNorm` for a biased running variance. Beyond three spatial axes, they are flattened for the layer.
    """
    (type_,), (x,) = node.input_types, out.inputs(node)
    optional: dict[str, LiteralValue] = {}
    if op.epsilon != DEFAULT_EPSILON:
        optional["eps"] = op.epsilon
    if op.update_rate != DEFAULT_MOMENTUM:
        optional["momentum"] = op.update_rate
    if not op.affine:
        optional["affine"] = False
    if op.running_variance == "biased":
        out.support("batch_norm")
        layer = out.declare(node, "BiasedBatchNorm", type_.features[0], **optional)
    else:
        dimensions = {2: 1, 3: 1, 4: 2, 5: 3}.get(type_.rank, 1)
        layer = out.declare(node, f"nn.BatchNorm{dimensions}d", type_.features[0], **optional)
    out.bind(node, weight="weight", bias="bias", running_mean="running_mean", running_variance="running_var")
    if op.running_variance == "unbiased" and type_.rank > 5:
        x = out.step(node, method(x, "flatten", 2))
        out.assign(node, method(call(layer, x), "reshape", -1, *type_.features))
    else:
        out.assign(node, call(layer, x))


@lowers(LayerNorm)
def layer_norm(op: LayerNorm, node: Node, out: ModuleWriter) -> None:
    """`nn.LayerNorm` over the last axes, our `LayerNormOverAxes` over others."""
    optional: dict[str, LiteralValue] = {} if op.epsilon == DEFAULT_EPSILON else {"eps": op.epsilon}
    layer = _along_axes(op, node, out, "LayerNorm", "layer_norm", optional)
    out.bind(node, weight="weight", bias="bias")
    out.assign(node, call(layer, *out.inputs(node)))


@lowers(RmsNorm)
def rms_norm(op: RmsNorm, node: Node, out: ModuleWriter) -> None:
    """`nn.RMSNorm` over the last axes, our `RMSNormOverAxes` over others.

    Epsilon is always written out: the default of torch depends on the dtype.
    """
    layer = _along_axes(op, node, out, "RMSNorm", "rms_norm", {"eps": op.epsilon})
    out.bind(node, weight="weight")
    out.assign(node, call(layer, *out.inputs(node)))


def _along_axes(
    op: LayerNorm | RmsNorm, node: Node, out: ModuleWriter, layer: str, support: str, settings: dict[str, LiteralValue]
) -> Name:
    """Declare `nn.LAYER` if the axes are the last ones, else our `LAYEROverAxes`."""
    rank, sizes = node.type.rank, tuple(node.type.features[axis - 1] for axis in op.axes)
    if not op.affine:
        settings["elementwise_affine"] = False
    if op.axes == tuple(range(rank - len(op.axes), rank)):
        return out.declare(node, f"nn.{layer}", sizes[0] if len(sizes) == 1 else sizes, **settings)
    out.support(support)
    return out.declare(node, f"{layer}OverAxes", sizes, axes=op.axes, **settings)


@lowers(GroupNorm)
def group_norm(op: GroupNorm, node: Node, out: ModuleWriter) -> None:
    """`nn.GroupNorm`."""
    optional: dict[str, LiteralValue] = {}
    if op.epsilon != DEFAULT_EPSILON:
        optional["eps"] = op.epsilon
    if not op.affine:
        optional["affine"] = False
    layer = out.declare(node, "nn.GroupNorm", op.groups, node.type.features[0], **optional)
    out.bind(node, weight="weight", bias="bias")
    out.assign(node, call(layer, *out.inputs(node)))


@lowers(InstanceNorm)
def instance_norm(op: InstanceNorm, node: Node, out: ModuleWriter) -> None:
    """`nn.InstanceNorm1d` to `3d` by rank, without weights by default; beyond, `nn.GroupNorm` of one channel each."""
    channels = node.type.features[0]
    optional: dict[str, LiteralValue] = {}
    if op.epsilon != DEFAULT_EPSILON:
        optional["eps"] = op.epsilon
    if node.type.rank <= 5:
        optional |= {"affine": True} if op.affine else {}
        layer = out.declare(node, f"nn.InstanceNorm{node.type.rank - 2}d", channels, **optional)
    else:
        optional |= {} if op.affine else {"affine": False}
        layer = out.declare(node, "nn.GroupNorm", channels, channels, **optional)
    out.bind(node, weight="weight", bias="bias")
    out.assign(node, call(layer, *out.inputs(node)))
