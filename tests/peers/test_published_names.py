"""Names and shapes that `make test` holds the mappings to are those of the origin's own code."""

from __future__ import annotations

import pytest

from tests.peers.published import published, shapes_of


@pytest.mark.parametrize(
    ("model", "shapes"), [pytest.param(model, shapes, id=model) for _, model, shapes in published("torchvision")]
)
def test_names_and_shapes(model: str, shapes: dict[str, tuple[int, ...]]) -> None:
    assert shapes_of("torchvision", model) == shapes
