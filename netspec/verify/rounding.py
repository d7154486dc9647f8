"""How far rounding alone moves the values of a forward pass, measured: no framework can be closer to the reference."""

from __future__ import annotations

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

# By how much each element of a weight or an input is moved, and all elements of it together, in units of the last
# place. Sums of a thousand terms are off by as much, and a network that does not amplify errors moves by less than the
# tolerance. If elements moved only one by one, a mean of many, and the difference of two means, would stay in place.
UNITS: Final = 12
TWINS: Final = 4  # how often it is measured: the effects of one can cancel by chance
# No larger error passes, however far rounding goes: a comparison would say next to nothing.
MOST: Final = {DType.FLOAT64: 1e-8, DType.FLOAT32: 1e-3}


class Limits:
    """By how much the values of a case may differ: the tolerance, or where rounding moves a value further, as far.

    That is measured with the reference itself, at weights and inputs changed in their last places, and only when a
    value exceeds the tolerance: most networks move by less. Those with gates that read large values move by more: where
    a gate is open for one sample and shut for the next, an error of its input is one of its output, and is carried on.

    Args:
        case: the graph and its inputs.
        weights: as they are compared.
        expected: the reference's values, by name.
    """

    def __init__(self, case: Case, weights: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
        self._case, self._weights, self._expected = case, weights, expected
        self._moved: dict[DType, dict[str, float]] = {}

    def of(self, name: str, dtype: DType, error: float) -> float:
        """The limit of a value, as a share of its largest element; of one that is `error` off."""
        tolerated = forward_tolerance(self._case.graph, name, dtype, self._expected)
        if not tolerated < error <= MOST[dtype]:
            return tolerated
        if dtype not in self._moved:
            self._moved[dtype] = self._measure(dtype)
        return max(tolerated, min(self._moved[dtype][name], MOST[dtype]))

    def _measure(self, dtype: DType) -> dict[str, float]:
        """How far each value moves, of several times the farthest."""
        farthest = dict.fromkeys(self._expected, 0.0)
        for twin in range(TWINS):
            weights, inputs = (moved(arrays, dtype, UNITS, twin) for arrays in (self._weights, self._case.inputs))
            values = reference.evaluate(self._case.graph, weights, inputs)
            for name, value in values.items():
                farthest[name] = max(farthest[name], difference_of_largest(value, self._expected[name]))
        return farthest


def moved(arrays: Mapping[str, Array], dtype: DType, units: int, twin: int) -> dict[str, Array]:
    """The arrays in this dtype, each element moved by so many units of its last place, and all of one together.

    Args:
        arrays: by name.
        dtype: whose units they are.
        units: how many.
        twin: which of several; each moves them otherwise.
    """
    share = units * float(np.finfo(dtype.numpy).eps)
    found = {}
    for name, array in arrays.items():
        random = stream(twin, "verify", "rounding", name)
        each, together = random.choice([-share, share], np.shape(array)), random.choice([-share, share])
        found[name] = (np.asarray(array, np.float64) * (1.0 + each + together)).astype(dtype.numpy)
    return found


def forward_tolerance(graph: Graph, name: str, dtype: DType, values: Mapping[str, Array]) -> float:
    """What a value may differ by at least, as a share of its largest element.

    A softmax, sigmoid or tanh turns an absolute error of its input into a relative one of its output, at most twice as
    large: |Δ log softmax(z)| ≤ 2 max|Δz|. Its input is held to the plain tolerance, a share of max|z|; so its own is
    that times 2 max|z|, where logits are large.
    """
    value = graph.values[name]
    if isinstance(value, Node) and isinstance(value.op, SATURATING) and value.inputs[0] in values:
        return FORWARD_TOLERANCE[dtype] * max(1.0, 2.0 * float(abs(values[value.inputs[0]]).max()))
    return FORWARD_TOLERANCE[dtype]
