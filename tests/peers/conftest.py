"""The table of results: printed at the end of a run, and merged into RESULTS.md by `--keep`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.carried import Carried
from tests.peers.results import kept, table

RESULTS = Path(__file__).parent / "RESULTS.md"
_CARRIED = pytest.StashKey[list[Carried]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep", action="store_true", help=f"keep the table in {RESULTS.name}")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_CARRIED] = []


@pytest.fixture
def results(request: pytest.FixtureRequest) -> list[Carried]:
    """The comparisons of this run so far."""
    return request.config.stash[_CARRIED]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    if not (carried := config.stash[_CARRIED]):
        return
    for line in table(carried):
        terminalreporter.write_line(line)
    if config.getoption("--keep"):
        if exitstatus:
            terminalreporter.write_line(f"{RESULTS.name} is left as it was: not everything passed")
        else:
            RESULTS.write_text(kept(carried, RESULTS.read_text() if RESULTS.exists() else ""))
