"""Error limits for a forward pass, raised where rounding alone moves values by more than the tolerance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from netspec import reference
from netspec.graph import Graph, Node
from netspec.ops.base import Array
from netspec.types import DType
from netspec.verify.cases import SATURATING, Case
from netspec.verify.compare import FORWARD_TOLERANCE, difference_of_largest
from netspec.weights import stream

# The size of the perturbation of weights and inputs, in units of the last place: each element is moved by this much,
# and in addition all elements of an array together. Sums of a thousand terms have rounding errors of this size, and a
# network that does not amplify errors moves by less than the tolerance. Independent moves alone would cancel in the
# mean of many elements, and leave the difference of two means unchanged.
UNITS: Final = 12
TWINS: Final = 4  # perturbed evaluations: in a single one, effects can cancel by chance
# The largest limit: an error beyond it never passes, since a comparison would then mean next to nothing.
MOST: Final = {DType.FLOAT64: 1e-8, DType.FLOAT32: 1e-3}

# A derivative that is mathematically zero, of a bias before a normalization, is rounding alone: each run draws it anew,
# and no perturbed one bounds the next. One shows it: by this share of its size it differs, so that no digit is kept.
# Such an array is compared as a share of the largest one, for it is the rounding of terms of that size.
ALONE: Final = 0.5


class Limits:
    """The error limits of the values of a case: the tolerance, or the effect of rounding if that is larger.

    No framework can be closer to the reference than rounding allows. Its effect is measured by evaluating the reference
    with weights and inputs perturbed in their last places, and only if a value exceeds the tolerance: in most networks,
    rounding stays below it. It does not in networks whose gates read large values: where a gate is open for one sample
    and closed for the next, an error of its input becomes an error of its output, and propagates.

    Args:
        case: the graph and its inputs.
        weights: the weights that are compared.
        expected: the values of the reference, by name.
    """

    def __init__(self, case: Case, weights: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
        self._case, self._weights, self._expected = case, weights, expected
        self._rounding: dict[DType, dict[str, float]] = {}

    def of(self, name: str, dtype: DType, error: float) -> float:
        """The limit, as a share of its largest element, for a value whose error is `error`."""
        tolerance = forward_tolerance(self._case.graph, name, dtype, self._expected)
        if not tolerance < error <= MOST[dtype]:
            return tolerance
        if dtype not in self._rounding:
            self._rounding[dtype] = self._measure(dtype)
        return max(tolerance, min(self._rounding[dtype][name], MOST[dtype]))

    def _measure(self, dtype: DType) -> dict[str, float]:
        """The largest effect of several perturbations on each value, ignoring perturbed values that are not finite."""
        farthest = dict.fromkeys(self._expected, 0.0)
        for twin in range(TWINS):
            weights, inputs = (moved(arrays, dtype, UNITS, twin) for arrays in (self._weights, self._case.inputs))
            values = reference.evaluate(self._case.graph, weights, inputs)
            for name, value in values.items():
                if np.isfinite(value).all():
                    farthest[name] = max(farthest[name], difference_of_largest(value, self._expected[name]))
        return farthest


def moved(arrays: Mapping[str, Array], dtype: DType, units: int, twin: int) -> dict[str, Array]:
    """The arrays perturbed in their last places and cast to a dtype.

    Each element is moved up or down by some units in the last place, and in addition all elements of an array together.

    Args:
        arrays: arrays by name.
        dtype: the dtype whose units in the last place are meant.
        units: the number of units.
        twin: the number of the perturbation, which seeds it.
    """
    share = units * float(np.finfo(dtype.numpy).eps)
    perturbed = {}
    for name, array in arrays.items():
        random = stream(twin, "verify", "rounding", name)
        each, together = random.choice([-share, share], np.shape(array)), random.choice([-share, share])
        perturbed[name] = (np.asarray(array, np.float64) * (1.0 + each + together)).astype(dtype.numpy)
    return perturbed


def is_rounding_alone(difference: float, size: float) -> bool:
    """Whether an array has no digits of its own, given its size, and its difference when weights are `moved`."""
    return ALONE * size < difference < math.inf


def forward_tolerance(graph: Graph, name: str, dtype: DType, values: Mapping[str, Array]) -> float:
    """The tolerance of a value, as a share of its largest element, before any effect of rounding is measured.

    A softmax, sigmoid or tanh turns an absolute error of its input into a relative error of its output that is at most
    twice as large: |Δ log softmax(z)| ≤ 2 max|Δz|. The input may differ by the plain tolerance times max|z|, so the
    output may differ by the plain tolerance times 2 max|z| if that factor is above 1.
    """
    value = graph.values[name]
    if isinstance(value, Node) and isinstance(value.op, SATURATING) and value.inputs[0] in values:
        return FORWARD_TOLERANCE[dtype] * max(1.0, 2.0 * float(abs(values[value.inputs[0]]).max()))
    return FORWARD_TOLERANCE[dtype]
