"""The report page: one HTML file that loads nothing from the network, and is complete even without its script."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netspec.files import write_whole
from netspec.graph.analysis import analyze
from netspec.graph.drawing import picture_of
from netspec.markup import Element, element
from netspec.training.report.charts import error_chart, loss_chart, rate_chart, speed_chart
from netspec.training.report.confusion import confusion_section
from netspec.training.report.kernels import first_kernels, kernels_section
from netspec.training.report.png import samples_section
from netspec.training.report.record import RunRecord
from netspec.training.report.series import Curves, read_curves

LONGEST_LINE = 500  # characters shown of a line of the spec


def write_report(path: Path, run: RunRecord) -> Path:
    """Write the report of a run to a single file, atomically.

    Raises:
        NetspecError: the file cannot be written, Pillow is not installed, or the confusion matrix does not have the
            shape for these classes.
    """
    return write_whole(path, f"<!DOCTYPE html>\n{_page(run)}\n")


def _page(run: RunRecord) -> Element:
    curves = read_curves(run.metrics)
    style, script = (
        resources.files(__package__).joinpath(name).read_text("utf-8") for name in ("style.css", "script.js")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{run.name} · netspec"),
        element("link", rel="icon", href="data:,"),
        element("style", style),
    )
    body = element("body", element("main", *_sections(run, curves)), _footer(run), element("script", script))
    return element("html", head, body, lang="en")


def _sections(run: RunRecord, curves: Curves) -> Iterator[Element]:
    yield _header(run, curves)
    charts = (loss_chart(curves), error_chart(curves, run.counted), rate_chart(curves), speed_chart(curves))
    grid = element("div", *charts, class_="charts")
    yield element("section", element("h2", "Curves"), grid)
    if run.samples is not None:
        yield samples_section(run.samples)
    kernels = first_kernels(run.graph, run.weights) if run.samples is None else None
    if kernels is not None:
        yield kernels_section(kernels)
    if run.confusion is not None:
        yield confusion_section(run.confusion, run.classes, run.counted)
    yield _architecture(run)
    yield _recipe(run)
    yield element("section", element("h2", "Spec"), element("pre", *_colored(_cut(run.spec)), tabindex="0"))


def _header(run: RunRecord, curves: Curves) -> Element:
    facts = [
        element("div", element("dt", name), element("dd", f"{value} ", element("small", more) if more else None))
        for name, value, more in _facts(run, curves)
    ]
    notes = [element("li", note) for note in dict.fromkeys(run.notes)]  # each resumed session repeats them
    return element(
        "header",
        element("p", f"Training run, {_day(run.finished)}", class_="kicker"),
        element("h1", run.name),
        element("p", run.graph.source, class_="source") if run.graph.source else None,
        element("dl", *facts, class_="facts"),
        element("ul", *notes, class_="notes") if notes else None,
    )


def _facts(run: RunRecord, curves: Curves) -> Iterator[tuple[str, str, str]]:
    """The key figures of the run, each with a name, a value, and a detail in small print."""
    best = curves.best
    errors = curves.epochs["validation_error"]
    if best is not None:
        final = errors[np.isfinite(errors)][-1]
        top5 = curves.epochs["validation_error_top5"]
        overlap = curves.epochs["validation_mean_iou"]
        detail = f"{percent(top5[-1])} top 5" if np.isfinite(top5[-1]) else ""
        detail = f"of pixels; mean IoU {percent(overlap[-1])}" if np.isfinite(overlap[-1]) else detail
        yield "validation error", percent(float(final)), detail
        yield "best", percent(float(errors[best])), f"epoch {curves.epochs['epoch'][best]:.0f}"
    else:
        known = (_last(curves.epochs["training_error"]), _last(curves.steps["error"]))
        training = next((percent(error) for error in known if error is not None), "–")
        if run.samples is not None:
            yield "discriminator's error", training, "50 % if it cannot tell"
        else:
            yield "training error", training, "no validation set"
    epochs = len(curves.epochs["epoch"])
    yield "epochs", f"{curves.epochs['epoch'][-1]:,.0f}" if epochs else "–", ""
    steps = [_last(curves.steps["step"]), _last(curves.epochs["step"])]
    yield "steps", f"{max((step for step in steps if step is not None), default=0):,.0f}", ""
    yield "time", duration(_seconds(run, curves)), ""
    yield "trained by", run.backend, run.device


def _last(values: NDArray[np.float64]) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if finite.size else None


def _seconds(run: RunRecord, curves: Curves) -> float:
    """The training time over all sessions, from the log; without one, from the clock."""
    logged = [_last(curves.steps["seconds"]), _last(curves.epochs["seconds"])]
    known = [seconds for seconds in logged if seconds is not None]
    return max(known) if known else (run.finished - run.started).total_seconds()


def _architecture(run: RunRecord) -> Element:
    figures = analyze(run.graph)
    lead = f"{figures.weights:,} weights, {figures.neurons:,} neurons, {figures.macs:,} multiply-accumulates a sample."
    picture = element("div", picture_of(run.graph), class_="scroll", tabindex="0")
    return element("section", element("h2", "Architecture"), element("p", lead, class_="lead"), picture)


def _recipe(run: RunRecord) -> Element:
    environment = [
        ("started", _moment(run.started)),
        ("finished", _moment(run.finished)),
        ("backend", run.backend),
        ("device", run.device),
        *run.versions.items(),
    ]
    halves = [
        element("div", element("h2", title), _table(rows))
        for title, rows in (("Recipe", run.recipe), ("Environment", environment))
        if rows
    ]
    return element("section", *halves, class_="halves")


def _table(rows: Sequence[tuple[str, str]]) -> Element:
    body = [element("tr", element("th", name, scope="row"), element("td", value)) for name, value in rows]
    return element("table", element("tbody", *body), class_="rows")


def _footer(run: RunRecord) -> Element:
    version = run.versions.get("netspec", "")
    return element("footer", f"Made by netspec {version}".rstrip() + f", {_moment(run.finished)}.")


_YAML = re.compile(r"(?P<comment>(?:^|(?<=\s))#.*$)|(?P<key>(?<![\w\"'])[\w.*-]+(?=:(?:\s|$)))", re.MULTILINE)


def _cut(text: str) -> str:
    """Text with very long lines cut short, such as the numbers of a mean image."""
    return "\n".join(
        line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}… {len(line) - LONGEST_LINE:,} more characters"
        for line in text.splitlines()
    )


def _colored(text: str) -> Iterator[Element | str]:
    """YAML with its keys and comments highlighted."""
    end = 0
    for match in _YAML.finditer(text):
        yield text[end : match.start()]
        yield element("span", match[0], class_=match.lastgroup)
        end = match.end()
    yield text[end:]


def percent(share: float) -> str:
    """A share of 1 in percent, with two decimals if it is below 1 %.

    >>> percent(0.407), percent(0.0031), percent(1.0)
    ('40.7 %', '0.31 %', '100.0 %')
    """
    return f"{100 * share:.1f} %" if share >= 0.01 or share == 0 else f"{100 * share:.2f} %"


def duration(seconds: float) -> str:
    """A time span in its two largest units.

    >>> [duration(s) for s in (0.4, 42, 61, 3600, 90061)]
    ['0.4 s', '42 s', '1 min 1 s', '1 h', '1 d 1 h']
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    rest, parts = round(seconds), []
    for size, letter in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, rest = divmod(rest, size)
        parts.append((count, letter))
    first = next(index for index, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {letter}" for count, letter in parts[first : first + 2] if count)


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y}"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} {moment:%Z}".rstrip()
