"""A run that moves from towers to one device, to more towers, to Keras and back equals one that stays.

Twenty steps in float64 by every rule of the language, with averages of the weights, accumulated and clipped gradients,
batch statistics and dropout; what is handed over are checkpoints, files as `netspec train` writes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netspec.lowering import Backend, Trainer, TrainingState, find_backend
from netspec.recipe import Recipe
from netspec.training.checkpoint import Position, Run, load_checkpoint, save_checkpoint
from netspec.types import DType
from netspec.verify.cases import check_weights_of
from netspec.verify.towers.backend import InTowers
from netspec.verify.training.case import STEPS, TrainingCase, check_recipes, measured
from netspec.verify.training.state import shares, state_gaps
from tests.backends.torch.tower_process import every_crossing
from tests.forked import fork_towers

TORCH, KERAS = find_backend("torch"), find_backend("keras")
TOLERANCE = 1e-10
SGD = {"name": "sgd", "momentum": 0.9}
RULES: dict[str, dict[str, Any]] = {
    "sgd": {"optimizer": SGD, "clip_gradient_norm": 1.0},
    "nesterov": {
        "optimizer": SGD | {"form": "torch", "nesterov": True},
        "weight_average": {"form": "uniform"},
        "accumulate": 2,
    },
    "adam": {"optimizer": {"name": "adam"}, "accumulate": 2, "clip_gradient_norm": 1.0},
    "adamw": {"optimizer": {"name": "adamw"}, "weight_average": {"decay": 0.7, "start": 3}},
    "rmsprop": {
        "optimizer": {"name": "rmsprop", "momentum": 0.9},
        "weight_average": {"decay": 0.9},
        "clip_gradient_norm": 1.0,
    },
}


@pytest.fixture(scope="module")
def places() -> Iterator[list[Backend]]:
    """The trainers of a run, for four steps each: two towers, one device, four towers, Keras, and two towers again."""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        fork_towers(patch)
        two, four = (stack.enter_context(InTowers(TORCH, towers)) for towers in (2, 4))
        yield [two, TORCH, four, KERAS, two]


def case_of(rule: dict[str, Any]) -> TrainingCase:
    optimizer = rule["optimizer"] | {"learning_rate": 1.0}
    recipe = Recipe.model_validate({"batch_size": 4, "steps": STEPS, **rule, "optimizer": optimizer})
    graph = every_crossing()
    case = TrainingCase(graph, check_weights_of(graph), check_recipes(recipe)[-1])
    return measured(case.in_dtype(DType.FLOAT64), TORCH)


def trained(case: TrainingCase, trainer: Trainer, steps: range) -> list[float]:
    return [trainer.step(case.batches(step), case.rate(step), case.total(step), step).loss for step in steps]


@pytest.mark.parametrize("rule", RULES)
def test_a_run_that_moves_is_the_run_that_stays(places: list[Backend], rule: str, tmp_path: Path) -> None:
    case = case_of(RULES[rule])
    stays = TORCH.trainer(case.graph, case.weights, case.settings)
    losses = trained(case, stays, range(STEPS))
    run, path = Run(case.recipe.model_dump(mode="json"), "random", exact=True), tmp_path / "last.safetensors"
    length, found = STEPS // len(places), list[float]()
    state = TrainingState(dict(case.weights))
    for number, place in enumerate(places):
        trainer = place.trainer(case.graph, state.weights, case.settings)
        if number:
            trainer.import_state(state)
        found += trained(case, trainer, range(number * length, (number + 1) * length))
        save_checkpoint(path, case.graph, trainer.export_state(), Position(len(found)), run)
        state, position, _ = load_checkpoint(path, case.graph, case.recipe)
        assert position.step == len(found)
        trainer.close()
    np.testing.assert_allclose(found, losses, rtol=TOLERANCE)
    assert losses[-1] < losses[0]
    gaps = state_gaps(state, stays.export_state())
    errors = shares(gaps)
    assert {str(subject): error for subject, error in errors.items() if not error <= TOLERANCE} == {}
    kept = ("", *case.recipe.optimizer.slots, *(["iterate"] if case.recipe.weight_average else []))
    assert {slot for _, slot in gaps} == set(kept)
