"""The update rules in NumPy, compared with their definitions for one number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from netspec.lowering import TrainingState
from netspec.recipe import Recipe
from netspec.training.update import slot_names, update

RATES = [0.1, 0.1, 0.01, 0.01, 0.0, 0.05]
GRADIENTS = [0.5, -1.0, 0.25, 2.0, 1.0, -0.5]


def recipe(optimizer: dict[str, Any], **fields: Any) -> Recipe:
    return Recipe.model_validate({"batch_size": 4, "epochs": 1, "optimizer": optimizer} | fields)


def run(rule: Recipe, name: str = "fc.weight", start: float = 2.0) -> list[float]:
    state, path = TrainingState({name: np.array([start])}), []
    for gradient, rate in zip(GRADIENTS, RATES, strict=True):
        state = update(rule, state, {name: np.array([gradient])}, rate)
        path.append(float(state.weights[name][0]))
    assert set(state.slots) == set(slot_names(rule))
    assert state.updates == len(RATES)
    return path


@pytest.mark.parametrize("nesterov", [False, True])
def test_paper_form_has_the_rate_inside_the_velocity(nesterov: bool) -> None:
    optimizer = {"name": "sgd", "learning_rate": 1.0, "momentum": 0.9, "weight_decay": 0.1, "nesterov": nesterov}
    w, v, path = 2.0, 0.0, []
    for g, eta in zip(GRADIENTS, RATES, strict=True):
        step = eta * (g + 0.1 * w)
        v = 0.9 * v - step
        w += 0.9 * v - step if nesterov else v
        path.append(w)
    assert run(recipe(optimizer)) == pytest.approx(path, rel=1e-14)


@pytest.mark.parametrize("nesterov", [False, True])
def test_torch_form_has_it_outside(nesterov: bool) -> None:
    optimizer = {"name": "sgd", "learning_rate": 1.0, "momentum": 0.9, "form": "torch", "nesterov": nesterov}
    w, b, path = 2.0, 0.0, []
    for g, eta in zip(GRADIENTS, RATES, strict=True):
        b = 0.9 * b + g
        w -= eta * (g + 0.9 * b if nesterov else b)
        path.append(w)
    found = run(recipe(optimizer))
    assert found == pytest.approx(path, rel=1e-14)
    paper = run(recipe(optimizer | {"form": "paper"}))
    assert found[:2] == pytest.approx(paper[:2])  # one while the rate stays
    assert abs(found[2] - paper[2]) > 0.03


@pytest.mark.parametrize("decay", [0.999, 0.25])
def test_an_average_follows_what_is_trained(decay: float) -> None:
    optimizer = {"name": "sgd", "learning_rate": 1.0, "momentum": 0.9}
    trained = run(recipe(optimizer))
    a, path = 2.0, []
    for t, w in enumerate(trained, start=1):
        d = min(decay, (1 + t) / (10 + t))
        a = d * a + (1 - d) * w
        path.append(a)
    found = recipe(optimizer, weight_average={"decay": decay})
    assert run(found) == pytest.approx(path, rel=1e-14)
    assert slot_names(found) == ("velocity", "iterate")


@pytest.mark.parametrize("start", [0, 1, 4, 100])
def test_a_uniform_average_is_the_mean_from_its_start(start: int) -> None:
    optimizer = {"name": "sgd", "learning_rate": 1.0, "momentum": 0.9}
    iterates = [2.0, *run(recipe(optimizer))]
    path = [np.mean(iterates[min(start, t) : t + 1]) for t in range(1, len(iterates))]
    found = run(recipe(optimizer, weight_average={"form": "uniform", "start": start}))
    assert found == pytest.approx(path, rel=1e-14)


def test_an_exponential_average_begins_at_its_start() -> None:
    average = Recipe.model_validate(
        {"batch_size": 4, "epochs": 1, "optimizer": {"name": "sgd", "learning_rate": 1.0}}
        | {"weight_average": {"decay": 0.5, "start": 3}}
    ).weight_average
    assert average is not None
    assert [average.share(t) for t in (1, 3, 4, 5, 50)] == pytest.approx([1, 1, 9 / 11, 9 / 12, 0.5])


@pytest.mark.parametrize(
    ("wrong", "message"), [({}, "expected the `decay`"), ({"form": "uniform", "decay": 0.9}, "has no `decay`")]
)
def test_an_average_without_its_decay_or_with_one_too_many(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        recipe({"name": "sgd", "learning_rate": 1.0}, weight_average=wrong)


def test_what_is_trained_of_a_state() -> None:
    state = TrainingState({"a": np.ones(1), "b": np.ones(1)}, {"iterate": {"a": np.zeros(1)}})
    assert {name: float(w[0]) for name, w in state.trained.items()} == {"a": 0.0, "b": 1.0}


def test_adam_and_adamw() -> None:
    for decoupled in (False, True):
        optimizer = {
            "name": "adamw" if decoupled else "adam",
            "learning_rate": 1.0,
            "weight_decay": 0.1,
            "epsilon": 0.1,
        }
        w, m, s, path = 2.0, 0.0, 0.0, []
        for t, (g, eta) in enumerate(zip(GRADIENTS, RATES, strict=True), 1):
            if decoupled:
                w -= eta * 0.1 * w
            else:
                g += 0.1 * w  # noqa: PLW2901 # as the rule is written
            m = 0.9 * m + 0.1 * g
            s = 0.999 * s + 0.001 * g * g
            w -= eta * (m / (1 - 0.9**t)) / ((s / (1 - 0.999**t)) ** 0.5 + 0.1)
            path.append(w)
        assert run(recipe(optimizer)) == pytest.approx(path, rel=1e-13)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("form", ["torch", "tensorflow"])
def test_rmsprop_has_its_epsilon_where_its_form_says(form: str, momentum: float) -> None:
    optimizer = {"name": "rmsprop", "learning_rate": 1.0, "rho": 0.8, "epsilon": 0.3, "weight_decay": 0.1}
    w, s, v, path = 2.0, 0.0, 0.0, []
    for gradient, eta in zip(GRADIENTS, RATES, strict=True):
        g = gradient + 0.1 * w
        s = 0.8 * s + 0.2 * g * g
        if form == "tensorflow":
            v = momentum * v + eta * g / (s + 0.3) ** 0.5
            w -= v
        else:
            v = momentum * v + g / (s**0.5 + 0.3)
            w -= eta * v
        path.append(w)
    assert run(recipe(optimizer | {"form": form, "momentum": momentum})) == pytest.approx(path, rel=1e-13)


def test_overrides_scale_the_rate_and_the_decay_of_what_they_name() -> None:
    optimizer = {"name": "sgd", "learning_rate": 1.0, "weight_decay": 0.1}
    overrides = {"*": {"lr_scale": 5.0}, "*.bias": {"lr_scale": 2.0, "decay_scale": 0.0}}
    w = 2.0
    path = [w := w - 2 * eta * g for g, eta in zip(GRADIENTS, RATES, strict=True)]
    assert run(recipe(optimizer, overrides=overrides), "fc.bias") == pytest.approx(path)
    w = 2.0
    path = [w := w - 5 * eta * (g + 0.1 * w) for g, eta in zip(GRADIENTS, RATES, strict=True)]
    assert run(recipe(optimizer, overrides=overrides)) == pytest.approx(path)


def test_a_limit_scales_down_the_filters_above_it_after_the_update_and_before_the_average() -> None:
    rule = recipe(
        {"name": "sgd", "learning_rate": 1.0}, overrides={"a": {"max_rms": 0.5}}, weight_average={"decay": 0.9}
    )
    weights = {"a": np.array([[0.3, 0.4], [3.0, -4.0]]), "b": np.array([9.0])}
    found = update(rule, TrainingState(weights), {"a": np.full((2, 2), -0.1), "b": np.zeros(1)}, 1.0)
    large = np.array([3.1, -3.9])
    expected = np.array([[0.4, 0.5], large * 0.5 / np.sqrt(np.mean(large**2))])
    np.testing.assert_allclose(found.slots["iterate"]["a"], expected, rtol=1e-14)
    share = 1 - 2 / 11
    np.testing.assert_allclose(found.weights["a"], weights["a"] + share * (expected - weights["a"]), rtol=1e-14)
    assert found.weights["b"] == 9.0


def test_clipping_looks_at_all_gradients_at_once_and_comes_before_decay() -> None:
    rule = recipe({"name": "sgd", "learning_rate": 1.0, "weight_decay": 0.5}, clip_gradient_norm=1.0)
    state = TrainingState({"a": np.array([1.0]), "b": np.array([1.0])})
    found = update(rule, state, {"a": np.array([3.0]), "b": np.array([4.0])}, 0.1).weights
    assert found["a"] == pytest.approx(1 - 0.1 * (0.6 + 0.5))
    assert found["b"] == pytest.approx(1 - 0.1 * (0.8 + 0.5))
    small = update(rule, state, {"a": np.array([0.3]), "b": np.array([0.4])}, 0.1).weights
    assert small["a"] == pytest.approx(1 - 0.1 * (0.3 + 0.5))


def test_running_statistics_stay() -> None:
    state = TrainingState({"n.weight": np.ones(2), "n.running_mean": np.ones(2)})
    found = update(recipe({"name": "sgd", "learning_rate": 1.0}), state, {"n.weight": np.ones(2)}, 0.5)
    assert found.weights["n.running_mean"].tolist() == [1, 1]
    assert found.weights["n.weight"].tolist() == [0.5, 0.5]
    assert state.weights["n.weight"].tolist() == [1, 1]  # the state before is left as it was
