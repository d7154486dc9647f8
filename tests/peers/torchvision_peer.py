"""The models of torchvision, which need none of its compiled operators."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from tests.peers.peer import Peer
from tests.peers.torch_peer import built, peer_of

# What a forward pass gives in training: GoogLeNetOutputs(logits, aux_logits2, aux_logits1) and InceptionOutputs(logits,
# aux_logits), models/googlenet.py and models/inception.py.
HEADS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "googlenet": lambda outputs: (outputs.aux_logits1, outputs.aux_logits2),
    "inception_v3": lambda outputs: (outputs.aux_logits,),
}
_DECLARED: list[torch.library.Library] = []  # a declaration lasts as long as its library


def load(model: str, shape: tuple[int, int, int], seed: int) -> Peer:
    """Load a model of `torchvision.models` by its name, with the size of its images after a hyphen."""
    return peer_of(module(model), shape, seed, HEADS.get(model))


def module(model: str) -> nn.Module:
    """Return the model before its weights are drawn."""
    require_operators()
    from torchvision import models

    name, _, size = model.partition("-")

    def make() -> Any:
        with warnings.catch_warnings():  # GoogLeNet and Inception warn of their slow initialization
            warnings.simplefilter("ignore", FutureWarning)
            return models.get_model(name, weights=None, **({"image_size": int(size)} if size else {}))

    return built(make)


def require_operators() -> None:
    """Declare the operators that torchvision needs to be imported, if its compiled library does not load.

    Its wheel on PyPI is built for CUDA, and its library does not load beside torch's build for the CPU; no
    classification model calls what is in it.
    """
    found = importlib.util.find_spec("torchvision")
    if _DECLARED or found is None or found.origin is None:
        return
    for library in Path(found.origin).parent.glob("_C.*"):
        try:
            torch.ops.load_library(library)
        except OSError:
            continue
        return
    declared = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):  # those that _meta_registrations.py registers unconditionally
        declared.define(f"{operator}(Tensor boxes, Tensor scores, float iou_threshold) -> Tensor")
    _DECLARED.append(declared)
