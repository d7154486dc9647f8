"""The comparison of backends' gradients, taken of the outputs along random directions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from netspec.errors import VerificationError
from netspec.graph import Graph
from netspec.lowering import Backend, Gradients, Model
from netspec.ops.base import Array, Weights
from netspec.types import DType
from netspec.verify.cases import Case
from netspec.verify.compare import GRADIENT_TOLERANCE, NEGLIGIBLE_GRADIENT, Comparison, relative_l2, worst_of
from netspec.verify.rounding import is_rounding_alone
from netspec.weights import stream


def cotangents_for(case: Case, seed: int) -> dict[str, Array]:
    """A random cotangent for each output, along which to differentiate without a loss."""
    batch = len(next(iter(case.inputs.values())))
    return {
        name: stream(seed, "cotangent", name).standard_normal(case.graph.type_of(name).concrete(batch))
        for name in case.graph.outputs
    }


@dataclass(frozen=True, slots=True)
class Derivatives:
    """The gradients of a case in several backends, which are taken from models in float64 while these are loaded.

    Attributes:
        case: the case of which they are taken.
        backends: the backends that are compared; none if gradients are not.
        cotangents: the directions along which they are taken.
        taken: the gradients so far, by backend.
    """

    case: Case
    backends: Sequence[Backend]
    cotangents: Mapping[str, Array]
    taken: dict[str, Gradients] = field(default_factory=dict)

    def include(self, backend: Backend, case: Case) -> bool:
        """Whether the gradients of this backend are taken of this case."""
        return case is self.case and backend in self.backends

    def take(self, backend: Backend, model: Model) -> None:
        """Take the gradients from the backend's model of the case's graph."""
        self.taken[backend.name] = model.gradients(self.case.inputs, self.cotangents)

    def compare(self) -> list[Comparison]:
        """Compare what was taken; see `compare_gradients`."""
        return compare_gradients(self.case, self.taken, self.cotangents) if self.taken else []


def compare_gradients(
    case: Case, gradients: Mapping[str, Gradients], cotangents: Mapping[str, Array], noise: Collection[str] = ()
) -> list[Comparison]:
    """Compare the gradients of each further backend with those of the first: one row for weights, one for inputs.

    Args:
        case: the case of which the gradients were taken, in float64.
        gradients: the gradients by backend.
        cotangents: the directions along which they were taken.
        noise: the weights and inputs whose gradients are rounding alone.

    Raises:
        VerificationError: a gradient is not finite in either backend, so the network has no derivative there.
    """
    (first, expected), *others = gradients.items()
    beside = (*expected.weights.values(), *expected.inputs.values(), *cotangents.values())
    rows: list[Comparison] = []
    for name, actual in others:
        for ours, theirs in ((actual.weights, expected.weights), (actual.inputs, expected.inputs)):
            _require_derivatives(case.graph, name, ours, first, theirs)
            if theirs:
                worst = worst_gradient(ours, theirs, beside, noise)
                rows.append(Comparison("gradient", name, first, DType.FLOAT64, case.label, *worst))
    return rows


def worst_gradient(
    actual: Weights, expected: Weights, beside: Iterable[Array] = (), noise: Collection[str] = ()
) -> tuple[str, float, float]:
    """The gradient that differs most: its name, its relative error in L2 and the tolerance.

    Args:
        actual: the gradients by name, in float64. One that is missing has an infinite error.
        expected: those that they should be.
        beside: further arrays beside which a gradient can be negligible.
        noise: the names of gradients that are rounding alone, whose errors are shares of the largest.
    """
    largest = max(float(np.linalg.norm(array)) for array in (*expected.values(), *beside))

    def worst(part: Weights, least: float) -> tuple[str, float, float]:
        measure = partial(relative_l2, scale=least * largest)
        return worst_of(actual, part, DType.FLOAT64, measure, lambda *_: GRADIENT_TOLERANCE)

    alone = {name: array for name, array in expected.items() if name in noise}
    others = {name: array for name, array in expected.items() if name not in noise}
    rows = [worst(part, least) for part, least in ((others, NEGLIGIBLE_GRADIENT), (alone, 1.0)) if part]
    return max(rows, key=lambda row: row[1])


def of_rounding_alone(moved: Weights, expected: Weights) -> set[str]:
    """The names of gradients that are rounding alone, given those at weights `moved` in their last places."""
    return {
        name
        for name, theirs in expected.items()
        if is_rounding_alone(float(np.linalg.norm(moved[name] - theirs)), float(np.linalg.norm(theirs)))
    }


def _require_derivatives(
    graph: Graph, backend: str, ours: Mapping[str, Array], first: str, theirs: Mapping[str, Array]
) -> None:
    """Raise VerificationError if a gradient is not finite in both backends: the network then has no derivative."""
    for name, gradient in theirs.items():
        if name in ours and not (np.isfinite(ours[name]).all() or np.isfinite(gradient).all()):
            raise VerificationError(
                f"{graph.name}: the gradient of {name} is NaN or infinite in {first} and in {backend}",
                "a root has no derivative at 0: keep its input away from 0 by an offset, for example with `rescale`",
            )
