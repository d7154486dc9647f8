"""The models of timm, which import torchvision but need none of its compiled operators."""

from __future__ import annotations

from torch import nn

from tests.peers.peer import Peer
from tests.peers.torch_peer import built, peer_of
from tests.peers.torchvision_peer import require_operators


def load(model: str, shape: tuple[int, int, int], seed: int) -> Peer:
    """Load a model of timm by its name there."""
    return peer_of(module(model), shape, seed, None)


def module(model: str) -> nn.Module:
    """Return the model as timm builds it, without weights."""
    require_operators()
    import timm

    return built(lambda: timm.create_model(model))
