"""Gradients of outputs along random directions, of one backend's model and of another's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from netspec.errors import VerificationError
from netspec.graph import Graph
from netspec.lowering import Gradients
from netspec.ops.base import Array
from netspec.types import DType
from netspec.verify.cases import Case
from netspec.verify.compare import GRADIENT_TOLERANCE, NEGLIGIBLE_GRADIENT, Comparison, relative_l2, worst_of
from netspec.weights import stream


def cotangents_for(case: Case, seed: int) -> dict[str, Array]:
    """A random direction of each output: no loss is needed."""
    batch = len(next(iter(case.inputs.values())))
    return {
        name: stream(seed, "cotangent", name).standard_normal(case.graph.type_of(name).concrete(batch))
        for name in case.graph.outputs
    }


def compare_gradients(case: Case, found: Mapping[str, Gradients], cotangents: Mapping[str, Array]) -> list[Comparison]:
    """Those of every later backend beside those of the first: of weights in one row, of inputs in another.

    Args:
        case: that they are of, in float64.
        found: by the backend's name.
        cotangents: along which they were taken.

    Raises:
        VerificationError: the network has no derivative there.
    """
    (first, theirs), *others = found.items()
    norms = [float(np.linalg.norm(g)) for g in (*theirs.weights.values(), *theirs.inputs.values())]
    scale = NEGLIGIBLE_GRADIENT * max([*norms, *(float(np.linalg.norm(c)) for c in cotangents.values())])
    measure = partial(relative_l2, scale=scale)
    rows: list[Comparison] = []
    for name, ours in others:
        for mine, other in ((ours.weights, theirs.weights), (ours.inputs, theirs.inputs)):
            _require_slopes(case.graph, name, mine, first, other)
            if other:
                worst = worst_of(mine, other, DType.FLOAT64, measure, lambda *_: GRADIENT_TOLERANCE)
                rows.append(Comparison("gradient", name, first, DType.FLOAT64, case.label, *worst))
    return rows


def _require_slopes(
    graph: Graph, first: str, mine: Mapping[str, Array], second: str, other: Mapping[str, Array]
) -> None:
    """VerificationError where neither backend has a derivative: the network has none."""
    for name, gradient in other.items():
        if name in mine and not (np.isfinite(mine[name]).all() or np.isfinite(gradient).all()):
            raise VerificationError(
                f"{graph.name}: the gradient of {name} is NaN or infinite in {second} and in {first}",
                "a root has no slope at 0: an offset before it, as by `rescale`, keeps what it reads from there",
            )
