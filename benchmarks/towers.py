"""Measures a training step in towers: the bytes that a process receives, and its time in and outside of exchanges.

    torchrun --nproc-per-node 2 benchmarks/towers.py specs/alexnet.yaml --batch 32

The bytes are counted in the calls of torch.distributed, and printed beside those that the placement derives. The time
of an exchange includes the wait for the slowest process.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from netspec_torch import BACKEND
from torch import Tensor, distributed

from netspec.graph import Normalization
from netspec.graph.placement import place
from netspec.lowering import Batch, TrainerSettings
from netspec.spec import elaborate, read_spec
from netspec.weights import initialize

WARM_UP = 2  # steps that are not counted


class Counter:
    """Wraps the collectives of torch.distributed to count the seconds in them and the bytes received.

    The bytes are those of ring algorithms.
    """

    def __init__(self) -> None:
        self.seconds, self.bytes = 0.0, 0
        received: dict[str, Callable[..., int]] = {
            "all_gather": lambda group, out, x: x.nbytes * (group.size() - 1),
            "reduce_scatter": lambda group, out, shares: out.nbytes * (group.size() - 1),
            "all_to_all_single": lambda group, out, _, rows, *more: (
                out.nbytes * (len(out) - rows[group.rank()]) // len(out)
            ),
            "all_reduce": lambda group, x: 2 * x.nbytes * (group.size() - 1) // group.size(),
        }
        for name, size in received.items():
            setattr(distributed, name, self._counted(getattr(distributed, name), size))

    def _counted(self, collective: Callable[..., Any], size: Callable[..., int]) -> Callable[..., Any]:
        def counted(*arguments: Any, group: Any = None, **options: Any) -> Any:
            start = time.perf_counter()
            result = collective(*arguments, group=group, **options)
            self.seconds += time.perf_counter() - start
            exchanged = [value for value in arguments if isinstance(value, Tensor | list)]
            self.bytes += size(group or distributed.group.WORLD, *exchanged)
            return result

        return counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spec")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    spec = read_spec(arguments.spec)
    assert spec.placement is not None, "the spec has no placement"
    assert spec.training is not None, "the spec has no recipe"
    graph, towers = elaborate(spec), spec.placement.towers
    channels, height, width = graph.inputs[0].type.features
    identity = Normalization(np.zeros((channels, 1, 1), np.float32), np.ones((channels, 1, 1), np.float32))
    settings = TrainerSettings(spec.training, identity, "cpu", towers=towers)
    trainer = BACKEND.trainer(graph, initialize(graph, 0), settings)
    random, batch = np.random.default_rng(trainer.rank), arguments.batch
    images = random.integers(0, 256, (batch, height, width, channels), dtype=np.uint8)
    samples = Batch(images, random.integers(0, graph.type_of(graph.outputs[0]).features[0], batch), np.arange(batch))
    counter, steps = Counter(), []
    for step in range(arguments.steps + WARM_UP):
        counter.seconds, counter.bytes = 0.0, 0
        start = time.perf_counter()
        trainer.step([samples], 1e-4, batch * trainer.world, step)
        steps.append((time.perf_counter() - start, counter.seconds))
    total, exchanges = (statistics.median(times) for times in zip(*steps[WARM_UP:], strict=True))
    if trainer.leads:
        placement = place(graph, towers)
        print(f"{graph.name}, batch {batch}, {trainer.processes} processes of one thread, {towers} towers")
        print(f"step {total:.3f} s: {exchanges:.3f} s in exchanges, {total - exchanges:.3f} s outside of them")
        print(f"received in a step: {counter.bytes:,} bytes; by the placement {placement.moved(batch):,}")
    trainer.close()


if __name__ == "__main__":
    main()
