"""Whether the processes that are to train together train one network, by one recipe, on one set, with one program."""

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

SHOWN = 32  # characters of a fact that is shown as it is; of longer ones, a digest is compared


def facts_of(artifact: Artifact, weights: Weights, settings: TrainerSettings, device: torch.device) -> dict[str, str]:
    """What has to be the same in all processes, by what it is called.

    Towers draw the same dropout masks of what each has whole: of one seed, GPUs with other numbers of multiprocessors
    draw others.
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
        **settings.alike,
    }
    told = {name: fact if len(fact) <= SHOWN else _digest(fact.encode()) for name, fact in facts.items()}
    return told | {"the weights to begin with": _digest(*(weights[name].tobytes() for name in sorted(weights)))}


def require_alike(facts: Mapping[str, str]) -> None:
    """That the facts are the same in all processes of the default group. They are exchanged in host memory.

    Raises:
        BackendError: in each of them, when one has others.
    """
    found = [json.loads(text) for text in _from_all(json.dumps(facts))]
    different = [_told(name, [own.get(name, "not told") for own in found]) for name in dict.fromkeys(_names(found))]
    if any(different):
        raise BackendError(
            f"the {len(found)} processes are not alike in {' and '.join(filter(None, different))}",
            "start all of them with one spec, the same options and data, and the same versions installed",
        )


def _names(found: list[dict[str, str]]) -> list[str]:
    return [name for own in found for name in own]


def _told(name: str, values: list[str]) -> str:
    """`PyTorch (2.13.0 in process 0, 2.12.1 in process 3)`; empty where all have one value."""
    first = {value: values.index(value) for value in dict.fromkeys(values)}
    if len(first) == 1:
        return ""
    return f"{name} ({', '.join(f'{value} in process {process}' for value, process in first.items())})"


def _digest(*parts: bytes) -> str:
    digest = hashlib.blake2b(digest_size=4)
    for part in parts:
        digest.update(part)
    return f"#{digest.hexdigest()}"


def _from_all(text: str) -> list[str]:
    """A text of each process, of whatever length."""
    own = torch.tensor(list(text.encode()), dtype=torch.uint8)
    size, world = torch.tensor(len(own)), distributed.get_world_size()
    sizes = [torch.empty_like(size) for _ in range(world)]
    distributed.all_gather(sizes, size)
    padded = own.new_zeros(int(torch.stack(sizes).max()))
    padded[: len(own)] = own
    texts = [torch.empty_like(padded) for _ in range(world)]
    distributed.all_gather(texts, padded)
    return [bytes(text[: int(size)].tolist()).decode() for text, size in zip(texts, sizes, strict=True)]
