"""The page as a whole: well-formed, self-contained, complete, and correct for short and failed runs."""

import base64
import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netspec.spec import load_graph
from netspec.testing.networks import NETWORKS
from netspec.training.report import RunRecord, write_report
from netspec.weights import initialize

SPECS = Path(__file__).parents[3] / "specs"
START = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)
GRAPH = NETWORKS["towers"]()


def log(epochs: int, steps: int, *, validation: bool = True) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for number in range(1, epochs * steps + 1):
        rate = 0.1 if number <= epochs * steps // 2 else 0.001
        figures = {"loss": 2 / number**0.3, "error": 0.9 / number**0.3, "rate": rate, "images_per_second": 100.0}
        lines.append({"kind": "step", "step": number, "epoch": number / steps, "seconds": 0.5 * number, **figures})
        if number % steps == 0:
            scores = {
                "validation_loss": 1.0,
                "validation_error": 0.5 / (number // steps),
                "validation_error_top5": None,
            }
            line = {"kind": "epoch", "epoch": number // steps, "step": number, "seconds": 0.5 * number, "rate": rate}
            means = {"training_loss": 1.1, "training_error": 0.25}
            lines.append(line | means | (scores if validation else dict.fromkeys(scores)))
    return lines


RUN = RunRecord(
    name="a run",
    spec="name: towers # <small>\nlayers:\n  conv1: {op: conv2d}\n",
    graph=GRAPH,
    backend="torch",
    device="cpu",
    started=START,
    finished=START + timedelta(minutes=3),
    metrics=log(4, 30),
    weights=initialize(GRAPH),
    versions={"netspec": "0.1.0"},
    recipe=[("optimizer", "sgd & momentum")],
    notes=["float32"],
    classes=["cat", "dog", "bird", "fish"],
    confusion=np.eye(4, dtype=np.int64),
)


class Page(HTMLParser):
    """A parser of the page, which fails on tags that do not match, and collects texts, tags and attributes."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text("utf-8")
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data.strip()))

    def all(self, tag: str) -> list[str]:
        return [text for where, text in self.texts if where == tag]

    def values(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


def page_of(run: RunRecord, tmp_path: Path) -> Page:
    return Page(write_report(tmp_path / "runs" / "report.html", run))


def test_every_section_is_there(tmp_path: Path) -> None:
    page = page_of(RUN, tmp_path)
    assert page.all("h1") == ["a run"]
    assert page.all("h2") == [
        *("Curves", "First layer", "Confusion", "Architecture", "Recipe", "Environment", "Spec"),
    ]
    assert page.all("h3") == ["Loss", "Error", "Learning rate", "Speed"]
    facts = dict(zip(page.all("dt"), page.all("dd"), strict=True))
    assert facts == {
        "validation error": "12.5 %",
        "best": "12.5 %",
        "epochs": "4",
        "steps": "120",
        "time": "1 min",
        "trained by": "torch",
    }
    assert page.all("small") == ["epoch 4", "cpu"]
    assert {"tower 1", "tower 2"} <= set(page.all("text"))
    assert "".join(text for where, text in page.texts if where in {"pre", "span"}).count("conv2d") == 1
    assert "sgd & momentum" in page.all("td")


def test_a_note_that_each_continuation_repeats_appears_once(tmp_path: Path) -> None:
    page = page_of(replace(RUN, notes=["float32", "CPU, 1 thread"] * 3), tmp_path)
    assert [page.all("li").count(note) for note in ("float32", "CPU, 1 thread")] == [1, 1]


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    page = page_of(RUN, tmp_path)
    links = [value for name in ("src", "href", "srcset", "action", "data", "xlink:href") for value in page.values(name)]
    assert links
    assert all(link.startswith("data:") for link in links)
    assert {tag for tag, *_ in page.attributes} & {"iframe", "object", "embed", "form", "base"} == set()
    assert set(re.findall(r"https?://[^\"'\s<]+", page.source)) == {"http://www.w3.org/2000/svg"}
    assert "@import" not in page.source
    assert "url(" not in page.source


def test_only_the_pages_own_script_may_run(tmp_path: Path) -> None:
    page = page_of(RUN, tmp_path)
    (policy,) = [v for v in page.values("content") if "default-src" in v]
    script = page.source.rpartition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}'" in policy
    assert page.source.count("<script") == 1


def test_names_of_users_are_text(tmp_path: Path) -> None:
    hostile = "</title><script>alert(1)</script>\x00\udcff"
    run = replace(RUN, name=hostile, device=hostile, classes=[hostile] * 4, notes=[hostile], spec=hostile)
    page = page_of(replace(run, recipe=[(hostile, hostile)], versions={hostile: hostile}), tmp_path)
    assert page.source.count("<script") == 1
    assert page.all("h1")[0].startswith("</title><script>alert(1)</script>")


def test_a_run_without_validation(tmp_path: Path) -> None:
    page = page_of(replace(RUN, metrics=log(3, 20, validation=False), confusion=None), tmp_path)
    assert dict(zip(page.all("dt"), page.all("dd"), strict=True))["training error"] == "25.0 %"
    assert "no validation set" in page.all("small")
    assert "Confusion" not in page.all("h2")
    assert page.all("li") == ["float32", "training batches", "training batches"]


def test_a_run_that_makes_no_error_says_so(tmp_path: Path) -> None:
    metrics = [
        line | ({"training_error": 0.0} if line["kind"] == "epoch" else {"error": 0.5})
        for line in log(3, 20, validation=False)
    ]
    page = page_of(replace(RUN, metrics=metrics, confusion=None), tmp_path)
    assert dict(zip(page.all("dt"), page.all("dd"), strict=True))["training error"] == "0.0 %"


def test_a_run_of_one_epoch_is_counted_in_steps_and_shows_its_one_validation(tmp_path: Path) -> None:
    page = page_of(replace(RUN, metrics=log(1, 25)), tmp_path)
    assert "step" in page.all("text")
    assert "epoch" not in page.all("text")
    assert page.values("class").count("dot") == 2  # of the loss, of the error
    assert page.values("class").count("mark") == 1


def test_a_rate_that_falls_far_is_drawn_by_logarithms(tmp_path: Path) -> None:
    page = page_of(RUN, tmp_path)
    assert "logarithmic" in page.all("span")
    assert {"0.001", "0.01", "0.1"} <= set(page.all("text"))


@pytest.mark.parametrize(
    ("rate", "logarithmic"),
    [
        (lambda share: (1 + math.cos(math.pi * share)) / 2, False),
        (lambda share: 1 - share, False),
        (lambda share: math.exp(-9 * share), True),
        (lambda share: 0.1 ** int(share * 2.2), True),  # the last drop comes late
    ],
    ids=["cosine", "line", "exponential", "drops"],
)
def test_a_rate_that_ends_at_0_is_drawn_as_the_curve_that_it_is(
    rate: Callable[[float], float], logarithmic: bool, tmp_path: Path
) -> None:
    lines = [{"kind": "step", "step": n, "epoch": n / 100, "loss": 1.0, "rate": rate(n / 501)} for n in range(1, 501)]
    assert ("logarithmic" in page_of(replace(RUN, metrics=lines), tmp_path).all("span")) == logarithmic


def test_losses_that_are_not_finite_are_counted_and_left_out(tmp_path: Path) -> None:
    lines = log(2, 30)
    lines[10]["loss"], lines[11]["loss"], lines[12]["loss"] = float("nan"), None, float("inf")
    page = page_of(replace(RUN, metrics=lines), tmp_path)
    assert "cross-entropy, 3 not finite" in page.all("span")
    numbers = [v for name in ("points", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "d") for v in page.values(name)]
    assert not re.search(r"nan|inf", " ".join(numbers))


@pytest.mark.parametrize("lines", [[], log(1, 1), [{"kind": "step", "step": 1, "epoch": 0.5, "loss": None}]])
def test_runs_that_hardly_began(tmp_path: Path, lines: list[dict[str, Any]]) -> None:
    page = page_of(replace(RUN, metrics=lines), tmp_path)
    assert page.all("h3")[:3] == ["Loss", "Error", "Learning rate"]
    assert not re.search(r'"[^"]*\bnan\b[^"]*"', page.source.partition("<script>")[0])


def test_a_long_run_is_a_small_page(tmp_path: Path) -> None:
    page = page_of(replace(RUN, metrics=log(20, 2500)), tmp_path)
    drawn = [value.split() for value in page.values("points")]
    assert max(map(len, drawn)) <= 700
    assert len(page.source) < 300_000


def test_epochs_alone_are_enough(tmp_path: Path) -> None:
    lines = [line for line in log(6, 10) if line["kind"] == "epoch"]
    page = page_of(replace(RUN, metrics=lines), tmp_path)
    assert page.all("h3") == ["Loss", "Error", "Learning rate"]
    assert "training" in page.all("li")


def test_a_line_that_nobody_reads_is_cut(tmp_path: Path) -> None:
    page = page_of(replace(RUN, spec=f"mean: [{'0.5, ' * 50_000}]\nname: x\n"), tmp_path)
    assert "… 249,508 more characters" in page.source
    assert len(page.source) < 100_000


def test_the_same_run_is_the_same_page(tmp_path: Path) -> None:
    first, second = (write_report(tmp_path / name, RUN).read_bytes() for name in ("a.html", "b.html"))
    assert first == second


def test_alexnets_page_has_the_kernels_of_both_towers(tmp_path: Path) -> None:
    weights = {"conv1.weight": np.random.default_rng(0).normal(size=(96, 3, 11, 11)).astype(np.float32)}
    page = page_of(replace(RUN, graph=load_graph(SPECS / "alexnet.yaml"), weights=weights), tmp_path)
    assert [text for text in page.all("figcaption") if text.startswith("Tower")] == ["Tower 1", "Tower 2"]
    # Three lines of sixteen, as in the figure: 16 · 11 + 15 and 3 · 11 + 2 pixels, enlarged five times.
    assert [v for tag, name, v in page.attributes if tag == "img" and name in {"width", "height"}] == ["955", "175"] * 2
    assert "60,965,224 weights, 659,272 neurons, 724,406,816 multiply-accumulates a sample." in page.all("p")
