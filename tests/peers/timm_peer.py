"""timm's models, which import torchvision and need none of its compiled operators."""

from __future__ import annotations

from torch import nn

from tests.peers.peer import Peer
from tests.peers.torch_peer import built, peer_of
from tests.peers.torchvision_peer import require_operators


def load(model: str, shape: tuple[int, int, int], seed: int) -> Peer:
    """A model of timm by its name there."""
    return peer_of(module(model), shape, seed, None)


def module(model: str) -> nn.Module:
    """The model as timm makes it, without weights."""
    require_operators()
    import timm

    return built(lambda: timm.create_model(model))
