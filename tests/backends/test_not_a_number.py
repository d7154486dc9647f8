"""No backend turns NaN into a number: a network that diverged must not look as if it had not."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest

from netspec import reference
from netspec.lowering import find_backend
from netspec.testing import checks
from netspec.testing.cases import SampleCase, sample_cases
from netspec.types import DType

# TensorFlow's kernel of max pooling begins with the least number, and compares: NaN is not greater.
EXCEPT = {("keras", "max_pool2d")}
FIRST = [next(cases) for _, cases in groupby(sample_cases(), lambda case: case.node.op.kind)]
CASES = [
    (name, case)
    for case in FIRST
    for name in ("torch", "keras", "onnx")
    if case.node.inputs and (name, case.node.op.kind) not in EXCEPT
]


@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{case.node.op.kind}-{name}" for name, case in CASES])
def test_all_inputs_are_nan(name: str, case: SampleCase) -> None:
    inputs = {key: np.full_like(array, np.nan) for key, array in case.inputs(2).items()}
    with np.errstate(invalid="ignore"):
        (expected,) = reference.evaluate(case.graph, case.weights(), inputs).values()
    (actual,) = checks.load(find_backend(name), case, DType.FLOAT32).forward(inputs).values()
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
