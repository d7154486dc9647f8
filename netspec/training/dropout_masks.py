"""Dropout masks that all backends share, drawn from a counter-based stream instead of by the framework."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from netspec.graph import Graph
from netspec.lowering import Batch
from netspec.ops.dropout import Dropping
from netspec.weights import stream


def with_masks(graph: Graph, batches: tuple[Batch, ...], seed: int, step: int) -> tuple[Batch, ...]:
    """The batches of an optimizer step, with a mask for every dropout node.

    A mask depends on the seed, the step, the node and the sample's row within the step, but not on the division of the
    step into batches and ranks, nor on other nodes.
    """
    rows = 1 + max((int(batch.rows.max()) for batch in batches if len(batch.rows)), default=-1)
    drawn = {
        node.name: _draw(node.op, (rows, *node.op.mask_features(node.type)), seed, step, node.name)
        for node in graph.nodes
        if isinstance(node.op, Dropping)
    }
    return tuple(replace(b, masks={name: mask[b.rows] for name, mask in drawn.items()}) for b in batches)


def _draw(op: Dropping, shape: tuple[int, ...], seed: int, step: int, name: str) -> NDArray[np.bool_]:
    drawn = stream(seed, "dropout", str(step), name).random((1, *shape[1:]) if op.whole_batch else shape, np.float32)
    return np.broadcast_to(drawn >= np.float32(op.rate), shape)
