import pytest

from netspec.graph import Graph
from netspec.ops import Conv2d
from netspec.ops.attributes import padding_of
from netspec.passes.fold_padding import PASS
from netspec.testing.networks import Chain
from tests.passes.pass_helpers import changed, names


def padded(**pad: object) -> Chain:
    return Chain("g", image=(4, 6, 5)).add("pad", "pad2d", **{"padding": {"top": 1, "right": 2}, **pad})


@pytest.mark.parametrize("conv", [{}, {"padding": {"left": 3, "top": 1}}, {"stride": 2, "dilation": 2, "groups": 2}])
def test_a_convolution_pads_for_itself(conv: dict[str, object]) -> None:
    graph = padded().add("conv", "conv2d", filters=2, kernel_size=3, **conv).graph()
    rewrite = changed(PASS, graph)
    assert names(rewrite.graph) == ["conv"]
    assert rewrite.graph.nodes[0].inputs == ("image",)
    assert rewrite.changed == ("pad",)


def test_each_side_has_its_own() -> None:
    graph = padded().add("conv", "conv2d", filters=2, kernel_size=3, padding={"left": 3, "top": 1}).graph()
    op = changed(PASS, graph).graph.nodes[0].op
    assert isinstance(op, Conv2d)
    assert op.sides == padding_of((2, 3, 0, 2))


def test_what_was_the_same_or_ceil_before_is_what_it_was() -> None:
    graph = padded().add("conv", "conv2d", filters=2, kernel_size=3, stride=2, padding={"same": "lower"}, round="ceil")
    changed(PASS, graph.graph())


def test_all_convolutions_that_read_it_pad() -> None:
    graph = padded().add("a", "conv2d", filters=2, kernel_size=3)
    assert names(
        changed(PASS, graph.add("b", "conv2d", reads="pad", filters=2, kernel_size=1).graph("a", "b")).graph
    ) == [
        *("a", "b"),
    ]


def test_of_two_in_a_row_the_last() -> None:
    graph = padded().add("pad2", "pad2d", padding=1).add("conv", "conv2d", filters=2, kernel_size=3).graph()
    assert names(changed(PASS, graph).graph) == ["pad", "conv"]


@pytest.mark.parametrize(
    ("graph", "why"),
    [
        (padded(value=1.0).add("conv", "conv2d", filters=2, kernel_size=3).graph(), "not zeros"),
        (padded(mode="reflect").add("conv", "conv2d", filters=2, kernel_size=3).graph(), "a reflection"),
        (padded().add("conv", "conv2d", filters=2, kernel_size=3).graph("pad", "conv"), "an output"),
        (padded().add("pool", "max_pool2d", kernel_size=2).graph(), "a pool pads otherwise"),
        (
            padded()
            .add("conv", "conv2d", filters=2, kernel_size=3)
            .add("act", "relu", reads="pad")
            .graph("conv", "act"),
            "another op reads it too",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_it_leaves_alone(graph: Graph, why: str) -> None:
    assert PASS.run(graph) is None, why
