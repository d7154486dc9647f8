"""The suite for trainers passes for a correct one without a framework, and each of its tests can fail."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from netspec.lowering.trainer import Precision
from netspec.testing.trainer_conformance import TrainerConformance
from tests.testing import wrong_derivatives, wrong_losses, wrong_maps, wrong_mixing, wrong_states
from tests.testing.numpy_trainer import NumPyBackend, NumPyTrainer
from tests.testing.planting import FIFTY_STEPS, Planted, catches

FAULTS: list[Planted] = [
    *wrong_losses.FAULTS,
    *wrong_mixing.FAULTS,
    *wrong_maps.FAULTS,
    *wrong_derivatives.FAULTS,
    *wrong_states.FAULTS,
]


class TestNumPyTrainer(TrainerConformance):
    backend = NumPyBackend()
    precisions: ClassVar[frozenset[Precision]] = frozenset({"float32"})


@pytest.mark.parametrize(("trainer", "test", "given"), FAULTS, ids=[trainer.__name__ for trainer, *_ in FAULTS])
def test_a_wrong_trainer_is_caught(trainer: type[NumPyTrainer], test: str, given: tuple[Any, ...]) -> None:
    assert catches(NumPyBackend(trainer), test, *given)


def test_every_test_of_the_suite_has_caught_something() -> None:
    tests = {name for name in dir(TrainerConformance) if name.startswith("test_")}
    assert {test for _, test, _ in FAULTS} | {FIFTY_STEPS} == tests
