"""What the processes of a distributed run must agree on before any of them writes a file."""

from __future__ import annotations

from netspec.errors import NetspecError
from netspec.lowering import Backend
from netspec.spec import ModelSpec
from netspec.training.checkpoint import Position, Run
from netspec.training.material import Material


def towers_of(spec: ModelSpec, backend: Backend) -> int:
    """The number of towers, that is devices, over which the spec's `placement:` divides the network.

    Raises:
        NetspecError: the spec has no placement, or the backend does not train networks in towers.
    """
    placement = spec.require_placement()
    if not backend.supports_towers:
        raise NetspecError(
            f"the {backend.name} backend trains no network in towers", "use torch, or leave out --parallel"
        )
    return placement.towers


def common_facts(material: Material, run: Run, position: Position, checkpoint_every: int) -> dict[str, str]:
    """The settings, by name, that all processes must share in addition to the network and its recipe.

    Processes with different data, or that save or stop at different steps, would get out of step during the run.
    """
    validation = material.splits.validation
    return {
        "the data": run.data,
        "the data to validate on": validation.fingerprint if validation is not None else "none",
        "the step to begin at": str(position.step),
        "--exact": str(run.exact),
        "--checkpoint-every": str(checkpoint_every),
    }
