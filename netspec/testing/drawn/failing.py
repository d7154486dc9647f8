"""The minimal spec on which a property fails: printed in full, and saved where `--save-failing-specs FOLDER` says.

A pytest plugin: a `conftest.py` imports its hooks, or `pytest -p netspec.testing.drawn.failing` loads it. A saved
file is a spec as any other: `netspec verify specs/failing-….yaml` compares the backends on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import note

from netspec.testing.drawn.strategies import DrawnSpec

OPTION = "--save-failing-specs"
_shown = pytest.StashKey[str]()
_running: list[pytest.Item] = []  # the test that runs, if it is known


def show(drawn: DrawnSpec, besides: str = "") -> None:
    """Print the spec if the property fails on it, and remember it: the last one that is shown is the minimal one.

    Hypothesis runs a property on the smallest failing example once more, after all others.
    """
    note(drawn.text + besides)
    if _running:
        _running[-1].stash[_shown] = drawn.text


def save(text: str, test: str, folder: Path) -> Path:
    """Write a spec, and which test fails on it, to a file named after what the spec says."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    path = folder / f"failing-{digest}.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# The smallest spec found on which this fails: {test}\n{text}", encoding="utf-8")
    return path


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that says where to."""
    parser.addoption(OPTION, metavar="FOLDER", type=Path, help="where the minimal spec of a failed property is saved")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Note which test the specs that are shown belong to."""
    _running.append(item)
    try:
        yield
    finally:
        _running.pop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the spec to the report of a test that failed, and save it if that is asked for."""
    report = yield
    text = item.stash.get(_shown, "")
    if call.when == "call" and report.failed and text:
        folder: Path | None = item.config.getoption(OPTION)
        saved = f"saved as {save(text, item.nodeid, folder)}" if folder else f"{OPTION} FOLDER saves it"
        report.sections.append((f"minimal spec: {saved}", text))
    return report
