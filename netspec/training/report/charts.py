"""Charts as inline SVG: lines with bands around them, axes with round ticks, and a legend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from netspec.markup import Element, decimal, element, points
from netspec.training.report.axes import WIDE, Axis, Unit, axis_of
from netspec.training.report.series import Curves, Figures, Thinned, thin

WIDTH, HEIGHT = 480.0, 264.0
LEFT, RIGHT, TOP, BOTTOM = 58.0, 12.0, 10.0, 40.0
DOTS = 40  # a line of at most this many points is drawn with a dot at each


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        label: its label in the legend; empty if the title of the chart suffices.
        role: its class in the stylesheet.
        data: its points.
        dots: whether each point is drawn as a dot.
        band: whether the range of values around the line is drawn.
    """

    label: str
    role: str
    data: Thinned
    dots: bool = False
    band: bool = True


def loss_chart(curves: Curves) -> Element:
    """The training loss of each step, and the validation loss of each epoch."""
    lines = [
        _training(curves, "loss"),
        _validation("validation", "validation", curves, "validation_loss"),
    ]
    missing = int(np.count_nonzero(~np.isfinite(curves.steps["loss"])))
    measure = f"cross-entropy, {missing:,} not finite" if missing else "cross-entropy"
    return chart("Loss", measure, curves, lines, "number")


def error_chart(curves: Curves, counted: str = "samples") -> Element:
    """The share of samples, or of pixels, that were classified wrongly; the best epoch is marked."""
    lines = [
        _training(curves, "error"),
        _validation("validation", "validation", curves, "validation_error"),
        _validation("validation, top 5", "top5", curves, "validation_error_top5"),
    ]
    best = curves.best
    mark = None
    if best is not None:
        mark = float(epoch_places(curves)[best]), float(curves.epochs["validation_error"][best])
    return chart("Error", f"share of {counted}", curves, lines, "percent", mark=mark, zero=True, log=False)


def rate_chart(curves: Curves) -> Element:
    """The learning rate of each step, or of each epoch if the log has no steps."""
    places, figures = (step_places(curves), curves.steps) if len(curves.steps["rate"]) else (None, curves.epochs)
    data = thin(epoch_places(curves) if places is None else places, figures["rate"])
    line = Line("", "rate", data, band=False)
    return chart("Learning rate", "", curves, [line], "number", zero=True, log=_rate_scale(figures["rate"]))


def _rate_scale(rates: Figures) -> bool | None:
    """Whether a rate is drawn by logarithms: of one that changes in every step, if a fifth of it is below 1/20.

    A cosine or a line that ends at 0 has such low rates for a moment, to which a logarithmic scale would give half of
    the chart. For a rate that falls in drops, the scale is chosen as usual.
    """
    positive = rates[np.isfinite(rates) & (rates > 0)]
    if positive.size < 2 or np.mean(np.diff(positive) == 0) > 0.5:
        return None
    return float(positive.max() / np.quantile(positive, 0.2)) > WIDE


def speed_chart(curves: Curves) -> Element | None:
    """The training speed; None if the log does not record it."""
    data = thin(step_places(curves), curves.steps["images_per_second"])
    if not np.isfinite(data.mean).any():
        return None
    return chart("Speed", "images a second", curves, [Line("", "speed", data)], "number", zero=True, log=False)


def step_places(curves: Curves) -> Figures:
    """The position of each step along the x axis."""
    return curves.steps[curves.unit]


def epoch_places(curves: Curves) -> Figures:
    """The position of each epoch along the x axis: that of its last step, so that a partial epoch ends where it did."""
    if curves.unit == "step":
        return curves.epochs["step"]
    known = curves.steps["epoch"] / curves.steps["step"]
    known = known[np.isfinite(known)]
    return curves.epochs["step"] * known[-1] if known.size else curves.epochs["epoch"]


def _training(curves: Curves, name: str) -> Line:
    data = thin(step_places(curves), curves.steps[name])
    if np.isfinite(data.mean).any():
        return Line("training batches", "training", data)
    return Line("training", "training", thin(epoch_places(curves), curves.epochs[f"training_{name}"]), dots=True)


def _validation(label: str, role: str, curves: Curves, name: str) -> Line:
    data = thin(epoch_places(curves), curves.epochs[name])
    return Line(label, role, data, dots=np.isfinite(data.mean).sum() <= DOTS)


def chart(
    title: str,
    measure: str,
    curves: Curves,
    lines: Sequence[Line],
    unit: Unit,
    *,
    mark: tuple[float, float] | None = None,
    zero: bool = False,
    log: bool | None = None,
) -> Element:
    """A figure with a title, a legend and lines.

    Args:
        title: the title.
        measure: the name of the quantity along the y axis.
        curves: determine the x axis.
        lines: the lines; those without a finite value are left out.
        unit: the unit of the values.
        mark: a point to be marked by a ring.
        zero: whether a linear y axis begins at 0.
        log: whether the y axis is logarithmic, as `axis_of` takes it.
    """
    shown = [line for line in lines if np.isfinite(line.data.mean).any()]
    values = np.concatenate([_extent(line) for line in shown]) if shown else np.array([])
    y = axis_of(values, HEIGHT - BOTTOM, TOP, unit, log=log, zero=zero)
    x = _x_axis(curves)
    drawing = element(
        "svg",
        *_grid(x, y, curves.unit),
        *(element("g", *_line(line, x, y), class_=f"series {line.role}") for line in shown),
        element("circle", cx=x.place(mark[0]), cy=y.place(mark[1]), r=5, class_="mark") if mark else None,
        None if shown else element("text", "no figures in the log", x=WIDTH / 2, y=HEIGHT / 2, class_="nothing"),
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        role="img",
        aria_label=f"{title}: {', '.join(map(_in_words, shown)) or 'no figures'}",
        data_x=_encoded(x),
        data_y=_encoded(y),
        data_unit=curves.unit,
    )
    subtitle = [measure, "logarithmic" if y.log else ""]
    labelled = [line for line in shown if line.label]
    caption = element("figcaption", element("h3", title), element("span", ", ".join(filter(None, subtitle))))
    return element("figure", caption, _legend(labelled) if labelled else None, drawing, class_="chart")


def _extent(line: Line) -> Figures:
    """The values that the y axis must cover: the line, and its band without outliers far from the line."""
    data = line.data
    means = data.mean[np.isfinite(data.mean)]
    if not line.band:
        return means
    low, high = np.nanpercentile(data.low, 2), np.nanpercentile(data.high, 98)
    span = means.max() - means.min()
    return np.append(means, [max(low, means.min() - span), min(high, means.max() + span)])


def _x_axis(curves: Curves) -> Axis:
    ends = np.concatenate([step_places(curves), epoch_places(curves)])
    ends = ends[np.isfinite(ends)]
    first = 0.0 if curves.unit == "epoch" or not ends.size or ends.min() <= 1 else float(ends.min())
    last = float(ends.max()) if ends.size else 1.0
    return Axis(first, max(last, first + 1), LEFT, WIDTH - RIGHT, unit="count")


def _grid(x: Axis, y: Axis, unit: str) -> Iterator[Element]:
    floor = HEIGHT - BOTTOM
    for value in y.ticks(6):
        at = y.place(value)
        yield element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=at, y2=at, class_="grid")
        yield element("text", y.text(value), x=LEFT - 7, y=at + 4, class_="tick y")
    yield element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=floor, y2=floor, class_="axis")
    for value in x.ticks(6):
        at = x.place(value)
        yield element("line", x1=at, x2=at, y1=floor, y2=floor + 4, class_="axis")
        yield element("text", x.text(value), x=at, y=floor + 17, class_="tick x")
    yield element("text", unit, x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 5, class_="tick x")


def _line(line: Line, x: Axis, y: Axis) -> Iterator[Element]:
    """The band as a polygon, the mean as a line, and dots, with gaps where no value is finite."""
    data = line.data
    for part in _finite_parts(data):
        xs = [x.place(value) for value in data.x[part]]
        means = [_inside(y, value) for value in data.mean[part]]
        if line.band and (data.high[part] > data.low[part]).any():
            upper = zip(xs, (_inside(y, value) for value in data.high[part]), strict=True)
            lower = zip(xs, (_inside(y, value) for value in data.low[part]), strict=True)
            yield element("polygon", points=points(*upper, *reversed(list(lower))), class_="band")
        if len(xs) > 1:
            yield element("polyline", points=points(*zip(xs, means, strict=True)), class_="mean")
        if line.dots or len(xs) == 1:
            yield from (element("circle", cx=a, cy=b, r=2.6, class_="dot") for a, b in zip(xs, means, strict=True))


def _finite_parts(data: Thinned) -> list[slice]:
    """The runs of consecutive finite values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], np.isfinite(data.mean), [False]]).astype(np.int8)))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _inside(axis: Axis, value: float) -> float:
    """The coordinate of a value, clamped to the ends of the axis."""
    return axis.place(min(max(value, axis.low), axis.high))


def _legend(lines: Sequence[Line]) -> Element:
    return element("ul", *(element("li", line.label, class_=line.role) for line in lines), class_="legend")


def _in_words(line: Line) -> str:
    means = line.data.mean[np.isfinite(line.data.mean)]
    return f"{line.label} from {means[0]:.4g} to {means[-1]:.4g}".strip()


def _encoded(axis: Axis) -> str:
    """An axis for the page's script: the values at its ends, their coordinates, and its kind."""
    kind = "log" if axis.log else axis.unit
    return f"{axis.low!r} {axis.high!r} {decimal(axis.start)} {decimal(axis.end)} {kind}"
