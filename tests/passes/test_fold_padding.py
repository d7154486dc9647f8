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
    assert op.explicit_padding == padding_of((2, 3, 0, 2))


def test_padding_same_and_rounding_up_keep_their_meaning() -> None:
    graph = padded().add("conv", "conv2d", filters=2, kernel_size=3, stride=2, padding={"same": "lower"}, round="ceil")
    changed(PASS, graph.graph())


def test_all_convolutions_that_read_it_pad() -> None:
    graph = padded().add("a", "conv2d", filters=2, kernel_size=3)
    assert names(
        changed(PASS, graph.add("b", "conv2d", reads="pad", filters=2, kernel_size=1).graph("a", "b")).graph
    ) == [
        *("a", "b"),
    ]


def test_a_row_of_them_is_one_padding() -> None:
    graph = padded().add("pad2", "pad2d", padding={"top": 3, "left": 1}).add("pad3", "pad2d", padding=1)
    rewrite = changed(PASS, graph.add("conv", "conv2d", filters=2, kernel_size=3, padding=1).graph())
    assert names(rewrite.graph) == ["conv"]
    assert rewrite.graph.nodes[0].inputs == ("image",)
    op = rewrite.graph.nodes[0].op
    assert isinstance(op, Conv2d)
    assert op.explicit_padding == padding_of((6, 3, 2, 4))


def test_each_convolution_on_the_way_pads_as_much_as_it_had_before() -> None:
    graph = padded().add("a", "conv2d", filters=2, kernel_size=3).add("pad2", "pad2d", reads="pad", padding=1)
    rewrite = changed(PASS, graph.add("b", "conv2d", filters=2, kernel_size=3).graph("a", "b"))
    assert [node.inputs for node in rewrite.graph.nodes] == [("image",), ("image",)]
    assert names(rewrite.graph) == ["a", "b"]


@pytest.mark.parametrize("after", [{"value": 1.0}, {"mode": "reflect"}])
def test_of_a_row_only_what_follows_the_last_other_padding_is_folded(after: dict[str, object]) -> None:
    graph = padded().add("other", "pad2d", padding=1, **after).add("zeros", "pad2d", padding=1)
    rewrite = changed(PASS, graph.add("conv", "conv2d", filters=2, kernel_size=3).graph())
    assert names(rewrite.graph) == ["pad", "other", "conv"]


def test_of_a_row_only_what_follows_an_output_is_folded() -> None:
    graph = padded().add("pad2", "pad2d", padding=1).add("conv", "conv2d", filters=2, kernel_size=3)
    assert names(changed(PASS, graph.graph("pad", "conv")).graph) == ["pad", "conv"]
    assert PASS.run(graph.graph("pad2", "conv")) is None


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
