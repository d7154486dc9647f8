"""timm's models, which import torchvision and need none of its compiled operators."""

from __future__ import annotations

from typing import Any

from tests.peers.peer import Peer
from tests.peers.torch_peer import built, peer_of
from tests.peers.torchvision_peer import require_operators


def load(model: str, shape: tuple[int, int, int], seed: int) -> Peer:
    """A model of timm by its name there."""
    require_operators()
    import timm

    def make() -> Any:
        return timm.create_model(model)

    return peer_of(built(make), shape, seed, None)
