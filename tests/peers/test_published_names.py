"""Names and shapes that `make test` holds the mappings to are those of the origin's own code."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.published import mappings, published, shapes_of


@pytest.mark.parametrize("path", mappings("torchvision"), ids=lambda path: path.stem)
def test_names_and_shapes(path: Path) -> None:
    _, model, shapes = published(path)
    assert shapes_of("torchvision", model) == shapes
