"""The conformance suite for backends asserts that an unsupported op is refused with the listed reason."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from netspec.errors import UnsupportedError
from netspec.graph import Graph
from netspec.lowering import Lowerings
from netspec.ops import Relu
from netspec.testing.cases import sample_cases
from netspec.testing.conformance import BackendConformance


def suite_of(reason: str) -> BackendConformance:
    """Return the suite of a backend that lists ReLU as unsupported, and refuses it for this reason."""

    def lower(graph: Graph) -> None:
        raise UnsupportedError(f"the mine backend does not support {graph.name}: {reason}")

    lowerings = Lowerings("mine", unsupported={Relu: "no kernel [yet] (see a+b)"})
    backend = SimpleNamespace(lowerings=lowerings, lower=lower)
    return type("Suite", (BackendConformance,), {"backend": backend})()


def test_a_reason_may_contain_any_characters() -> None:
    case = next(sample_cases(Relu))
    assert not suite_of("no kernel [yet] (see a+b)").supports(case)
    with pytest.raises(AssertionError, match="did not match"):
        suite_of("another reason").supports(case)
