import pytest

from netspec.lowering import Backend, find_backend
from netspec.ops import Conv2d
from netspec.testing.cases import sample_cases
from netspec.testing.changes import changed
from netspec.testing.checks import check_forward, check_training
from netspec.testing.faults import FAULTS, Fault, FaultyBackend, catches, plant
from netspec.testing.networks import towers
from netspec.types import DType

TRAINING_ONLY = {
    "biased for unbiased",
    "unbiased for biased",
    "momentum the other way",
    "elements dropped one by one",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("name", ["torch", "onnx"])
def test_the_suite_catches(name: str, fault: Fault) -> None:
    backend = find_backend(name)
    assert catches(backend, fault) == (backend.trains or fault.name not in TRAINING_ONLY)


def test_the_wrapper_is_sound_without_a_fault() -> None:
    # Otherwise what is caught above might be the wrapper.
    for fault in FAULTS:
        harmless = FaultyBackend(find_backend("torch"), Fault("nothing", fault.op))
        for case in sample_cases(fault.op):
            check_forward(harmless, case, DType.FLOAT64)
            check_training(harmless, case)


def test_a_fault_changes_only_nodes_of_its_op() -> None:
    graph = towers()
    planted = plant(graph, Fault("no bias", Conv2d, changed(bias=False)))
    differ = [before.name for before, after in zip(graph.nodes, planted.nodes, strict=True) if before.op != after.op]
    assert differ == [node.name for node in graph.nodes if isinstance(node.op, Conv2d)] != []


def test_there_are_at_least_twelve() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 12


def test_faults_are_of_real_backends() -> None:
    assert isinstance(FaultyBackend(find_backend("torch"), FAULTS[0]), Backend)
