"""Resizing: PyTorch's function is used where it is correct, and replaced where it is not."""

from typing import Any

import pytest
from netspec_torch import BACKEND

from netspec.testing.networks import Chain

NEAREST = {"mode": "nearest", "coordinates": "asymmetric"}
EXACT = {"mode": "nearest", "coordinates": "half_pixel", "rounding": "round_prefer_ceil"}


@pytest.mark.parametrize(
    ("attributes", "call"),
    [
        ({**NEAREST, "scale": 2.0}, 'nn.Upsample(scale_factor=2, mode="nearest")'),
        ({**EXACT, "size": 3}, 'F.interpolate(x, size=(3, 3), mode="nearest-exact")'),
        ({"mode": "bilinear", "coordinates": "half_pixel", "size": 3}, 'size=(3, 3), mode="bilinear")'),
        ({"mode": "bilinear", "coordinates": "align_corners", "size": 3}, 'mode="bilinear", align_corners=True'),
        ({"mode": "bilinear", "coordinates": "asymmetric", "size": 3}, "self.it(x)"),
        # 41 · (4/82) rounds to less than 2 in float32: torch would read the row before.
        ({**NEAREST, "size": {"height": 82, "width": 5}}, "self.it(x)"),
    ],
)
def test_torchs_function_is_used_where_it_is_equivalent(attributes: dict[str, Any], call: str) -> None:
    graph = Chain("g", image=(3, 4, 5)).add("it", "resize", **attributes).graph()
    assert call in str(BACKEND.lower(graph).content)
