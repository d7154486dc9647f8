"""The picture of a graph as SVG: solids, the edges between them, and captions."""

from __future__ import annotations

import math
from collections.abc import Iterator

from netspec.graph.drawing.boxes import Box, Boxes, make_boxes, sign_of
from netspec.graph.drawing.layout import Bracket, lay_out
from netspec.graph.drawing.lines import Line, Placed, Point
from netspec.graph.drawing.palette import STYLESHEET
from netspec.graph.drawing.repeats import collapse_repeats
from netspec.graph.drawing.solids import COMPACT, FULL, Style, shape_text, window_share
from netspec.graph.graph import Graph, Input, Node
from netspec.markup import Element, element, points

MOST_IN_FULL = 60  # boxes; of larger networks repeats are collapsed, and if that is not enough, boxes are flat tiles
CORNER = 6.0  # radius of a line's bends
KEY = 24  # height of the legend


def draw_graph(graph: Graph) -> str:
    """The architecture of a graph as a standalone SVG document, deterministic, with a light and a dark theme.

    A box is a layer with the activations, norms and dropouts after it. Its height grows with the map, its width with
    the channels. Layers in 2 to 4 groups are drawn as towers, whose edges cross where a layer reads all of them. In
    networks of more than 60 boxes, repeated stretches are drawn once.
    """
    return str(picture_of(graph))


def picture_of(graph: Graph) -> Element:
    """The drawing as an element, to embed in a page."""
    boxes = Boxes(make_boxes(graph))
    if len(boxes.boxes) > MOST_IN_FULL:
        boxes = collapse_repeats(boxes.boxes)
    style = FULL if len(boxes.boxes) <= MOST_IN_FULL else COMPACT
    layout = lay_out(boxes, style)
    height = math.ceil(layout.height) + KEY * (style is COMPACT)
    title = f"The architecture of {graph.name}"
    return element(
        "svg",
        element("title", title),
        element("style", STYLESHEET),
        *(_line(line) for line in layout.lines),
        *(_solids(placed, style) for placed in layout.boxes),
        *(_edge(layout.boxes[a], layout.boxes[b], style) for a, b in layout.direct),
        *(_caption(placed, style) for placed in layout.boxes),
        *map(_bracket, layout.brackets),
        *(_key(boxes, layout.height) if style is COMPACT else ()),
        xmlns="http://www.w3.org/2000/svg",
        class_="netspec-graph",
        viewBox=f"0 0 {math.ceil(layout.width)} {height}",
        width=math.ceil(layout.width),
        height=height,
        role="img",
        aria_label=title,
    )


def _solids(placed: Placed, style: Style) -> Element:
    """The faces of each tower of a box, and a tooltip."""
    box = placed.box
    parts: list[Element] = []
    for number, middle in enumerate(placed.middles):
        parts += _faces(placed, middle)
        if box.towers > 1 and style.depth:
            parts += _tower_texts(placed, middle, number)
    return element("g", element("title", _describe(placed)), *parts, class_=f"box {box.kind}")


def _faces(placed: Placed, middle: float) -> Iterator[Element]:
    solid, x = placed.solid, placed.left
    y = middle - solid.height / 2
    if isinstance(placed.box.head, Node) and placed.box.kind == "merge":
        size = 0.72 * solid.width
        yield element("circle", cx=x + solid.width / 2, cy=middle, r=solid.width / 2, class_="front")
        yield _text(sign_of(placed.box), x + solid.width / 2, middle + 0.34 * size, "sign", size)
        return
    if solid.right:
        back = [(x + solid.right, y - solid.up), (x + solid.width + solid.right, y - solid.up)]
        yield element("polygon", points=points((x, y), *back, (x + solid.width, y)), class_="top")
        yield element("polygon", points=points(*_side(placed, middle)), class_="side")
    yield element("rect", x=x, y=y, width=solid.width, height=solid.height, class_="front")


def _side(placed: Placed, middle: float, low: float = 0.0, high: float = 1.0) -> tuple[Point, Point, Point, Point]:
    """The corners of the side face, or of its part between two fractions of both height and depth."""
    solid, x = placed.solid, placed.left + placed.solid.width
    y = middle - solid.height / 2

    def corner(across: float, down: float) -> Point:
        return x + across * solid.right, y + down * solid.height - across * solid.up

    return corner(low, low), corner(high, low), corner(high, high), corner(low, high)


def _tower_texts(placed: Placed, middle: float, number: int) -> Iterator[Element]:
    """The number of channels of a tower, and at the start of a run of towers the tower's number."""
    solid, box = placed.solid, placed.box
    x = placed.left + solid.width / 2
    width = box.head.type.features[1 if len(box.head.type.features) == 2 else 0] // box.towers
    yield _text(str(width), x, middle + solid.height / 2 + 11, "share")
    if not box.apart:
        top = middle - solid.height / 2 - solid.up - 6
        yield _text(f"tower {number + 1}", x + solid.right / 2, top, "share")


def _edge(source: Placed, target: Placed, style: Style) -> Element:
    """The lines from each tower of a box to each tower of the next, or only to the same tower."""
    apart = source.index in target.box.apart
    pairs = [(a, b) for a in range(source.box.towers) for b in range(target.box.towers) if not apart or a == b]
    level = source.middle == target.middle and style.depth > 0
    strokes: list[Element] = []
    for a, b in pairs:
        ends = source.middles[a], target.middles[b]
        if level and target.box.kind == "dense":
            strokes.append(_fan(source, target, *ends))
        elif level and target.box.kind in {"conv", "pool"} and source.solid.right and source.box.head.type.rank == 4:
            strokes += _pyramid(source, target, *ends, window=apart or b == 0)
        elif source.box.towers > 1 or target.box.towers > 1:
            strokes += _curve((source.right, ends[0]), (target.left, ends[1]))
        else:
            bend = source.after if abs(ends[0] - ends[1]) > 1 else source.right
            strokes.append(
                _line(Line([(source.right, ends[0]), (bend, ends[0]), (bend, ends[1]), (target.left, ends[1])]))
            )
    return element("g", *strokes, class_="edge")


def _fan(source: Placed, target: Placed, start: float, end: float) -> Element:
    """A dense connection: from the whole side of one box to the whole height of the other."""
    _, upper, lower, _ = _side(source, start)
    half = target.solid.height / 2
    corners = upper, (target.left, end - half), (target.left, end + half), lower
    return element("polygon", points=points(*corners), class_="fan")


def _pyramid(source: Placed, target: Placed, start: float, end: float, *, window: bool) -> Iterator[Element]:
    """A sliding window: a rectangle on the input map, and lines from its corners to one position of the output."""
    half = window_share(target.box) / 2
    corners = _side(source, start, 0.5 - half, 0.5 + half)
    if window:
        yield element("polygon", points=points(*corners), class_="window")
    tip = target.left, end
    for corner in corners:
        yield element("line", x1=corner[0], y1=corner[1], x2=tip[0], y2=tip[1], class_="ray")
    yield element("circle", cx=tip[0], cy=tip[1], r=1.8, class_="tip")


def _curve(start: Point, end: Point) -> Iterator[Element]:
    (x1, y1), (x2, y2) = start, end
    bend = (x2 - x1) / 2
    numbers = (x1, y1), (x1 + bend, y1), (x2 - bend - 4, y2), (x2 - 4, y2)
    first, *rest = (points(pair) for pair in numbers)
    yield element("path", d=f"M{first} C{' '.join(rest)}", class_="line")
    yield _arrow((x2 - 5, y2), end)


def _line(line: Line) -> Element:
    """A line with rounded corners, and an arrow at its end if it has one."""
    corners = [
        corner for corner, follows in zip(line.corners, [*line.corners[1:], None], strict=True) if corner != follows
    ]
    path = [f"M{points(corners[0])}"]
    for before, corner, after in zip(corners, corners[1:], corners[2:], strict=False):
        path.append(f"L{points(_toward(corner, before))} Q{points(corner)} {points(_toward(corner, after))}")
    path.append(f"L{points(corners[-1])}")
    arrow = _arrow(corners[-2], corners[-1]) if line.arrow else None
    return element("g", element("path", d=" ".join(path), class_="line"), arrow, class_="edge")


def _toward(corner: Point, other: Point) -> Point:
    """The point where a rounded corner begins, at most halfway to the other corner."""
    length = math.dist(corner, other)
    share = min(CORNER, length / 2) / length
    return corner[0] + share * (other[0] - corner[0]), corner[1] + share * (other[1] - corner[1])


def _arrow(start: Point, end: Point) -> Element:
    length = math.dist(start, end)
    x, y = (end[0] - start[0]) / length, (end[1] - start[1]) / length
    base = end[0] - 6 * x, end[1] - 6 * y
    corners = end, (base[0] - 2.6 * y, base[1] + 2.6 * x), (base[0] + 2.6 * y, base[1] - 2.6 * x)
    return element("polygon", points=points(*corners), class_="arrow")


def _caption(placed: Placed, style: Style) -> Element:
    lines = [
        _text(
            text,
            placed.center,
            placed.caption + 1.3 * style.text * number,
            "name" if not number else "fact",
            style.text,
        )
        for number, text in enumerate(placed.label)
    ]
    return element("g", *lines)


def _text(text: str, x: float, y: float, role: str, size: float | None = None) -> Element:
    return element("text", text, x=x, y=y, class_=role, font_size=size)


def _describe(placed: Placed) -> str:
    """The tooltip of a box: each layer in it with its shape."""
    box = placed.box
    rows = [f"{box.head.name}: {_op_name(box)}, {shape_text(box.head.type)}"]
    rows += [f"{node.name}: {node.op.kind}, {shape_text(node.type)}" for node in box.folded]
    return "\n".join([*rows, f"in {box.towers} towers"] if box.towers > 1 else rows)


def _key(boxes: Boxes, top: float) -> Iterator[Element]:
    """The legend of colors; tiles have no text to tell their kind."""
    kinds = dict.fromkeys(box.kind for box in boxes.boxes if box.kind != "merge")
    for number, kind in enumerate(kinds):
        x = 16 + 72 * number
        swatch = element("rect", x=x, y=top, width=11, height=11, class_="front")
        yield element("g", swatch, element("text", kind, x=x + 17, y=top + 9.5, class_="key"), class_=kind)


def _op_name(box: Box) -> str:
    return "input" if isinstance(box.head, Input) else box.head.op.kind


def _bracket(bracket: Bracket) -> Element:
    """A line under a repeated stretch, and at its end the number of copies."""
    y, left, right = bracket.top + 5, bracket.left, bracket.right
    corners = [(left, y - 5)] * bracket.opens + [(left, y), (right, y)] + [(right, y - 5)] * bracket.closes
    times = f"×{bracket.repeat.times}"
    return element(
        "g",
        element("title", f"{times}, to {bracket.repeat.until}"),
        element("polyline", points=points(*corners), class_="bracket"),
        _text(times, (left + right) / 2, y + 15, "times") if bracket.closes else None,
    )
