"""What the properties share: how a failing spec is shown, and how the text of a spec is loaded."""

from collections.abc import Callable
from pathlib import Path

import pytest

from netspec.graph import Graph
from netspec.spec import load_graph
from netspec.testing.drawn.failing import pytest_addoption, pytest_runtest_call, pytest_runtest_makereport

__all__ = ["pytest_addoption", "pytest_runtest_call", "pytest_runtest_makereport"]  # hooks

LoadText = Callable[[str], Graph]


@pytest.fixture(scope="module")
def load_text(tmp_path_factory: pytest.TempPathFactory) -> LoadText:
    """The graph of a spec's text, by way of a file as users write it."""
    path: Path = tmp_path_factory.mktemp("specs") / "drawn.yaml"

    def load(text: str) -> Graph:
        path.write_text(text, encoding="utf-8")
        return load_graph(path)

    return load
