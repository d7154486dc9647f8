"""Fixtures that write and load specs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from netspec.graph import Graph
from netspec.spec import elaborate, load_graph, read_spec, write_spec

Write = Callable[..., Path]

HEAD = "name: example\ninput: {shape: [3, 8, 8]}\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a text or bytes as a spec file, and return its path."""

    def write_file(text: str | bytes, name: str = "spec.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write_file


@pytest.fixture
def net(write: Write) -> Write:
    """Write a spec of a small network with these lines under `layers:`."""

    def write_net(*layers: str, tail: str = "") -> Path:
        return write(HEAD + "layers:\n" + "".join(f"  {line}\n" for line in layers) + tail)

    return write_net


Load = Callable[..., Graph]
IMAGE = "name: example\ninput: {shape: [3, 8, 6]}\n"


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load the graph of a text below `IMAGE`, and check that its spec, also written out again, gives the same graph."""

    def load_text(text: str, set: object = ()) -> Graph:
        path = tmp_path / "spec.yaml"
        path.write_text(IMAGE + text)
        graph = load_graph(path, set).check()  # type: ignore[arg-type]
        spec = read_spec(path, set)  # type: ignore[arg-type]
        assert elaborate(spec) == graph
        path.write_text(write_spec(spec))
        assert load_graph(path) == graph, path.read_text()
        return graph

    return load_text
