"""What processes that train together have to agree on before the first of them writes anything."""

from __future__ import annotations

from netspec.errors import NetspecError
from netspec.lowering import Backend
from netspec.spec import ModelSpec
from netspec.training.checkpoint import Position, Run
from netspec.training.material import Material


def towers_of(spec: ModelSpec, backend: Backend) -> int:
    """On how many devices the spec says that the network lies.

    Raises:
        NetspecError: it does not say, or the backend trains on one alone.
    """
    placement = spec.require_placement()
    if not backend.in_towers:
        raise NetspecError(
            f"the {backend.name} backend trains no network in towers", "use torch, or leave out --parallel"
        )
    return placement.towers


def common_facts(material: Material, run: Run, position: Position, checkpoint_every: int) -> dict[str, str]:
    """What they must have in common beside the network and its recipe, by name.

    Other data, or another place to stop and exchange, would part them in the middle.
    """
    validation = material.splits.validation
    return {
        "the data": run.data,
        "the data to validate on": validation.fingerprint if validation is not None else "none",
        "the step to begin at": str(position.step),
        "--exact": str(run.exact),
        "--checkpoint-every": str(checkpoint_every),
    }
