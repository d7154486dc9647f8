"""Trainers that are wrong in one method, and whether the suite for trainers detects it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from netspec.lowering import Backend
from netspec.testing.trainer_conformance import TrainerConformance
from tests.testing.numpy_trainer import NumPyTrainer

FIFTY_STEPS = "test_fifty_steps_through_two_rate_drops"

Planted = tuple[type[NumPyTrainer], str, tuple[Any, ...]]
"""A trainer, the test that must see what is wrong with it, and what that test is given."""


def catches(backend: Backend, test: str, *given: Any) -> bool:
    """Return whether a test of the suite fails for the backend."""
    suite = type("Suite", (TrainerConformance,), {"backend": backend})()
    try:
        getattr(suite, test)(*given)
    except (AssertionError, pytest.fail.Exception):
        return True
    return False


def planter(faults: list[Planted]) -> Callable[..., Callable[[Callable[..., Any]], Callable[..., Any]]]:
    """Return a decorator that adds to a list of faults.

    `@plant(method, test, *given)` decorates what takes the place of a sound trainer's method; this test, with what it
    is given, must see it.
    """

    def plant(method: str, test: str, *given: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            faults.append((type(function.__name__, (NumPyTrainer,), {method: function}), test, given))
            return function

        return register

    return plant
