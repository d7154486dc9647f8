"""The check that the processes of a training run have the same network, recipe, data and program versions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version

import torch
from torch import distributed

from netspec.errors import BackendError
from netspec.lowering import Artifact, TrainerSettings
from netspec.ops.base import Weights

LONGEST_SHOWN = 32  # characters; a longer fact is compared, and shown, by its digest


def facts_of(artifact: Artifact, weights: Weights, settings: TrainerSettings, device: torch.device) -> dict[str, str]:
    """The facts that must be the same in all processes, by the names that error messages use.

    With towers, the GPU model is one of them: all towers draw the same dropout masks for the values that each of them
    has, and GPUs with different numbers of multiprocessors draw different masks from one seed.
    """
    in_towers = device.type == "cuda" and settings.towers > 1
    recipe = settings.recipe.model_dump(mode="json")
    facts = {
        "netspec": version("netspec"),
        "PyTorch": torch.__version__,
        "the towers": str(settings.towers),
        "the device": torch.cuda.get_device_name(device) if in_towers else device.type,
        "the precision": settings.precision,
        "the network": str(artifact.content),
        **{f"training.{key}": json.dumps(value) for key, value in recipe.items()},
        **settings.must_agree,
    }
    short = {name: fact if len(fact) <= LONGEST_SHOWN else _digest(fact.encode()) for name, fact in facts.items()}
    return short | {"the initial weights": _digest(*(weights[name].tobytes() for name in sorted(weights)))}


def require_consistent(facts: Mapping[str, str]) -> None:
    """Require that the facts are the same in all processes of the default group, by an all-gather in host memory.

    Raises:
        BackendError: in every process, if any fact differs in any of them.
    """
    gathered = [json.loads(text) for text in _gather_texts(json.dumps(facts))]
    names = dict.fromkeys(name for facts_of_process in gathered for name in facts_of_process)
    differences = [_difference(name, [each.get(name, "missing") for each in gathered]) for name in names]
    if any(differences):
        raise BackendError(
            f"the {len(gathered)} processes are not alike in {' and '.join(filter(None, differences))}",
            "start all of them with one spec, the same options and data, and the same versions installed",
        )


def _difference(name: str, values: list[str]) -> str:
    """`PyTorch (2.13.0 in process 0, 2.12.1 in process 3)`; empty if all values are equal."""
    first = {value: values.index(value) for value in dict.fromkeys(values)}
    if len(first) == 1:
        return ""
    return f"{name} ({', '.join(f'{value} in process {process}' for value, process in first.items())})"


def _digest(*parts: bytes) -> str:
    digest = hashlib.blake2b(digest_size=4)
    for part in parts:
        digest.update(part)
    return f"#{digest.hexdigest()}"


def _gather_texts(text: str) -> list[str]:
    """All-gather a text from each process; the lengths may differ."""
    encoded = torch.tensor(list(text.encode()), dtype=torch.uint8)
    size, world = torch.tensor(len(encoded)), distributed.get_world_size()
    sizes = [torch.empty_like(size) for _ in range(world)]
    distributed.all_gather(sizes, size)
    padded = encoded.new_zeros(int(torch.stack(sizes).max()))
    padded[: len(encoded)] = encoded
    texts = [torch.empty_like(padded) for _ in range(world)]
    distributed.all_gather(texts, padded)
    return [bytes(text[: int(size)].tolist()).decode() for text, size in zip(texts, sizes, strict=True)]
