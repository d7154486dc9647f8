"""One tower's part of a small network, and what the whole network gives on one device.

Run as a script it is one of the processes that torchrun starts, and writes what it found to the file it is given.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from netspec_torch import BACKEND
from netspec_torch.model import TorchModel
from numpy.typing import NDArray
from torch import Tensor

from netspec.graph import Graph
from netspec.graph.placement import Placement, place
from netspec.graph.tower import tower_graph, tower_weights
from netspec.testing.networks import Chain
from netspec.types import DType

STEPS, SAMPLES, CLASSES = 20, 5, 7
LRN: dict[str, Any] = {"size": 3, "alpha": 1e-2, "beta": 0.75, "k": 2, "convention": "sum"}


def network() -> Graph:
    """Every crossing, and weights that each tower has whole: of what all compute, and of what each computes a part."""
    return (
        Chain("small", image=(3, 9, 8))
        .add("conv1", "conv2d", filters=8, kernel_size=3, padding=1)
        .add("relu1", "relu")
        .add("norm1", "local_response_norm", groups=4, **LRN)
        .add("pool1", "max_pool2d", kernel_size=2, stride=2)
        .add("conv2", "conv2d", filters=16, kernel_size=3, padding=1, groups=4)
        .add("slope", "prelu", shared=True)
        .add("mix", "local_response_norm", **LRN)  # over all channels: collected
        .add("conv3", "conv2d", filters=16, kernel_size=3, padding=1, groups=4)  # shared out again
        .add("sum", "add", reads=("conv3", "slope"))
        .add("more", "conv2d", reads="mix", filters=16, kernel_size=1)  # spread from what was collected
        .add("both", "multiply", reads=("sum", "more"))
        .add("flatten", "flatten")
        .add("fc1", "dense", units=8)
        .add("tanh", "tanh")
        .add("fc2", "dense", units=CLASSES)  # an odd number: whole in each
        .graph()
        .astype(DType.FLOAT64)
    )


def outcome(towers: int) -> dict[str, NDArray[Any]]:
    """Outputs, gradients and the weights after twenty steps: of one tower, or with one of all."""
    graph = network()
    random = np.random.default_rng(1)
    weights = {name: random.standard_normal(w.shape) / 3 for name, w in graph.weights.items()}
    images = random.standard_normal((STEPS, SAMPLES, 3, 9, 8))
    labels = random.integers(0, CLASSES, (STEPS, SAMPLES))
    placement = place(graph, towers) if towers > 1 else None
    own = tower_graph(placement).check() if placement else graph
    given = tower_weights(placement, weights, dist.get_rank()) if placement else weights
    native = TorchModel(BACKEND.lower(own), given).native.train()
    parameters = dict(native.named_parameters())
    velocity = {name: torch.zeros_like(weight) for name, weight in parameters.items()}
    found: dict[str, NDArray[Any]] = {}
    for step in range(STEPS):
        x = torch.tensor(images[step], requires_grad=True)
        logits = native(x)
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels[step]))
        loss.backward()
        _sum_partial(placement, parameters)
        if step == 0:
            found |= {"logits": logits.detach().numpy(), "gradient of image": _array(x.grad)}
            found |= {f"gradient of {name}": _array(weight.grad) for name, weight in parameters.items()}
        found[f"loss {step}"] = loss.detach().numpy()
        with torch.no_grad():
            for name, weight in parameters.items():
                velocity[name].mul_(0.9).add_(weight.grad)
                weight.sub_(velocity[name], alpha=0.05)
                weight.grad = None
    return found | {name: weight.detach().numpy() for name, weight in parameters.items()}


def _sum_partial(placement: Placement | None, parameters: dict[str, Tensor]) -> None:
    for weight in placement.weights if placement else ():
        if weight.partial:
            dist.all_reduce(parameters[weight.name].grad)


def _array(gradient: Tensor | None) -> NDArray[Any]:
    assert gradient is not None
    return gradient.numpy().copy()


def main(path: Path) -> None:
    """What one process does."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    found = outcome(dist.get_world_size())
    np.savez(path.with_name(f"{path.name}{dist.get_rank()}.npz"), **found)  # type: ignore[arg-type] # of NumPy's stub
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
