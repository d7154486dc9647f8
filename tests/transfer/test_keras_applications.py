"""Two networks of keras.applications and ours, with random weights. tests/peers has the others, and more backends."""

from __future__ import annotations

from pathlib import Path

import pytest

from netspec.transfer import read_mapping
from tests.peers.carried import carry, input_shape
from tests.peers.peer import load

FOLDER = Path(__file__).parents[2] / "specs" / "weights" / "keras-applications"


@pytest.mark.parametrize(
    ("family", "model"),
    [("mobilenet-v1", "MobileNet-0.25"), ("mobilenet-v3-small", "MobileNetV3Small")],
)
def test_the_function_of_the_published_weights(family: str, model: str) -> None:
    mapping = read_mapping(FOLDER / f"{family}.yaml")
    carried = carry(mapping, model, load(mapping.origin, model, input_shape(mapping, model)), ["torch"])
    carried.require()
    assert carried.ignored == 0


def test_the_function_of_torchvision_is_another_one(tmp_path: Path) -> None:
    """With torchvision's padding, names, shapes and sizes are the same, but half of the pixels are one off."""
    text = (FOLDER / "mobilenet-v3-small.yaml").read_text()
    (tmp_path / "mapping.yaml").write_text(
        text.replace("../../keras/mobilenet-v3-small.yaml", str(FOLDER.parents[1] / "mobilenet-v3-small.yaml"))
    )
    mapping = read_mapping(tmp_path / "mapping.yaml")
    model = "MobileNetV3Small"
    carried = carry(mapping, model, load(mapping.origin, model, input_shape(mapping, model)), ["torch"])
    with pytest.raises(AssertionError, match="differ: fc2 in torch"):
        carried.require()
