"""Placements to test, and what they are in short."""

from pathlib import Path

from netspec.graph.placement import Placement, place
from netspec.spec import load_graph
from netspec.testing.networks import Chain

SPECS = Path(__file__).parents[2] / "specs"


def of_spec(name: str, towers: int = 2) -> Placement:
    return place(load_graph(SPECS / f"{name}.yaml"), towers)


def crossings(placement: Placement) -> list[tuple[str, str, str]]:
    return [(c.value, c.kind, " ".join(c.readers)) for c in placement.crossings]


def ways(placement: Placement) -> str:
    return " ".join(place.way for place in placement.places)


def chain() -> Chain:
    return Chain("small", image=(3, 8, 8)).add("conv", "conv2d", filters=8, kernel_size=3)
