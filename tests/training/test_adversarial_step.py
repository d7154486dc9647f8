"""A step of adversarial training, compared with the same step written by hand in PyTorch, in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from netspec.lowering import Batch, TrainerSettings, TrainingState, find_backend
from netspec.ops.base import Array
from netspec.ops.initializers import Uniform, UniformParameters
from netspec.spec import read_spec
from netspec.spec.pair import trainable_pair
from netspec.testing.trainer_cases import bits
from netspec.training.adversarial import (
    DISCRIMINATOR_PREFIX,
    AdversarialTrainer,
    divided,
    divided_state,
    joined,
    joined_state,
    noise_for,
    opponent_of,
)
from netspec.training.material import recipe_of
from netspec.types import DType
from netspec.weights import initialize
from tests.training.pair import write_pair

BACKENDS = ("torch", "keras")


def trainer_of(folder: Path, backend: str, *, exact: bool = False) -> AdversarialTrainer:
    """The trainer of the toy pair without dropout, in float64; with masks that are shared, of the whole pair."""
    path = write_pair(folder)
    if not exact:
        for each in folder.glob("*.yaml"):
            each.write_text("".join(line for line in each.open() if "dropout" not in line))
    spec = read_spec(path)
    graph, opponent = trainable_pair(spec).generator.astype(DType.FLOAT64), opponent_of(spec)
    assert opponent is not None
    opponent = type(opponent)(opponent.graph.astype(DType.FLOAT64), opponent.recipe)
    weights = joined(initialize(graph, 1), initialize(opponent.graph, 2))
    settings = TrainerSettings(recipe_of(spec), None, "cpu")
    return AdversarialTrainer(graph, opponent, weights, find_backend(backend), settings, exact=exact)


def real(samples: int, seed: int = 0) -> Batch:
    random = np.random.default_rng(seed)
    inputs = random.uniform(-1, 1, (samples, 1, 8, 8)).astype(np.float32)
    return Batch(inputs, np.zeros(samples, np.int64), np.arange(samples))


def by_hand(state: TrainingState, batches: list[Batch], keys: list[int]) -> tuple[list[float], dict[str, Array]]:
    """The losses of the generator, and the weights of both, after a step for each batch."""
    weights = {n: torch.tensor(a, dtype=torch.float64) for n, a in state.weights.items()}
    generator, discriminator = (
        {n: w.requires_grad_("running" not in n) for n, w in part.items()} for part in divided(weights)
    )

    def generate(z: torch.Tensor) -> torch.Tensor:
        g = generator
        x = torch.nn.functional.conv_transpose2d(z, g["project.weight"])
        x = normalized(x, g).relu()
        return torch.nn.functional.conv_transpose2d(x, g["conv.weight"], g["conv.bias"], stride=2, padding=1).tanh()

    def judge(x: torch.Tensor) -> torch.Tensor:
        d = discriminator
        leaky = torch.nn.LeakyReLU(0.2)
        x = leaky(torch.nn.functional.conv2d(x, d["conv1.weight"], d["conv1.bias"], stride=2, padding=1))
        x = leaky(normalized(torch.nn.functional.conv2d(x, d["conv2.weight"], padding=1), d))
        return x.flatten(1) @ d["logit.weight"].T + d["logit.bias"]

    def normalized(x: torch.Tensor, weights: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.nn.functional.batch_norm(x, None, None, weights["bn.weight"], weights["bn.bias"], training=True)

    adam = torch.optim.Adam([w for w in generator.values() if w.requires_grad], 1e-3, (0.5, 0.999))
    sgd = torch.optim.SGD([w for w in discriminator.values() if w.requires_grad], 0.01, 0.9)
    losses = []
    for batch, key in zip(batches, keys, strict=True):
        noise = recipe_noise(batch, key)
        fake = generate(noise)
        ones, zeros = torch.ones(len(fake), 1), torch.zeros(len(fake), 1)
        sgd.zero_grad()
        on_real, on_fake = judge(torch.tensor(batch.inputs).double()), judge(fake.detach())
        (bce(on_real, ones) + bce(on_fake, zeros)).backward()
        sgd.step()
        adam.zero_grad()
        loss = bce(judge(fake), ones)
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses, {n: w.detach().numpy() for n, w in joined(generator, discriminator).items()}


def bce(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    return binary_cross_entropy_with_logits(logits, truth.double())


def recipe_noise(batch: Batch, key: int) -> torch.Tensor:
    noise = Uniform(uniform=UniformParameters(low=-1.0, high=1.0))
    return torch.tensor(noise_for(noise, (6, 1, 1), batch.rows, key).astype(np.float64))


@pytest.mark.parametrize("backend", BACKENDS)
def test_steps_are_those_written_by_hand(tmp_path: Path, backend: str) -> None:
    trainer = trainer_of(tmp_path, backend)
    start, batches = trainer.export_state(), [real(6, 1), real(6, 2), real(5, 3)]
    losses, weights = by_hand(start, batches, [4, 5, 6])
    results = [trainer.step([b], 1e-3, len(b.labels), key) for b, key in zip(batches, (4, 5, 6), strict=True)]
    assert [result.loss for result in results] == pytest.approx(losses, rel=1e-12)
    after = trainer.export_state()
    trainer.close()
    assert after.updates == 3
    for name, array in after.weights.items():
        if "running" not in name:
            np.testing.assert_allclose(array, weights[name], rtol=1e-9, atol=1e-12, err_msg=name)
            assert not np.array_equal(array, start.weights[name]), name


@pytest.mark.parametrize("backend", BACKENDS)
def test_masks_that_are_shared_make_backends_agree(tmp_path: Path, backend: str) -> None:
    """With dropout in both networks, and a step of two batches of unequal sizes."""
    found = []
    for name in (backend, "torch"):
        trainer = trainer_of(tmp_path, name, exact=True)
        parts = [real(6).part(slice(0, 4)), real(6).part(slice(4, 6))]
        results = [trainer.step(parts, 1e-3, 6, key, keep_gradients=True) for key in range(3)]
        found.append((results[-1], trainer.export_state()))
        trainer.close()
    (result, state), (expected, other) = found
    assert result.loss == pytest.approx(expected.loss, rel=1e-10)
    assert result.wrong == expected.wrong
    assert result.gradients is not None
    assert list(result.gradients) == [name for name in state.weights if "running" not in name]
    for name, array in other.weights.items():
        np.testing.assert_allclose(state.weights[name], array, rtol=1e-8, atol=1e-12, err_msg=name)


def test_running_statistics_follow_each_network_s_own_step(tmp_path: Path) -> None:
    """The generator's follow one batch, the discriminator's two: the real samples, then the generated ones."""
    trainer = trainer_of(tmp_path, "torch")
    before = trainer.export_state().weights["bn.running_mean"]
    batch = real(6)
    noise = recipe_noise(batch, 3)
    weight = torch.tensor(trainer.export_state().weights["project.weight"])
    mean = torch.nn.functional.conv_transpose2d(noise, weight).mean((0, 2, 3)).numpy()
    trainer.step([batch], 1e-3, 6, 3)
    after = trainer.export_state().weights
    trainer.close()
    np.testing.assert_allclose(after["bn.running_mean"], 0.9 * before + 0.1 * mean, rtol=1e-10)
    assert np.abs(after[f"{DISCRIMINATOR_PREFIX}bn.running_mean"]).max() > 0


def test_a_state_of_two_networks_is_divided_as_it_was_joined() -> None:
    one = np.ones(1)
    generator = TrainingState({"fc.weight": one}, {"first_moment": {"fc.weight": 2 * one}}, 3)
    discriminator = TrainingState({"fc.weight": 4 * one}, {"velocity": {"fc.weight": 5 * one}}, 3)
    both = joined_state(generator, discriminator)
    assert list(both.weights) == ["fc.weight", "discriminator/fc.weight"]
    assert {slot: list(arrays) for slot, arrays in both.slots.items()} == {
        "first_moment": ["fc.weight"],
        "velocity": ["discriminator/fc.weight"],
    }
    assert divided_state(both) == (generator, discriminator)


def test_noise_depends_on_the_key_and_the_row_alone() -> None:
    noise = Uniform(uniform=UniformParameters(low=-1.0, high=1.0))
    whole = noise_for(noise, (2, 1, 1), np.arange(6), 7)
    np.testing.assert_array_equal(noise_for(noise, (2, 1, 1), np.array([4, 1]), 7), whole[[4, 1]])
    assert not np.array_equal(noise_for(noise, (2, 1, 1), np.arange(6), 8), whole)
    assert noise_for(noise, (2, 1, 1), np.arange(0), 7).shape == (0, 2, 1, 1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_loss_that_is_not_finite_changes_nothing(tmp_path: Path, backend: str) -> None:
    trainer = trainer_of(tmp_path, backend)
    before, batch = trainer.export_state(), real(4)
    batch.inputs[1] = np.nan
    assert not np.isfinite(trainer.step([batch], 1e-3, 4, 0).loss)
    assert bits(trainer.export_state()) == bits(before)
    trainer.close()
