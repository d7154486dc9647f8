"""The weights of the smallest published model of each family map to ours one to one. Needs no peer.

Names and shapes are in `published/`, as the origin's own code has them: a layer that a spec renames, or a rule that
takes too little, is told here. That the functions are equal is shown by `make peers`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netspec.errors import WeightsError
from netspec.transfer import transfer
from tests.peers.published import decoded, encoded, mappings, published

SHAPES = {
    "class_token": (1, 1, 8),
    "encoder.pos_embedding": (1, 5, 8),
    "stem.weight": (8, 3, 4, 4),
    "encoder.layers.0.norm.weight": (8,),
    "encoder.layers.0.norm.bias": (8,),
    "encoder.layers.0.norm.running_mean": (8,),
    "encoder.layers.0.norm.running_var": (8,),
    "encoder.layers.0.norm.num_batches_tracked": (),
    "encoder.layers.0.attention.in_proj_weight": (24, 8),
    "encoder.layers.0.attention.out_proj.weight": (8, 8),
    "encoder.layers.0.attention.out_proj.bias": (8,),
}
TEXT = """\
net
  : class_token=!1x1x8 encoder.pos_embedding=!1x5x8 stem=8x3x4x4
  encoder.layers: 0.norm=~8 0.attention.in_proj_weight=!24x8 0.attention.out_proj=8x8+
"""


def test_names_and_shapes_as_text() -> None:
    assert encoded("net", SHAPES) == TEXT
    assert decoded(TEXT) == ("net", SHAPES)


def _arrays(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Return zeros that need no memory."""
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=f"{origin}-{path.stem}")
        for origin in ("torchvision", "timm")  # Keras is here: test_keras_applications.py
        for path in mappings(origin)
    ],
)
def test_every_weight_has_its_place(path: Path) -> None:
    mapping, model, shapes = published(path)
    origin = mapping.origin
    assert shapes, f"no model of {path.stem} is in published/{origin}.txt: python -m tests.peers.published {origin}"
    found = transfer(mapping, model, _arrays(shapes))
    assert len(found.names) + len(found.kept) + len(found.ignored) == len(shapes)
    assert sorted(found.names.values()) == sorted(found.graph.weights)


def test_a_missing_and_an_additional_weight_are_reported() -> None:
    mapping, model, shapes = published(mappings("torchvision")[0])
    name = min(shapes)
    with pytest.raises(WeightsError, match="1 of alexnet-owt that the file lacks"):
        transfer(mapping, model, _arrays({n: s for n, s in shapes.items() if n != name}))
    with pytest.raises(WeightsError, match=r"1 of the file that no rule takes:\n  features\.99\.weight"):
        transfer(mapping, model, _arrays(shapes | {"features.99.weight": (3,)}))
