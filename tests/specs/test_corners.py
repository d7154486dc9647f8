"""Networks with rare features: all backends compute the same function, plain and after passes."""

from __future__ import annotations

from pathlib import Path

import pytest

import netspec
from netspec.passes import Level

CORNERS = sorted((Path(__file__).parent / "corners").glob("*.yaml"))


@pytest.mark.parametrize("level", ["none", "inference"])
@pytest.mark.parametrize("path", CORNERS, ids=lambda path: path.stem)
def test_backends_are_one_function(path: Path, level: Level) -> None:
    """Outputs are compared with the reference; gradients only of the plain network."""
    netspec.load(path).verify(["torch", "keras", "onnx"], optimize=level).require()


def test_there_are_corners() -> None:
    assert len(CORNERS) >= 4
