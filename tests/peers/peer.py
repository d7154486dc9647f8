"""A published network, built by the code of its origin: its weights, by their names there, and its function."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from netspec.ops.base import Array

Forward = Callable[[Array], Array]


@dataclass(frozen=True)
class Peer:
    """A published network with random weights, at inference.

    Attributes:
        arrays: its weights, as they are named and laid out there.
        forward: pixels (N, C, H, W) float32 → its output.
        heads: the same input → the outputs of its auxiliary heads, in the order of our spec's; None without heads.
        constants: by a layer's weight, attributes of our op that it has there and that move the output of an inference
            by little, or not: an epsilon, the rate of running statistics.
    """

    arrays: Mapping[str, Array]
    forward: Forward
    heads: Callable[[Array], tuple[Array, ...]] | None = None
    constants: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


class PeerMissingError(Exception):
    """The distribution that contains the peer is not installed."""


# Origin → the module beside this one that has `load(model, shape, seed) -> Peer`, and the distribution that it needs.
# A module is imported when it is used: each brings a framework.
LOADERS: Final[Mapping[str, tuple[str, str]]] = {
    "torchvision": ("tests.peers.torchvision_peer", "torchvision"),
    "keras-applications": ("tests.peers.keras_peer", "keras"),
    "timm": ("tests.peers.timm_peer", "timm"),
}


def load(origin: str, model: str, shape: tuple[int, int, int], seed: int = 0) -> Peer:
    """Load a model of an origin with random weights, none of them 0 or 1, that keep the scale of signals at any depth.

    Args:
        origin: `torchvision`, or another of LOADERS.
        model: its name there.
        shape: (C, H, W) of what it reads.
        seed: of the weights.

    Raises:
        PeerMissingError: what it comes from is not installed.
    """
    module, distribution = LOADERS[origin]
    if importlib.util.find_spec(distribution) is None:
        raise PeerMissingError(
            f"{origin}:{model} is built by {distribution}, which is not installed here: pip install 'netspec[peers]'"
        )
    peer: Peer = importlib.import_module(module).load(model, shape, seed)
    return peer
