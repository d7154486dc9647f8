"""A step in towers: bytes that each process receives, and its time in exchanges and in all else.

    torchrun --nproc-per-node 2 benchmarks/towers.py specs/alexnet.yaml --batch 32

Bytes are counted where the exchanges are made, and stand beside those that the placement states. A time in exchanges
has the wait for the slowest process in it.
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


class Counter:
    """Wraps the exchanges of torch.distributed: seconds in them, and bytes received by a ring's count."""

    def __init__(self) -> None:
        self.seconds, self.bytes = 0.0, 0
        wrapped: dict[str, Callable[..., int]] = {
            "all_gather": lambda out, x, others: x.nbytes * others,
            "reduce_scatter": lambda own, shares, others: own.nbytes * others,
            "all_to_all_single": lambda out, parts, others: out.nbytes * (len(out) - 1) // len(out),
            "all_reduce": lambda x, _, others: 2 * x.nbytes * others // (others + 1),
        }
        for name, size in wrapped.items():
            setattr(distributed, name, self._timed(getattr(distributed, name), size))

    def _timed(self, exchange: Callable[..., Any], size: Callable[..., int]) -> Callable[..., Any]:
        def timed(first: Tensor, second: Any = None, *args: Any, group: Any = None, **options: Any) -> Any:
            given = (first,) if second is None else (first, second, *args)
            began = time.perf_counter()
            result = exchange(*given, group=group, **options)
            self.seconds += time.perf_counter() - began
            self.bytes += size(first, second, distributed.get_world_size(group) - 1)
            return result

        return timed


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
    plain = Normalization(np.zeros((channels, 1, 1), np.float32), np.ones((channels, 1, 1), np.float32))
    settings = TrainerSettings(spec.training, plain, "cpu", towers=towers)
    trainer = BACKEND.trainer(graph, initialize(graph, 0), settings)
    random, batch = np.random.default_rng(trainer.rank), arguments.batch
    images = random.integers(0, 256, (batch, height, width, channels), dtype=np.uint8)
    samples = Batch(images, random.integers(0, graph.type_of(graph.outputs[0]).features[0], batch), np.arange(batch))
    counter, steps = Counter(), []
    for step in range(arguments.steps + 2):
        counter.seconds, counter.bytes = 0.0, 0
        began = time.perf_counter()
        trainer.step([samples], 1e-4, batch * trainer.world, step)
        steps.append((time.perf_counter() - began, counter.seconds))
    whole, exchanged = (statistics.median(values) for values in zip(*steps[2:], strict=True))
    if trainer.leads:
        placement = place(graph, towers)
        print(f"{graph.name}, batch {batch}, {trainer.processes} processes of one thread, {towers} towers")
        print(f"step {whole:.3f} s, of it in exchanges {exchanged:.3f} s, in all else {whole - exchanged:.3f} s")
        print(f"received in a step: {counter.bytes:,} bytes; by the placement {placement.moved(batch):,}")
    trainer.close()


if __name__ == "__main__":
    main()
