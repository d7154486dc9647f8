"""Every model that a mapping names computes what its origin's own code computes with the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from netspec.transfer import WeightMapping, read_mapping
from tests.peers.carried import Carried, carry, input_shape, smallest
from tests.peers.peer import LOADERS, load

WEIGHTS = Path(__file__).parents[2] / "specs" / "weights"
MAPPINGS = [read_mapping(path) for path in sorted(WEIGHTS.glob("*/*.yaml"))]


@pytest.mark.parametrize(
    ("mapping", "model"),
    [
        pytest.param(mapping, model, id=f"{mapping.origin}-{model}")
        for mapping in MAPPINGS
        if mapping.origin in LOADERS
        for model in mapping.models
    ],
)
def test_the_same_function(mapping: WeightMapping, model: str, results: list[Carried]) -> None:
    peer = load(mapping.origin, model, input_shape(mapping, model))
    backends = ("torch", "keras", "onnx") if model == smallest(mapping) else ("torch",)
    carried = carry(mapping, model, peer, backends)
    results.append(carried)
    carried.require()
