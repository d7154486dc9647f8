"""The architecture as SVG: its contents, that no element covers another, and that it is deterministic."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from netspec.graph import Graph, Input, make_node
from netspec.graph.drawing import draw_graph
from netspec.graph.drawing.boxes import Boxes, make_boxes
from netspec.graph.drawing.columns import place_boxes
from netspec.graph.drawing.layout import lay_out
from netspec.graph.drawing.lines import Placed
from netspec.graph.drawing.repeats import collapse_repeats
from netspec.graph.drawing.solids import COMPACT, FULL, Style
from netspec.ops import OPS, Conv2d, Dense, Subtract
from netspec.ops.attributes import both
from netspec.spec import load_graph
from netspec.testing.cases import SampleCase
from netspec.testing.networks import NETWORKS, Chain
from netspec.types import TensorType

SPECS = Path(__file__).parents[2] / "specs"
SVG = "{http://www.w3.org/2000/svg}"


def residual(blocks: int, stages: tuple[int, ...] = (16, 32)) -> Graph:
    chain = Chain("residual", image=(3, 32, 32)).add("stem", "conv2d", filters=stages[0], kernel_size=3, padding=1)
    last = "stem"
    for stage, filters in enumerate(stages):
        for block in range(blocks):
            name, stride = f"s{stage}b{block}", 2 if stage and not block else 1
            chain.add(f"{name}_a", "conv2d", reads=last, filters=filters, kernel_size=3, padding=1, stride=stride)
            chain.add(f"{name}_relu", "relu").add(f"{name}_b", "conv2d", filters=filters, kernel_size=3, padding=1)
            shortcut = last
            if stride == 2:
                shortcut = f"{name}_short"
                chain.add(shortcut, "conv2d", reads=last, filters=filters, kernel_size=1, stride=2)
            last = f"{name}_sum"
            chain.add(last, "add", reads=(f"{name}_b", shortcut))
    return chain.add("gap", "global_avg_pool2d").add("fc", "dense", units=10).graph()


def inception() -> Graph:
    chain = Chain("inception", image=(3, 16, 16)).add("stem", "conv2d", filters=8, kernel_size=3)
    last = "stem"
    for number in range(5):
        ends = []
        for branch in range(4):
            chain.add(f"m{number}_{branch}_0", "conv2d", reads=last, filters=4, kernel_size=1)
            for depth in range(1, branch):
                chain.add(f"m{number}_{branch}_{depth}", "conv2d", filters=4, kernel_size=3, padding=1)
            ends.append(f"m{number}_{branch}_{max(branch - 1, 0)}")
        last = f"m{number}"
        chain.add(last, "concat", reads=tuple(ends))
    return chain.graph()


def dense_blocks() -> Graph:
    chain = Chain("dense", image=(3, 8, 8)).add("x0", "conv2d", filters=4, kernel_size=1)
    names = ["x0", "image"]
    for number in range(1, 12):
        chain.add(f"c{number}", "concat", reads=tuple(names)).add(f"x{number}", "conv2d", filters=4, kernel_size=1)
        names.append(f"x{number}")
    return chain.graph()


def irregular(layers: int) -> Graph:
    """A chain in which no two layers are equal, with skips across rows."""
    chain = Chain("irregular", image=(3, 32, 32))
    for number in range(layers):
        chain.add(f"layer{number}", "conv2d", filters=1 + number, kernel_size=1)
        if number % 37 == 36:
            chain.add(f"both{number}", "concat", reads=(f"layer{number}", f"layer{number - 30}"))
    return chain.graph()


GRAPHS: dict[str, Callable[[], Graph]] = {
    **NETWORKS,
    "alexnet": lambda: load_graph(SPECS / "alexnet.yaml"),
    "residual": lambda: residual(3),
    "inception": inception,
    "dense_blocks": dense_blocks,
    "irregular": lambda: irregular(50),
}


def classes(svg: str, name: str) -> list[ElementTree.Element]:
    return [e for e in ElementTree.fromstring(svg).iter() if name in e.get("class", "").split()]  # noqa: S314 # ours


def texts(svg: str) -> list[str]:
    return [e.text or "" for e in ElementTree.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314 # ours


def test_alexnet_has_two_towers_that_cross_where_a_layer_reads_both() -> None:
    svg = draw_graph(load_graph(SPECS / "alexnet.yaml"))
    assert len(classes(svg, "front")) == 1 + 8 * 2 + 3  # the input, conv1 to pool5 twice, fc6 to fc8
    # A pyramid ends in a tip: 2 from the input, 2 for each layer that keeps to its tower, 4 where conv3 reads both.
    assert len(classes(svg, "tip")) == 2 + 6 * 2 + 4
    assert len(classes(svg, "fan")) == 2 + 1 + 1  # pool5's towers into fc6, fc7, fc8
    assert texts(svg).count("tower 1") == texts(svg).count("tower 2") == 2  # before conv3, and from it on
    assert {"conv3", "3×3 conv", "384×13×13", "11×11 conv, /4", "relu · LRN", "relu · dropout"} <= set(texts(svg))
    assert texts(svg).count("192") == 4


def test_one_tower_is_one_row() -> None:
    svg = draw_graph(load_graph(SPECS / "alexnet-one-tower.yaml"))
    assert len(classes(svg, "front")) == 1 + 8 + 3
    assert len(classes(svg, "tip")) == 8
    assert not any("tower" in text for text in texts(svg))


def test_groups_that_are_not_towers_are_labelled() -> None:
    chain = Chain("depthwise", image=(16, 8, 8)).add("depthwise", "conv2d", filters=16, kernel_size=3, groups=16)
    svg = draw_graph(chain.graph())
    assert "16 groups" in texts(svg)
    assert len(classes(svg, "front")) == 2


@pytest.mark.parametrize("name", GRAPHS)
def test_every_layer_is_named_in_a_title(name: str) -> None:
    graph = GRAPHS[name]()
    root = ElementTree.fromstring(draw_graph(graph))  # noqa: S314 # ours
    titles = [line.partition(":")[0] for title in root.iter(f"{SVG}title") for line in (title.text or "").splitlines()]
    assert set(graph.values) <= set(titles)


@pytest.mark.parametrize("kind", OPS)
def test_every_op_is_drawn_in_every_corner(kind: str) -> None:
    for sample in OPS[kind].samples():
        graph = SampleCase.of(sample).graph
        assert graph.nodes[0].name in draw_graph(graph)


def test_a_difference_is_drawn_by_its_sign() -> None:
    assert "−" in texts(draw_graph(SampleCase.of(next(iter(Subtract.samples()))).graph))


@pytest.mark.parametrize("style", [FULL, COMPACT], ids=["full", "compact"])
@pytest.mark.parametrize("name", GRAPHS)
def test_nothing_covers_a_box(name: str, style: Style) -> None:
    layout = lay_out(Boxes(make_boxes(GRAPHS[name]())), style)
    faces = [face for placed in layout.boxes for face in fronts(placed)]
    for left, top, right, bottom in faces:
        assert 0 <= left < right <= layout.width
        assert 0 <= top < bottom <= layout.height
    for a, b in combinations(faces, 2):
        assert not overlap(a, b)
    for line in layout.lines:
        for (x1, y1), (x2, y2) in pairwise(line.corners):
            segment = (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
            assert not any(overlap(segment, (a + 1, b + 1, c - 1, d - 1)) for a, b, c, d in faces)
            assert 0 <= segment[0] <= segment[2] <= layout.width
            assert 0 <= segment[1] <= segment[3] <= layout.height


Rectangle = tuple[float, float, float, float]


def fronts(placed: Placed) -> list[Rectangle]:
    half, right = placed.solid.height / 2, placed.left + placed.solid.width
    return [(placed.left, middle - half, right, middle + half) for middle in placed.middles]


def overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


@pytest.mark.parametrize("name", ["residual", "inception", "dense_blocks", "irregular"])
def test_every_edge_is_drawn_once(name: str) -> None:
    boxes = make_boxes(GRAPHS[name]())
    layout = lay_out(Boxes(boxes), FULL)
    assert len(layout.direct) + len(layout.lines) == sum(len(box.reads) for box in boxes)
    assert all(line.arrow for line in layout.lines)


def test_a_deep_network_is_drawn_by_what_repeats() -> None:
    svg = draw_graph(residual(50, (16, 32, 64)))
    assert [text for text in texts(svg) if text.startswith("×")] == ["×50", "×49", "×49"]
    assert len(classes(svg, "box")) < 25


def test_a_thousand_equal_layers_are_one() -> None:
    chain = Chain("deep", image=(8, 8, 8))
    for number in range(1000):
        chain.add(f"layer{number}", "conv2d", filters=8, kernel_size=3, padding=1).add(f"relu{number}", "relu")
    svg = draw_graph(chain.graph())
    assert len(classes(svg, "box")) == 2
    assert "×1000" in texts(svg)
    assert "×1000, to relu999" in svg


def test_a_stretch_ends_where_it_is_read_from_outside() -> None:
    chain = Chain("skips", image=(8, 8, 8))
    for number in range(70):
        chain.add(f"layer{number}", "conv2d", filters=8, kernel_size=1)
    boxes = make_boxes(chain.add("sum", "add", reads=("layer69", "layer30")).graph())
    drawn = collapse_repeats(boxes)
    assert [box.head.name for box in drawn.boxes] == ["image", "layer0", "layer31", "sum"]
    assert [(repeat.times, repeat.until) for repeat in drawn.repeats] == [(31, "layer30"), (39, "layer69")]
    assert drawn.boxes[-1].reads == (2, 1)


def test_many_boxes_without_repeats_are_tiles_with_a_key() -> None:
    svg = draw_graph(irregular(300))
    assert len(classes(svg, "box")) == 1 + 300 + 300 // 37
    assert [e.text for e in classes(svg, "key")] == ["input", "conv"]
    assert not classes(svg, "side")


def stacked(blocks: int) -> Graph:
    """Blocks after a first one with a shortcut, whose second and third layer are those of the others."""
    chain = Chain("stacked", image=(8, 8, 8)).add("stem", "conv2d", filters=8, kernel_size=1)
    last = "stem"
    for block in range(blocks):
        chain.add(f"{block}.shift", "parameter", reads=(), shape=(8, 1, 1), initialize={"weight": block})
        chain.add(f"{block}.conv1", "conv2d", reads=last, filters=4, kernel_size=1)
        chain.add(f"{block}.conv2", "conv2d", filters=8, kernel_size=1, initialize={"bias": block})
        chain.add(f"{block}.shifted", "add", reads=(f"{block}.conv2", f"{block}.shift"))
        chain.add(f"{block}.drop", "stochastic_depth", rate=0.1 * block / blocks)
        short = f"{block}.short"
        last = f"{block}.sum"
        if block == 0:
            chain.add(short, "conv2d", reads="stem", filters=8, kernel_size=1)
        chain.add(last, "add", reads=(f"{block}.drop", f"{max(block - 1, 0)}.sum" if block else short))
    return chain.graph()


def test_a_repeat_is_of_whole_blocks_whatever_their_rates_and_initializers() -> None:
    drawn = collapse_repeats(make_boxes(stacked(5)))
    (repeat,) = drawn.repeats
    names = [box.head.name for box in drawn.boxes]
    assert (repeat.times, repeat.until) == (4, "4.sum")
    assert (names[repeat.first], names[repeat.last]) == ("1.shift", "1.sum")


def test_a_row_does_not_end_within_a_repeat_if_it_can_end_before_it() -> None:
    style = replace(FULL, row=700)
    drawn = collapse_repeats(make_boxes(stacked(5)))
    layout = lay_out(drawn, style)
    assert [(bracket.opens, bracket.closes) for bracket in layout.brackets] == [(True, True)]


def test_parameters_are_near_what_reads_them() -> None:
    boxes = make_boxes(stacked(5))
    cells = dict(
        zip([b.head.name for b in boxes], place_boxes(Boxes(boxes), [60] * len(boxes), 20, 10_000), strict=True)
    )
    for block in range(5):
        shift, shifted = cells[f"{block}.shift"], cells[f"{block}.shifted"]
        assert (shift.column, shift.lane) == (shifted.column - 1, 1)
    assert {cell.lane for name, cell in cells.items() if "shift" not in name and "short" not in name} == {0}


def test_a_tile_is_named_without_its_blocks() -> None:
    svg = draw_graph(load_graph(SPECS / "swin.yaml"))
    assert {"norm1", "qkv", "windows"} <= set(texts(svg))
    assert not any("." in text for text in texts(svg))


def test_names_are_text() -> None:
    x = Input("x", TensorType.of(3, 8, 8))
    hostile = '</title><script>alert("1")</script>&'
    conv = make_node(hostile, Conv2d(filters=4, kernel_size=both(3)), [x])
    svg = draw_graph(Graph(hostile, (x,), (conv,), (hostile,)))
    assert not classes(svg, "script")
    root = ElementTree.fromstring(svg)  # noqa: S314 # ours
    assert root.get("aria-label") == f"The architecture of {hostile}"
    assert not list(root.iter(f"{SVG}script"))


@pytest.mark.parametrize(("kind", "sign"), [("add", "+"), ("subtract", "−"), ("multiply", "×"), ("divide", "÷")])
def test_a_merge_has_the_sign_of_what_it_computes(kind: str, sign: str) -> None:
    chain = Chain("g", image=(4, 4, 4)).add("a", "conv2d", filters=4, kernel_size=1)
    assert f">{sign}</text>" in draw_graph(chain.add("it", kind, reads=("a", "image")).graph())


def test_a_network_of_vectors_and_one_of_nothing_but_its_input() -> None:
    x = Input("x", TensorType.of(4))
    dense = make_node("fc", Dense(units=3), [x])
    assert len(classes(draw_graph(Graph("g", (x,), (dense,), ("fc",))), "fan")) == 1
    assert len(classes(draw_graph(Graph("g", (x,), (), ("x",))), "box")) == 1


def test_a_drawing_loads_nothing() -> None:
    svg = draw_graph(load_graph(SPECS / "alexnet.yaml"))
    assert svg.count("http") == 1  # the namespace
    assert "url(" not in svg
    assert "@import" not in svg


DRAW = """
import sys
from pathlib import Path
from netspec.graph.drawing import draw_graph
from netspec.spec import load_graph
sys.stdout.buffer.write(draw_graph(load_graph(Path(sys.argv[1]))).encode())
assert not {"netspec.training", "PIL"} & set(sys.modules)
"""


def test_the_same_bytes_in_every_process() -> None:
    drawn = {
        subprocess.run(
            [sys.executable, "-c", DRAW, str(SPECS / "alexnet.yaml")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert drawn == {draw_graph(load_graph(SPECS / "alexnet.yaml")).encode()}
