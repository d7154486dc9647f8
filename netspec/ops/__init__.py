"""The ops of the language. `OPS` has all of them by kind; a new op is one class and its lines here.

A module of ops is imported when one of them is first used: creating all classes takes a tenth of the time of a check,
and a network has few of them.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Final

from netspec.ops.base import FilterOp, Op, Sample, Weight, WeightedOp, Window

if TYPE_CHECKING:
    from netspec.ops.activation import (
        Elu,
        Gelu,
        HardSigmoid,
        HardSwish,
        LeakyRelu,
        Mish,
        PRelu,
        Relu,
        Relu6,
        Sigmoid,
        Silu,
        Softmax,
        Softplus,
        Tanh,
    )
    from netspec.ops.arithmetic import Abs, Clip, Cos, Exp, Log, Power, Rescale, Sin
    from netspec.ops.attention import MultiHeadAttention, ScaledDotProductAttention
    from netspec.ops.attention_bias import RegionMask, RelativePositionBias
    from netspec.ops.convolution import Conv2d
    from netspec.ops.dropout import Dropout, StochasticDepth
    from netspec.ops.group_norm import GroupNorm, InstanceNorm
    from netspec.ops.layer_norm import LayerNorm, RmsNorm
    from netspec.ops.linear import Dense, LayerScale, MatMul
    from netspec.ops.merge import Add, Concat, Divide, Maximum, Minimum, Multiply, Subtract
    from netspec.ops.normalization import BatchNorm, LocalResponseNorm
    from netspec.ops.padding import Pad, Pad2d
    from netspec.ops.parameter import ConstantTensor, Parameter
    from netspec.ops.pooling import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool2d, MaxPool2d
    from netspec.ops.reduction import L2Normalize, ReduceL2, ReduceMax, ReduceMean, ReduceMin, ReduceSum
    from netspec.ops.resize import Resize
    from netspec.ops.roll import Roll
    from netspec.ops.shape import ChannelShuffle, Flatten, Identity, Permute, Reshape, Slice
    from netspec.ops.transposed_convolution import ConvTranspose2d

# The module and the class of each op, by its kind.
_CLASSES: Final = {
    "conv2d": "convolution.Conv2d",
    "conv_transpose2d": "transposed_convolution.ConvTranspose2d",
    "dense": "linear.Dense",
    "matmul": "linear.MatMul",
    "scaled_dot_product_attention": "attention.ScaledDotProductAttention",
    "multi_head_attention": "attention.MultiHeadAttention",
    "relative_position_bias": "attention_bias.RelativePositionBias",
    "region_mask": "attention_bias.RegionMask",
    "layer_scale": "linear.LayerScale",
    "max_pool2d": "pooling.MaxPool2d",
    "avg_pool2d": "pooling.AvgPool2d",
    "global_avg_pool2d": "pooling.GlobalAvgPool2d",
    "adaptive_avg_pool2d": "pooling.AdaptiveAvgPool2d",
    "resize": "resize.Resize",
    "reduce_mean": "reduction.ReduceMean",
    "reduce_max": "reduction.ReduceMax",
    "reduce_min": "reduction.ReduceMin",
    "reduce_sum": "reduction.ReduceSum",
    "reduce_l2": "reduction.ReduceL2",
    "local_response_norm": "normalization.LocalResponseNorm",
    "batch_norm": "normalization.BatchNorm",
    "layer_norm": "layer_norm.LayerNorm",
    "rms_norm": "layer_norm.RmsNorm",
    "group_norm": "group_norm.GroupNorm",
    "instance_norm": "group_norm.InstanceNorm",
    "l2_normalize": "reduction.L2Normalize",
    "relu": "activation.Relu",
    "relu6": "activation.Relu6",
    "leaky_relu": "activation.LeakyRelu",
    "prelu": "activation.PRelu",
    "elu": "activation.Elu",
    "tanh": "activation.Tanh",
    "sigmoid": "activation.Sigmoid",
    "gelu": "activation.Gelu",
    "silu": "activation.Silu",
    "hard_sigmoid": "activation.HardSigmoid",
    "hard_swish": "activation.HardSwish",
    "softplus": "activation.Softplus",
    "mish": "activation.Mish",
    "softmax": "activation.Softmax",
    "rescale": "arithmetic.Rescale",
    "exp": "arithmetic.Exp",
    "log": "arithmetic.Log",
    "sin": "arithmetic.Sin",
    "cos": "arithmetic.Cos",
    "abs": "arithmetic.Abs",
    "power": "arithmetic.Power",
    "clip": "arithmetic.Clip",
    "dropout": "dropout.Dropout",
    "stochastic_depth": "dropout.StochasticDepth",
    "flatten": "shape.Flatten",
    "reshape": "shape.Reshape",
    "permute": "shape.Permute",
    "slice": "shape.Slice",
    "channel_shuffle": "shape.ChannelShuffle",
    "roll": "roll.Roll",
    "pad": "padding.Pad",
    "pad2d": "padding.Pad2d",
    "add": "merge.Add",
    "subtract": "merge.Subtract",
    "multiply": "merge.Multiply",
    "divide": "merge.Divide",
    "maximum": "merge.Maximum",
    "minimum": "merge.Minimum",
    "concat": "merge.Concat",
    "identity": "shape.Identity",
    "parameter": "parameter.Parameter",
    "constant": "parameter.ConstantTensor",
}
_KIND_OF: Final = {path.partition(".")[2]: kind for kind, path in _CLASSES.items()}


class _Ops(Mapping[str, type[Op]]):
    """The ops by kind, whose modules are imported when an op is looked up, but not when a kind is."""

    def __getitem__(self, kind: str) -> type[Op]:
        module, _, name = _CLASSES[kind].partition(".")
        op: type[Op] = getattr(import_module(f"{__name__}.{module}"), name)
        return op

    def __contains__(self, kind: object) -> bool:
        return kind in _CLASSES

    def __iter__(self) -> Iterator[str]:
        return iter(_CLASSES)

    def __len__(self) -> int:
        return len(_CLASSES)


OPS: Final[Mapping[str, type[Op]]] = _Ops()


def __getattr__(name: str) -> type[Op]:
    """Import the class of an op from its module on first use."""
    if name not in _KIND_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    op = globals()[name] = OPS[_KIND_OF[name]]
    return op
