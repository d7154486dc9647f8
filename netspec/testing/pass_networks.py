"""Small networks for testing passes: each has nodes that a pass must rewrite, and similar ones that it must not."""

from __future__ import annotations

from typing import Any

from netspec.graph import Graph
from netspec.testing.networks import Chain


def normalized() -> Graph:
    """A convolution with as many filters as channels, and a dense layer, each followed by a batch norm."""
    return (
        Chain("normalized", image=(4, 5, 6))
        .add("conv", "conv2d", filters=4, kernel_size=3)
        .add("norm", "batch_norm", epsilon=1e-2)
        .add("flat", "flatten")
        .add("fc", "dense", units=5, bias=False)
        .add("norm2", "batch_norm", affine=False)
        .add("act", "leaky_relu")
        .graph()
    )


def enlarged() -> Graph:
    """A grouped transposed convolution, followed by a batch norm."""
    return (
        Chain("enlarged", image=(4, 3, 5))
        .add("up", "conv_transpose2d", filters=4, kernel_size=3, stride=2, groups=2)
        .add("norm", "batch_norm")
        .add("act", "leaky_relu")
        .graph()
    )


def prenormalized() -> Graph:
    """A batch norm before a convolution with as many filters as channels, and one before a convolution with padding."""
    return (
        Chain("prenormalized", image=(4, 5, 6))
        .add("norm", "batch_norm")
        .add("conv", "conv2d", filters=4, kernel_size=3)
        .add("act", "leaky_relu")
        .add("norm2", "batch_norm")
        .add("conv2", "conv2d", filters=4, kernel_size=3, padding=1)
        .graph()
    )


def scaled() -> Graph:
    """A dense layer on as many tokens as features, followed by scales of the positions, and by scales of features."""
    return (
        Chain("scaled", tokens=(4, 4))
        .add("fc", "dense", units=4)
        .add("positions", "layer_scale", axis=1, initialize={"weight": {"normal": {"std": 1.0}}})
        .add("fc2", "dense", units=4)
        .add("features", "layer_scale", axis=2, initialize={"weight": {"normal": {"std": 1.0}}})
        .add("act", "leaky_relu")
        .graph()
    )


def subtracted() -> Graph:
    """A convolution whose result is subtracted from a value for each channel."""
    return (
        Chain("subtracted", image=(3, 5, 6))
        .add("conv", "conv2d", filters=4, kernel_size=3)
        .add("values", "parameter", shape=[4, 1, 1], initialize={"weight": {"normal": {"std": 1.0}}})
        .add("difference", "subtract", reads=("values", "conv"))
        .add("act", "leaky_relu")
        .graph()
    )


def positioned() -> Graph:
    """Attention with a table of position biases, and tokens to which a function of a parameter is added."""
    wide: dict[str, Any] = {"initialize": {"weight": {"normal": {"std": 1.0}}}}
    return (
        Chain("positioned", tokens=(6, 4))
        .add("positions", "parameter", shape=[6, 4], **wide)
        .add("waves", "sin")
        .add("sum", "add", reads=("tokens", "waves"))
        .add("table", "parameter", shape=[15, 1], **wide)
        .add("biases", "relative_position_bias", grid=[2, 3])
        .add("bias", "reshape", shape=[6, 6])
        .add("attended", "scaled_dot_product_attention", reads=("sum", "sum", "sum", "bias"))
        .graph()
    )


def dropped() -> Graph:
    """Standard dropout (the scaling of 2012) before a dense layer, and before tanh, which no factor commutes with."""
    return (
        Chain("dropped", features=(7,))
        .add("drop1", "dropout", rate=0.25, mode="standard")
        .add("fc1", "dense", units=5)
        .add("drop2", "dropout", rate=0.5, mode="standard")
        .add("act", "tanh")
        .add("fc2", "dense", units=3)
        .graph()
    )


def pooled() -> Graph:
    """A ReLU before a max pool, and one before an average pool."""
    return (
        Chain("pooled", image=(3, 9, 8))
        .add("relu1", "relu")
        .add("pool1", "max_pool2d", kernel_size=2)
        .add("conv", "conv2d", filters=4, kernel_size=2)
        .add("relu2", "relu")
        .add("pool2", "avg_pool2d", kernel_size=2)
        .add("act", "leaky_relu")
        .graph()
    )


def padded() -> Graph:
    """Padding with zeros, with ones and by reflection, each before a convolution."""
    return (
        Chain("padded", image=(3, 6, 5))
        .add("zeros", "pad2d", padding=1)
        .add("conv1", "conv2d", filters=4, kernel_size=3)
        .add("ones", "pad2d", padding=1, value=1.0)
        .add("conv2", "conv2d", filters=4, kernel_size=3)
        .add("mirror", "pad2d", padding=1, mode="reflect")
        .add("conv3", "conv2d", filters=2, kernel_size=3)
        .graph()
    )


def shared() -> Graph:
    """A dense layer with several readers: activations, directly and through a view, and a sum."""
    return (
        Chain("shared", features=(5,))
        .add("fc", "dense", units=6)
        .add("act", "relu")
        .add("view", "reshape", reads="fc", shape=[2, 3])
        .add("act2", "relu")
        .add("flat", "flatten")
        .add("sum", "add", reads=("act", "flat", "fc"))
        .graph()
    )


def gated() -> Graph:
    """A sum that reads a sigmoid, whose gradient needs its output."""
    return (
        Chain("gated", features=(6,))
        .add("fc", "dense", units=6)
        .add("gate", "sigmoid")
        .add("sum", "add", reads=("gate", "features"))
        .graph()
    )


def turned() -> Graph:
    """A map with C = H = W, so that permutations keep its shape: an identity permutation and a transposition."""
    return (
        Chain("turned", image=(4, 4, 4))
        .add("same", "permute", axes=[1, 2, 3])
        .add("turn", "permute", axes=[1, 3, 2])
        .add("conv", "conv2d", filters=2, kernel_size=3)
        .add("flat", "flatten")
        .add("fc", "dense", units=3)
        .graph()
    )
