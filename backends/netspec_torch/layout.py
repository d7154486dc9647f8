"""The channels-last memory format, and the networks that cannot use it."""

from __future__ import annotations

from typing import Final

from netspec.graph import Graph, Node
from netspec.ops import Conv2d
from netspec.ops.attributes import both

FEWEST_CHANNELS: Final = 16  # two vectors of AVX2, one of AVX-512


def takes_channels_last(graph: Graph) -> bool:
    """Whether every convolution works in the channels-last memory format.

    There, the backward pass of a strided 1x1 convolution with fewer channels than a vector holds writes out of bounds:
    oneDNN in PyTorch 2.13 on a CPU with AVX2, in float32, seen with 3 and 4 channels but not with 8.
    """
    return not any(_writes_out_of_bounds(node) for node in graph.nodes)


def _writes_out_of_bounds(node: Node) -> bool:
    op = node.op
    if not isinstance(op, Conv2d) or op.kernel_size != both(1) or op.stride == both(1):
        return False
    return node.input_types[0].features[0] // op.groups < FEWEST_CHANNELS
