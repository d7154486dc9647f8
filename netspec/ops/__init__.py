"""The ops of the language. `OPS` is the whole list; a new op is one class and one line here."""

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
from netspec.ops.attention import MultiHeadAttention, ScaledDotProductAttention
from netspec.ops.attention_bias import RegionMask, RelativePositionBias
from netspec.ops.base import Op, Sample, Weight, WeightedOp, Window
from netspec.ops.convolution import Conv2d
from netspec.ops.dropout import Dropout, StochasticDepth
from netspec.ops.group_norm import GroupNorm, InstanceNorm
from netspec.ops.linear import Dense, LayerScale, MatMul
from netspec.ops.merge import Add, Concat, Multiply
from netspec.ops.normalization import BatchNorm, LayerNorm, LocalResponseNorm
from netspec.ops.parameter import Parameter
from netspec.ops.pooling import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool2d, MaxPool2d
from netspec.ops.reduction import L2Normalize, ReduceMax, ReduceMean
from netspec.ops.resize import Resize
from netspec.ops.roll import Roll
from netspec.ops.shape import ChannelShuffle, Flatten, Identity, Pad2d, Permute, Reshape, Slice
from netspec.ops.transposed_convolution import ConvTranspose2d

OPS: dict[str, type[Op]] = {
    op.kind: op
    for op in (
        Conv2d,
        ConvTranspose2d,
        Dense,
        MatMul,
        ScaledDotProductAttention,
        MultiHeadAttention,
        RelativePositionBias,
        RegionMask,
        LayerScale,
        MaxPool2d,
        AvgPool2d,
        GlobalAvgPool2d,
        AdaptiveAvgPool2d,
        Resize,
        ReduceMean,
        ReduceMax,
        LocalResponseNorm,
        BatchNorm,
        LayerNorm,
        GroupNorm,
        InstanceNorm,
        L2Normalize,
        Relu,
        Relu6,
        LeakyRelu,
        PRelu,
        Elu,
        Tanh,
        Sigmoid,
        Gelu,
        Silu,
        HardSigmoid,
        HardSwish,
        Softplus,
        Mish,
        Softmax,
        Dropout,
        StochasticDepth,
        Flatten,
        Reshape,
        Permute,
        Slice,
        ChannelShuffle,
        Roll,
        Pad2d,
        Add,
        Multiply,
        Concat,
        Identity,
        Parameter,
    )
}

__all__ = [
    "OPS",
    "AdaptiveAvgPool2d",
    "Add",
    "AvgPool2d",
    "BatchNorm",
    "ChannelShuffle",
    "Concat",
    "Conv2d",
    "ConvTranspose2d",
    "Dense",
    "Dropout",
    "Elu",
    "Flatten",
    "Gelu",
    "GlobalAvgPool2d",
    "GroupNorm",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNorm",
    "L2Normalize",
    "LayerNorm",
    "LayerScale",
    "LeakyRelu",
    "LocalResponseNorm",
    "MatMul",
    "MaxPool2d",
    "Mish",
    "MultiHeadAttention",
    "Multiply",
    "Op",
    "PRelu",
    "Pad2d",
    "Parameter",
    "Permute",
    "ReduceMax",
    "ReduceMean",
    "RegionMask",
    "RelativePositionBias",
    "Relu",
    "Relu6",
    "Reshape",
    "Resize",
    "Roll",
    "Sample",
    "ScaledDotProductAttention",
    "Sigmoid",
    "Silu",
    "Slice",
    "Softmax",
    "Softplus",
    "StochasticDepth",
    "Tanh",
    "Weight",
    "WeightedOp",
    "Window",
]
