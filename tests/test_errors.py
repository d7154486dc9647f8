"""Errors stay complete on the way from a worker process to its parent."""

import pickle

import pytest

from netspec.errors import Diagnostic, NetspecError, ShapeError, SpecError, Where

PLACE = Where("a.yaml", 3, 7, "layers.conv", "  conv: {op: conv2}")


@pytest.mark.parametrize(
    "error",
    [
        NetspecError("wrong", "do this"),
        ShapeError("wrong", attribute="stride"),
        SpecError([Diagnostic(PLACE, "there is no op 'conv2'", "did you mean 'conv2d'?"), Diagnostic(None, "empty")]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_the_same_after_pickling(error: NetspecError) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 # made here
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
