"""A pytest plugin that prints the minimal spec on which a property fails, and saves it with `--save-failing-specs`.

Load it by importing its hooks in a `conftest.py`, or by `pytest -p netspec.testing.drawn.failing`. The saved file is an
ordinary spec: `netspec verify specs/failing-….yaml` compares the backends on it.
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
_running: list[pytest.Item] = []  # the test in progress


def show(drawn: DrawnSpec, suffix: str = "") -> None:
    """Print the spec if the property fails on it, and remember it for the report.

    Hypothesis runs the minimal failing example once more at the end, so the spec shown last is the minimal one.
    """
    note(drawn.text + suffix)
    if _running:
        _running[-1].stash[_shown] = drawn.text


def save(text: str, test: str, folder: Path) -> Path:
    """Write a spec and the test that fails on it to a file that is named by a hash of the spec."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    path = folder / f"failing-{digest}.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# The smallest spec found on which this fails: {test}\n{text}", encoding="utf-8")
    return path


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option `--save-failing-specs`."""
    parser.addoption(OPTION, metavar="FOLDER", type=Path, help="where the minimal spec of a failed property is saved")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Remember the test in progress, to which shown specs belong."""
    _running.append(item)
    try:
        yield
    finally:
        _running.pop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the spec to the report of a failed test, and save it if the option is given."""
    report = yield
    text = item.stash.get(_shown, "")
    if call.when == "call" and report.failed and text:
        folder: Path | None = item.config.getoption(OPTION)
        saved = f"saved as {save(text, item.nodeid, folder)}" if folder else f"{OPTION} FOLDER saves it"
        report.sections.append((f"minimal spec: {saved}", text))
    return report
