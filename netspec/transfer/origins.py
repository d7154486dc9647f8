"""The names and axis orders that each origin gives to the weights of a layer, by op."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from netspec.graph import Graph, Node
from netspec.ops import Conv2d, Dense, Flatten
from netspec.ops.base import Array

Layout = Callable[[Graph, Node, str, Array], Array]


@dataclass(frozen=True, slots=True)
class Origin:
    """A library that weights come from.

    Attributes:
        kinds: by op, the canonical name of each weight by its name at the origin; None for arrays that are no weights,
            such as counters. The name is empty if the layer itself is the weight.
        canonical: converts an array of the origin to canonical axes, given the graph, the node and the weight's name.
    """

    kinds: Mapping[str, Mapping[str, str | None]]
    canonical: Layout


def _from_channels_first(graph: Graph, node: Node, weight: str, array: Array) -> Array:
    """Canonical layout is torch's, except that a dense layer after flatten may be a convolution kernel (timm's VGG)."""
    is_kernel = weight == "weight" and isinstance(node.op, Dense) and array.ndim == 4
    return array.reshape(len(array), -1) if is_kernel and array.shape[1:] == flattened_map(graph, node) else array


def _from_channels_last(graph: Graph, node: Node, weight: str, array: Array) -> Array:
    """Transpose kernels (H, W, in, out), depthwise (H, W, C, multiplier) and matrices (in, out) to (out, in, …).

    The rows of a matrix after flatten are in the order H, W, C, and become C, H, W.

    Source: keras.io, Conv2D, DepthwiseConv2D, Conv2DTranspose (out, in in place of in, out), Dense, Flatten.
    """
    if weight != "weight" or array.ndim not in (2, 4):
        return array
    if array.ndim == 4:
        height, width, channels, count = array.shape
        if isinstance(node.op, Conv2d) and 1 < node.op.groups == channels:
            return array.transpose(2, 3, 0, 1).reshape(channels * count, 1, height, width)
        return array.transpose(3, 2, 0, 1)
    flattened = flattened_map(graph, node)
    if flattened and len(array) == np.prod(flattened):
        channels, height, width = flattened
        return array.T.reshape(-1, height, width, channels).transpose(0, 3, 1, 2).reshape(array.T.shape)
    return array.T


def flattened_map(graph: Graph, node: Node) -> tuple[int, ...]:
    """(C, H, W) of the feature map that a dense layer reads flattened; empty if it reads something else."""
    while len(node.inputs) == 1:
        value = graph.values[node.inputs[0]]
        if not isinstance(value, Node):
            break
        if isinstance(value.op, Flatten) and value.input_types[0].rank == 4:
            return value.input_types[0].features
        if len(value.inputs) != 1 or value.type != value.input_types[0] or isinstance(value.op, Dense):
            break  # neither flatten nor an elementwise op
        node = value
    return ()


_AFFINE: Final[Mapping[str, str | None]] = {"weight": "weight", "bias": "bias"}
_TORCH: Final[dict[str, Mapping[str, str | None]]] = {
    **dict.fromkeys(("conv2d", "conv_transpose2d", "dense", "layer_norm", "group_norm", "instance_norm"), _AFFINE),
    "batch_norm": {
        **_AFFINE,
        "running_mean": "running_mean",
        "running_var": "running_variance",
        "num_batches_tracked": None,
    },
    "prelu": {"weight": "weight"},
    "layer_scale": {"": "weight"},
    "parameter": {"": "weight"},
    "multi_head_attention": {
        "in_proj_weight": "in_weight",
        "in_proj_bias": "in_bias",
        "out_proj.weight": "out_weight",
        "out_proj.bias": "out_bias",
    },
}
_TIMM: Final[dict[str, Mapping[str, str | None]]] = {
    **_TORCH,
    "layer_scale": {"": "weight", "gamma": "weight"},
    "multi_head_attention": {
        "qkv.weight": "in_weight",
        "qkv.bias": "in_bias",
        "proj.weight": "out_weight",
        "proj.bias": "out_bias",
    },
}
_SCALED: Final[Mapping[str, str | None]] = {"gamma": "weight", "beta": "bias"}
_KERNEL: Final[Mapping[str, str | None]] = {"kernel": "weight", "depthwise_kernel": "weight", "bias": "bias"}
_KERAS: Final[dict[str, Mapping[str, str | None]]] = {
    **dict.fromkeys(("conv2d", "conv_transpose2d", "dense"), _KERNEL),
    **dict.fromkeys(("layer_norm", "group_norm"), _SCALED),
    "batch_norm": {**_SCALED, "moving_mean": "running_mean", "moving_variance": "running_variance"},
    "prelu": {"alpha": "weight"},
    "layer_scale": {"": "weight", "gamma": "weight"},
    "parameter": {"": "weight"},
}

ORIGINS: Final[Mapping[str, Origin]] = MappingProxyType(
    {
        "torchvision": Origin(_TORCH, _from_channels_first),
        "timm": Origin(_TIMM, _from_channels_first),
        "keras-applications": Origin(_KERAS, _from_channels_last),
    }
)
