"""Limits of a forward pass: raised only where a network amplifies rounding."""

from dataclasses import replace

import numpy as np
import pytest

from netspec import reference
from netspec.graph import Graph
from netspec.lowering import find_backend
from netspec.ops import Rescale
from netspec.testing.changes import changed
from netspec.testing.faults import Fault, FaultyBackend
from netspec.testing.networks import Chain, towers
from netspec.types import DType
from netspec.verify import verify
from netspec.verify.cases import cases_of, check_weights_of
from netspec.verify.compare import FORWARD_TOLERANCE
from netspec.verify.rounding import MOST, TWINS, UNITS, Limits, moved


def gated(layers: int = 4, width: int = 16) -> Graph:
    """Return highway layers that read pixels: gates are open or shut, except for one in a hundred."""
    chain = Chain("gated", image=(1, 8, 8)).add("flat", "flatten").add("x0", "dense", units=width)
    for i in range(layers):
        chain.add(f"h{i}", "dense", f"x{i}", units=width).add(f"candidate{i}", "tanh")
        chain.add(f"t{i}", "dense", f"x{i}", units=width).add(f"gate{i}", "sigmoid")
        chain.add(f"carried{i}", "rescale", scale=-1, offset=1)
        chain.add(f"taken{i}", "multiply", (f"candidate{i}", f"gate{i}"))
        chain.add(f"kept{i}", "multiply", (f"x{i}", f"carried{i}")).add(f"x{i + 1}", "add", (f"taken{i}", f"kept{i}"))
    return chain.graph()


def limits(graph: Graph) -> tuple[Limits, dict[str, np.ndarray]]:
    weights = check_weights_of(graph)
    case = list(cases_of(graph))[2]
    every = graph.with_outputs(node.name for node in graph.nodes)
    expected = reference.evaluate(every, weights, case.inputs)
    return Limits(replace(case, graph=every), weights, expected), expected


def test_a_gate_that_reads_large_values_passes_its_rounding_on() -> None:
    found, _ = limits(gated())
    raised = found.of("taken0", DType.FLOAT32, 2e-5)
    assert 3e-5 < raised <= MOST[DType.FLOAT32]
    assert FORWARD_TOLERANCE[DType.FLOAT64] <= found.of("taken0", DType.FLOAT64, 1e-11) < 1e-11


def test_elements_move_one_by_one_and_all_together_so_that_a_mean_moves_too() -> None:
    share = UNITS * float(np.finfo(np.float32).eps)
    for twin in range(TWINS):
        by = moved({"w": np.ones(10_000)}, DType.FLOAT32, UNITS, twin)["w"].astype(np.float64) - 1
        assert abs(by.mean()) == pytest.approx(share, rel=0.1)
        assert np.ptp(by) == pytest.approx(2 * share, rel=0.1)


@pytest.mark.parametrize("dtype", DType)
def test_a_network_that_does_not_amplify_rounding_has_the_plain_tolerance(dtype: DType) -> None:
    found, expected = limits(towers())
    tolerated = FORWARD_TOLERANCE[dtype]
    for name in expected.keys() - {"prob"}:
        assert found.of(name, dtype, 1.5 * tolerated) == tolerated, name


def test_a_large_error_is_held_to_the_plain_tolerance() -> None:
    found, _ = limits(gated())
    assert found.of("taken0", DType.FLOAT32, 2 * MOST[DType.FLOAT32]) == FORWARD_TOLERANCE[DType.FLOAT32]
    assert found.of("taken0", DType.FLOAT32, float("inf")) == FORWARD_TOLERANCE[DType.FLOAT32]


def test_a_value_that_rounding_makes_nan_is_held_to_the_tolerance() -> None:
    """Its argument is a difference that is 0, but with other roundings may be negative."""
    chain = Chain("roots", x=(4,)).add("a", "dense", units=3, bias=False).add("b", "dense", "x", units=3, bias=False)
    graph = chain.add("zero", "subtract", ("a", "b")).add("root", "power", exponent=0.5).graph("root", "a")
    case = next(cases_of(graph))
    weights = dict.fromkeys(("a.weight", "b.weight"), check_weights_of(graph)["a.weight"])
    expected = reference.evaluate(graph, weights, case.inputs)
    assert not expected["root"].any()
    limit = Limits(case, weights, expected).of("root", DType.FLOAT32, 1e-4)
    assert limit == FORWARD_TOLERANCE[DType.FLOAT32]


@pytest.mark.parametrize("width", [16, 50])
def test_it_is_one_function_and_a_fault_in_it_is_found(width: int) -> None:
    graph = gated(width=width)
    verify(graph, [find_backend("torch"), find_backend("onnx")], "forward").require()
    fault = Fault("an offset of 1.01", Rescale, changed(offset=1.01))
    for name in ("torch", "onnx"):
        report = verify(graph, [FaultyBackend(find_backend(name), fault)], "forward")
        assert [(d.node, d.op) for d in report.divergences] == [("carried0", "rescale")]
