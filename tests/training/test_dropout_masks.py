"""Shared dropout masks depend on seed, step, node and row, and on nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from netspec.graph import Graph, Input, make_node
from netspec.lowering import Batch
from netspec.ops import Conv2d, Dropout, Flatten, StochasticDepth
from netspec.ops.attributes import both
from netspec.training.dropout_masks import with_masks
from netspec.types import TensorType


def network(rate: float = 0.3, *, first: bool = True) -> Graph:
    x = Input("input", TensorType.of(2, 5, 7))
    conv = make_node("conv", Conv2d(filters=4, kernel_size=both(3)), [x])
    drop = make_node("drop1", Dropout(rate=rate), [conv])
    flat = make_node("flat", Flatten(), [drop if first else conv])
    last = make_node("drop2", Dropout(rate=0.5), [flat])
    return Graph("net", (x,), (conv, *([drop] if first else []), flat, last), ("drop2",))


def batches(*rows: Sequence[int]) -> tuple[Batch, ...]:
    return tuple(
        Batch(np.zeros((len(r), 5, 7, 2), np.uint8), np.zeros(len(r), np.int64), np.array(r, np.int64)) for r in rows
    )


def masks(graph: Graph, parts: tuple[Batch, ...], name: str, seed: int = 1, step: int = 5) -> list[NDArray[np.bool_]]:
    return [(batch.masks or {})[name] for batch in with_masks(graph, parts, seed, step)]


def test_shapes_are_canonical_and_the_rate_is_that_of_the_layer() -> None:
    (found,) = masks(network(), batches(range(400)), "drop1")
    assert found.shape == (400, 4, 3, 5)
    assert found.mean() == pytest.approx(0.7, abs=0.01)


def test_masks_do_not_depend_on_the_division_of_a_step() -> None:
    (whole,) = masks(network(), batches(range(8)), "drop2")
    cut = masks(network(), batches(range(0, 8, 2), range(1, 8, 2)), "drop2")
    assert np.array_equal(whole[0::2], cut[0])
    assert np.array_equal(whole[1::2], cut[1])
    (part,) = masks(network(), batches([2, 5]), "drop2")
    assert np.array_equal(part, whole[[2, 5]])


def test_masks_do_not_depend_on_other_nodes() -> None:
    (one,), (other,) = (masks(network(first=first), batches(range(3)), "drop2") for first in (True, False))
    assert np.array_equal(one, other)


def test_masks_depend_on_seed_step_and_node() -> None:
    graph = network(0.5)
    first = masks(graph, batches(range(3)), "drop2")[0]
    assert not np.array_equal(first, masks(graph, batches(range(3)), "drop2", step=6)[0])
    assert not np.array_equal(first, masks(graph, batches(range(3)), "drop2", seed=2)[0])
    assert not np.array_equal(first, masks(graph, batches(range(3)), "drop1")[0].reshape(3, -1))


def test_an_empty_share_has_empty_masks() -> None:
    (found,) = masks(network(), batches([]), "drop2")
    assert found.shape == (0, 60)


@pytest.mark.parametrize("mode", ["row", "batch"])
def test_samples_are_dropped_whole(mode: Literal["row", "batch"]) -> None:
    x = Input("input", TensorType.of(2, 5, 7))
    graph = Graph("net", (x,), (make_node("drop", StochasticDepth(rate=0.5, mode=mode), [x]),), ("drop",))
    found = [masks(graph, batches(range(50)), "drop", step=step)[0] for step in range(40)]
    assert {mask.shape for mask in found} == {(50, 1, 1, 1)}
    assert np.mean(found) == pytest.approx(0.5, abs=0.05 if mode == "row" else 0.3)
    uniform = [len(np.unique(mask)) == 1 for mask in found]
    assert all(uniform) if mode == "batch" else not any(uniform)
    first, second = (m for m in masks(graph, batches(range(25), range(25, 50)), "drop", step=0))
    assert np.array_equal(np.concatenate([first, second]), found[0])
