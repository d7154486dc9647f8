"""The gradient of activations at their corners, which a difference of two values does not show."""

import numpy as np
import pytest
from netspec_keras import BACKEND as KERAS
from netspec_torch import BACKEND as TORCH

from netspec.lowering import Backend
from netspec.ops import Elu, HardSigmoid, HardSwish, LeakyRelu, Op, PRelu, Sample
from netspec.testing.cases import NODE, SampleCase
from netspec.types import DType


@pytest.mark.parametrize("backend", [TORCH, KERAS], ids=["torch", "keras"])
@pytest.mark.parametrize(
    ("op", "corners", "slopes"),
    [
        (LeakyRelu(negative_slope=0.25), (0.0,), (0.25,)),
        (PRelu(shared=True), (0.0,), (0.25,)),
        (PRelu(), (0.0, 0.0), (0.25, 0.25)),
        (Elu(alpha=2.0), (0.0,), (2.0,)),
        (HardSigmoid(), (-3.0, 3.0), (0.0, 0.0)),
        (HardSwish(), (-3.0, 3.0), (0.0, 1.0)),
    ],
    ids=lambda each: each.kind if isinstance(each, Op) else None,
)
def test_the_slope_at_a_corner(backend: Backend, op: Op, corners: tuple[float, ...], slopes: tuple[float, ...]) -> None:
    case = SampleCase.of(Sample(op, ((len(corners),),)))
    weights = {name: np.full(weight.shape, 0.25, np.float32) for name, weight in case.graph.weights.items()}
    model = backend.load(backend.lower(case.graph.astype(DType.FLOAT64)), weights)
    x = np.array([corners])
    found = model.gradients({"in0": x}, {NODE: np.ones_like(x)}).inputs["in0"]
    np.testing.assert_array_equal(found, [slopes])
