"""The table of ops: every class of an op, under its kind, imported on first use."""

from importlib import import_module
from pkgutil import iter_modules

import pytest

from netspec import ops
from netspec.ops import OPS, Op
from netspec.ops.collective import COLLECTIVES


def test_the_table_has_every_op_under_its_kind() -> None:
    modules = [import_module(f"{ops.__name__}.{module.name}") for module in iter_modules(ops.__path__)]
    classes = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    named = {op.kind: op for op in classes if issubclass(op, Op) and op.kind and op not in COLLECTIVES.values()}
    assert dict(OPS) == named
    assert len(OPS) == len(named)


def test_each_class_is_a_name_of_the_package() -> None:
    for op in OPS.values():
        assert getattr(ops, op.__name__) is op


def test_what_is_no_op_is_not_found() -> None:
    assert "no_such_op" not in OPS
    with pytest.raises(KeyError, match="no_such_op"):
        OPS["no_such_op"]
    with pytest.raises(AttributeError, match=r"module 'netspec\.ops' has no attribute 'NoSuchOp'"):
        _ = ops.NoSuchOp
