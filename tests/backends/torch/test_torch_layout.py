"""Channels-last layout is avoided for convolutions that would write past their memory in it."""

import pytest
from netspec_torch.layout import takes_channels_last

from netspec.graph import Graph, Input, make_node
from netspec.lowering import at_level, find_backend
from netspec.ops import Conv2d
from netspec.ops.attributes import both
from netspec.types import TensorType


def one(channels: int, kernel: int, stride: int, groups: int = 1) -> Graph:
    x = Input("x", TensorType.of(channels, 8, 8))
    op = Conv2d(filters=2 * channels, kernel_size=both(kernel), stride=both(stride), groups=groups)
    return Graph("one", (x,), (make_node("conv", op, [x]),), ("conv",))


@pytest.mark.parametrize(
    ("graph", "safe"),
    [
        (one(4, 1, 2), False),
        (one(3, 1, 3), False),
        (one(32, 1, 2, groups=8), False),
        (one(4, 1, 1), True),
        (one(4, 3, 2), True),
        (one(64, 1, 2), True),
    ],
)
def test_a_strided_1x1_convolution_of_few_channels_keeps_channels_first(graph: Graph, safe: bool) -> None:
    assert takes_channels_last(graph) is safe
    source = str(at_level(find_backend("torch"), "training").lower(graph).content)
    assert ("channels_last" in source) is safe
