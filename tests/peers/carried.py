"""Carries the weights of a peer by a mapping into our network, and measures how far their outputs differ."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from netspec.graph import Graph
from netspec.lowering import find_backend
from netspec.ops.base import Array
from netspec.spec import load_graph
from netspec.transfer import Transfer, WeightMapping, transfer
from netspec.types import DType
from netspec.verify.cases import input_of
from netspec.verify.compare import FORWARD_TOLERANCE, difference_of_largest
from tests.peers.peer import Peer
from tests.peers.torch_peer import only_root_training

TOLERANCE = FORWARD_TOLERANCE[DType.FLOAT32]
BATCH = 2


@dataclass(frozen=True, slots=True)
class Ratio:
    """The largest difference between an output and the peer's, relative to the largest element of the output.

    Attributes:
        backend: whose output.
        output: its name in our spec.
        value: the share.
    """

    backend: str
    output: str
    value: float


@dataclass(frozen=True)
class Carried:
    """A published model, carried into our network.

    Attributes:
        model: `torchvision:resnet18`.
        spec: the spec's name with the model's parameters.
        elements: how many numbers were carried.
        ignored: how many of the peer's weights our network does not use.
        ratios: of every output in every backend.
        other: constants of layers that differ, as text.
    """

    model: str
    spec: str
    elements: int
    ignored: int
    ratios: tuple[Ratio, ...]
    other: tuple[str, ...]

    def require(self) -> None:
        """Raise AssertionError if an output or a constant differs from the peer's."""
        far = [f"{r.output} in {r.backend} by {r.value:.1e}" for r in self.ratios if not r.value <= TOLERANCE]
        assert not far, f"{self.model} and {self.spec} differ: {', '.join(far)} of the largest, of at most {TOLERANCE}"
        assert not self.other, f"{self.model} and {self.spec} differ: {', '.join(self.other)}"


def input_shape(mapping: WeightMapping, model: str) -> tuple[int, int, int]:
    """Return (C, H, W) of the images that our network for a model reads."""
    (image,) = load_graph(mapping.spec, dict(mapping.models[model])).inputs
    channels, height, width = image.type.features
    return channels, height, width


def carry(mapping: WeightMapping, model: str, peer: Peer, backends: Sequence[str]) -> Carried:
    """Carry the peer's weights through the mapping, and compare the outputs of both networks on images.

    Raises:
        WeightsError: a weight of either side is not accounted for.
    """
    found = transfer(mapping, model, peer.arrays)
    (image,) = found.graph.inputs
    pixels = input_of(image, BATCH)
    expected = {found.graph.main[0]: peer.forward(pixels)}
    if peer.heads is not None:
        expected |= dict(zip(found.graph.auxiliary, peer.heads(pixels), strict=True))
    ratios = tuple(
        Ratio(name, output, difference_of_largest(array, expected[output]))
        for name in backends
        for output, array in _outputs(found, name, pixels, heads=peer.heads is not None)
    )
    return Carried(
        model=f"{mapping.origin}:{model}",
        spec=found.graph.name,
        elements=sum(found.weights[ours].size for ours in found.names.values()),
        ignored=len(found.ignored),
        ratios=ratios,
        other=tuple(_other_constants(found, peer)),
    )


def _other_constants(found: Transfer, peer: Peer) -> Iterator[str]:
    """Return the layers whose epsilon or rate differs from the peer's."""
    nodes = {node.name: node for node in found.graph.nodes}
    for weight, constants in peer.constants.items():
        node = nodes[found.names[weight].rpartition(".")[0]]
        for attribute, value in constants.items():
            if not math.isclose(ours := getattr(node.op, attribute), value, rel_tol=1e-9):
                yield f"{node.name} has {attribute} {ours}, and its peer {value}"


def _outputs(found: Transfer, backend: str, pixels: Array, *, heads: bool) -> Iterator[tuple[str, Array]]:
    """Return the output of our network for the images, and in torch those of its heads."""
    target = find_backend(backend)
    model = target.load(target.lower(found.graph), found.weights)
    inputs = {found.graph.inputs[0].name: pixels}
    yield from model.forward(inputs).items()
    if heads and backend == "torch":
        with only_root_training(model.native):
            outputs = model.forward(inputs)
        yield from ((name, outputs[name]) for name in found.graph.auxiliary)


def smallest(mapping: WeightMapping) -> str:
    """Return the model of a mapping with the fewest weights."""

    def elements(model: str) -> int:
        graph: Graph = load_graph(mapping.spec, dict(mapping.models[model]))
        return sum(weight.size for weight in graph.weights.values())

    return min(mapping.models, key=elements)
