"""Classes of ops annotate only their attributes: pydantic evaluates every other annotation again for each subclass."""

import pytest

from netspec.ops import OPS, Op


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_an_op_annotates_its_attributes_alone(op: type[Op]) -> None:
    annotated = {name for base in op.__mro__ for name in vars(base).get("__annotations__", {})}
    assert annotated == set(op.model_fields)
    assert not annotated & {"kind", "inputs", "trap"}
