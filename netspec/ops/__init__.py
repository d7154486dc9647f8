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
from netspec.ops.base import Op, Sample, Weight, WeightedOp, Window
from netspec.ops.convolution import Conv2d
from netspec.ops.dropout import Dropout
from netspec.ops.linear import Dense
from netspec.ops.merge import Add, Concat, Multiply
from netspec.ops.normalization import BatchNorm, GroupNorm, LayerNorm, LocalResponseNorm
from netspec.ops.pooling import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool2d, MaxPool2d
from netspec.ops.shape import Flatten, Identity, Pad2d, Permute, Reshape

OPS: dict[str, type[Op]] = {
    op.kind: op
    for op in (
        Conv2d,
        Dense,
        MaxPool2d,
        AvgPool2d,
        GlobalAvgPool2d,
        AdaptiveAvgPool2d,
        LocalResponseNorm,
        BatchNorm,
        LayerNorm,
        GroupNorm,
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
        Flatten,
        Reshape,
        Permute,
        Pad2d,
        Add,
        Multiply,
        Concat,
        Identity,
    )
}

__all__ = [
    "OPS",
    "AdaptiveAvgPool2d",
    "Add",
    "AvgPool2d",
    "BatchNorm",
    "Concat",
    "Conv2d",
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
    "LayerNorm",
    "LeakyRelu",
    "LocalResponseNorm",
    "MaxPool2d",
    "Mish",
    "Multiply",
    "Op",
    "PRelu",
    "Pad2d",
    "Permute",
    "Relu",
    "Relu6",
    "Reshape",
    "Sample",
    "Sigmoid",
    "Silu",
    "Softmax",
    "Softplus",
    "Tanh",
    "Weight",
    "WeightedOp",
    "Window",
]
