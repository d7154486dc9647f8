"""The comparison of training: what it trains, what it compares, and its errors."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from netspec.errors import BackendError, NetspecError, VerificationError
from netspec.graph import Graph
from netspec.lowering import TrainingState, find_backend
from netspec.recipe import Recipe
from netspec.testing.faults import FAULTS, FaultyBackend
from netspec.testing.networks import Chain, branches, towers
from netspec.training.update import update
from netspec.types import DType
from netspec.verify import compare, verify
from netspec.verify.cases import check_weights_of
from netspec.verify.compare import STATE_TOLERANCE, Gap
from netspec.verify.training import compare_training, lockstep
from netspec.verify.training.case import PAPER, STEPS, TrainingCase, check_recipes, measured
from netspec.verify.training.state import THE_LOSS, Subject, loss_error, shares, state_gaps, update_gaps
from tests.verify.faulty_trainers import TrainingFault, WrongTraining, at_one_rate, dampened

TORCH, KERAS, ONNX = (find_backend(name) for name in ("torch", "keras", "onnx"))


def features(classes: int = 3) -> Graph:
    return (
        Chain("flat", x=(5,)).add("fc1", "dense", units=4).add("act", "tanh").add("fc2", "dense", units=classes).graph()
    )


def recipe(**fields: Any) -> Recipe:
    optimizer = {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9}
    return Recipe.model_validate({"batch_size": 128, "epochs": 1, "optimizer": optimizer} | fields)


def state(**weights: list[float]) -> TrainingState:
    arrays = {name: np.array(values) for name, values in weights.items()}
    return TrainingState(arrays, {"velocity": {name: array * 2 for name, array in arrays.items()}})


def test_two_backends_train_as_one_by_the_paper_and_by_the_recipe() -> None:
    chain = Chain("meeting", image=(3, 7, 6)).add("conv", "conv2d", filters=4, kernel_size=3)
    chain.add("relu", "relu").add("norm", "batch_norm").add("pool", "max_pool2d", kernel_size=2)
    chain.add("path", "stochastic_depth", rate=0.3).add("flat", "flatten").add("drop", "dropout", rate=0.4)
    chain.add("whole", "stochastic_depth", rate=0.2, mode="batch").add("fc", "dense", units=5)
    own = recipe(
        optimizer={"name": "adamw", "learning_rate": 1e-3, "weight_decay": 0.01},
        loss={"name": "softmax_cross_entropy", "label_smoothing": 0.1},
        clip_gradient_norm=1.0,
        accumulate=4,
        augmentation={"mixup": {"alpha": 0.8}, "cutmix": {}},
    )
    graph = chain.graph()
    proof = compare_training(graph, [TORCH, KERAS], check_weights_of(graph), own)
    assert all(c.passed for c in proof.comparisons)
    assert not proof.divergences
    assert {(c.backend, c.against, c.dtype) for c in proof.comparisons} == {
        ("torch", "NumPy", DType.FLOAT64),
        ("keras", "NumPy", DType.FLOAT64),
        ("keras", "torch", DType.FLOAT64),
        ("keras", "torch", DType.FLOAT32),
    }
    assert {c.case for c in proof.comparisons} == {"20 steps of sgd, 4 × 3x7x6", "20 steps of adamw, 2 × 4 × 3x7x6"}
    assert {c.tolerance for c in proof.comparisons} == {1e-9, 1e-10, 1e-4}


def test_each_backend_reads_the_curvature_at_its_own_weights() -> None:
    """It is estimated before the first step, and again on the way; a trainer that does not read it is found at once."""
    rule = recipe(optimizer={"name": "diagonal_levenberg_marquardt", "learning_rate": 0.01, "samples": 6})
    graph = features(4)
    weights = check_weights_of(graph)
    proof = compare_training(graph, [TORCH, KERAS], weights, rule)
    assert all(c.passed for c in proof.comparisons)
    case = measured(TrainingCase(graph, weights, check_recipes(rule)[-1]), TORCH).in_dtype(DType.FLOAT64)
    state = TrainingState({name: array.astype(np.float64) for name, array in weights.items()})
    first, again = (case.with_curvature(state, step).slots["curvature"] for step in (0, 5))
    assert all((first[name] != again[name]).any() for name in first)
    wrong = WrongTraining(TORCH, TrainingFault("one rate", update=at_one_rate))
    found = compare_training(graph, [TORCH, wrong], weights, rule).divergences
    assert {(d.against, d.step) for d in found} == {("NumPy", 1)}
    with_norm = Chain("norm", x=(5,)).add("norm", "batch_norm").add("fc", "dense", units=3).graph()
    with pytest.raises(NetspecError, match=r"not defined through norm \(batch_norm\)\nhint: .*--level gradient"):
        verify(with_norm, [TORCH], "training", recipe=rule)


def test_levels_nest_and_omitted_comparisons_are_noted() -> None:
    graph = features().with_outputs(["fc2"])
    report = verify(graph, [TORCH, WrongTraining(TORCH, TrainingFault("nothing")), ONNX], "training").require()
    assert {c.level for c in report.comparisons} == {"forward", "gradient", "training"}
    assert "the training of onnx is not compared: it has none in float64" in report.notes
    assert any(note.startswith("training: sgd: learning_rate") for note in report.notes)
    assert not any(c.level == "training" for c in verify(graph, [TORCH]).comparisons)  # only on request


@pytest.mark.parametrize("graph", [features(), towers()], ids=lambda graph: graph.name)
def test_every_weight_moves_far_more_than_what_is_tolerated(graph: Graph) -> None:
    weights = check_weights_of(graph)
    trained = graph.with_outputs(["fc2"])
    case = measured(TrainingCase(trained, weights, PAPER), TORCH)
    trainer = TORCH.trainer(trained, weights, case.settings)
    losses = [trainer.step(case.batches(s), case.rate(s), case.total(s), s).loss for s in range(STEPS)]
    assert np.isfinite(losses).all()
    end = trainer.export_state().weights
    moved = {name: np.abs(end[name] - start).max() / np.abs(start).max() for name, start in weights.items()}
    assert min(moved.values()) > 1e3 * STATE_TOLERANCE
    assert max(moved.values()) < 0.5


def test_the_steps_cover_partial_batches_and_a_drop_of_the_rate() -> None:
    case = TrainingCase(towers().with_outputs(["fc2"]), {}, PAPER)
    assert [case.total(step) for step in range(10)] == [4, 4, 4, 4, 3] * 2
    assert [case.rate(step) for step in (0, 9, 10, 19)] == pytest.approx([1, 1, 0.1, 0.1])
    (batch,) = case.batches(4)
    assert batch.inputs.shape == (3, 23, 19, 3)
    assert batch.inputs.dtype == np.uint8
    assert batch.shifts is not None
    assert set(batch.masks or {}) == {"drop"}
    two = TrainingCase(features(), {}, PAPER.model_copy(update={"accumulate": 2}))
    assert [b.inputs.shape for b in two.batches(4)] == [(4, 5), (3, 5)]
    assert np.concatenate([b.rows for b in two.batches(4)]).tolist() == list(range(7))
    assert two.normalization is None


def test_a_recipe_is_compared_if_its_rule_differs() -> None:
    assert check_recipes(None) == [PAPER]
    assert check_recipes(recipe(schedule={"name": "cosine"})) == [PAPER]  # the rate and its course are the check's
    own = recipe(
        optimizer={"name": "adamw", "learning_rate": 1e-3}, overrides={"fc.*": {"lr_scale": 0.1}}, accumulate=8
    )
    _, rule = check_recipes(own)
    assert (rule.optimizer.name, rule.accumulate, rule.overrides) == ("adamw", 2, own.overrides)
    assert rule.optimizer.weight_decay == 1.0
    assert (rule.steps, rule.last_batch, rule.schedule) == (PAPER.steps, PAPER.last_batch, PAPER.schedule)


def test_samples_are_mixed_as_the_recipe_has_them() -> None:
    """By the code that mixes the samples of a run: across batches, with noise in pixels; features only by value."""
    own = recipe(augmentation={"mixup": {"alpha": 0.8}, "cutmix": {}, "horizontal_flip": True}, accumulate=2)
    paper, rule = check_recipes(own)
    assert (paper, rule.augmentation) == (PAPER.model_copy(update={"loss": own.loss}), own.augmentation.mixing)
    graph = towers().with_outputs(["fc2"])
    plain, mixed = (
        TrainingCase(graph, {}, rule.model_copy(update={"augmentation": a}))
        for a in (PAPER.augmentation, rule.augmentation)
    )
    assert "mixup: alpha 0.8; cutmix: alpha 1.0" in mixed.rule
    for before, after in zip(plain.batches(4), mixed.batches(4), strict=True):
        assert (after.inputs.dtype, after.inputs.shape, after.shifts) == (np.float32, before.inputs.shape, None)
        assert after.shares is not None
        assert (after.shares < 1).any()
        np.testing.assert_array_equal(after.rows, before.rows)
        assert set(after.masks or {}) == set(before.masks or {})
    values = TrainingCase(features(), {}, rule)
    (first, _), (before, _) = (replace(values, recipe=r).batches(0) for r in (rule, plain.recipe))
    assert first.shares is not None
    np.testing.assert_array_equal(first.inputs[first.shares == 1], before.inputs[first.shares == 1])
    assert (first.inputs[first.shares < 1] != before.inputs[first.shares < 1]).any(axis=1).all()


def test_one_backend_is_compared_with_numpy_only() -> None:
    graph = features()
    proof = compare_training(graph, [TORCH], check_weights_of(graph))
    assert [(c.backend, c.against, c.passed) for c in proof.comparisons] == [("torch", "NumPy", True)]
    assert any("the only one here that trains in float64" in note for note in proof.notes)
    (found,) = compare_training(
        graph, [WrongTraining(TORCH, TrainingFault("a fault", update=dampened))], check_weights_of(graph)
    ).divergences
    assert found.step == 1


def test_what_cannot_be_trained_is_an_error_before_anything_is_compared() -> None:
    messages: list[str] = []
    with pytest.raises(BackendError, match="backends that train in float64, received onnx"):
        verify(features(), [ONNX], "training", progress=messages.append)
    with pytest.raises(NetspecError, match="one output, and this one has 3"):
        verify(branches(), [TORCH], "training", progress=messages.append)
    assert not messages


def test_networks_that_differ_are_not_trained() -> None:
    faulty = FaultyBackend(TORCH, next(fault for fault in FAULTS if fault.name == "missing dense bias"))
    report = verify(features(), [TORCH, faulty], "training")
    assert not report.passed
    assert "training is not compared: the networks differ before it begins" in report.notes
    assert not any(c.level == "training" for c in report.comparisons)


def test_a_failure_names_step_weight_and_the_usual_cause() -> None:
    wrong = WrongTraining(TORCH, TrainingFault("a fault", update=dampened))
    report = verify(features(), [TORCH, wrong], "training")
    assert not report.nodes  # the function is one
    with pytest.raises(VerificationError) as error:
        report.require()
    assert "first differs from NumPy after step 1 in the velocity of" in error.value.message
    assert "likely: momentum" in error.value.message


def test_a_training_in_which_nothing_moves_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = features()
    weights = check_weights_of(graph)
    with pytest.raises(VerificationError, match="the loss is 0 and has no gradient to follow"):
        compare_training(features(classes=1), [TORCH], check_weights_of(features(classes=1)))
    with pytest.raises(VerificationError, match="the loss is nan"):
        compare_training(graph, [TORCH], weights | {"fc2.bias": weights["fc2.bias"] * np.float32(np.inf)})
    frozen = recipe(overrides={"fc1.*": {"lr_scale": 0.0}})
    assert not any("hardly moves" in note for note in compare_training(graph, [TORCH], weights, frozen).notes)
    monkeypatch.setattr(lockstep, "MOVED", 1.0)
    with pytest.raises(VerificationError, match="no weight moved by 1e"):
        compare_training(graph, [TORCH], weights)


def test_a_weight_without_a_derivative_is_noted_and_is_no_divergence() -> None:
    chain = Chain("zero", image=(3, 5, 5)).add("conv", "conv2d", filters=3, kernel_size=3).add("norm", "batch_norm")
    graph = chain.add("flat", "flatten").add("fc", "dense", units=4).graph()
    # Another order of summation gives another rounding noise, and all that the bias before the norm gets is noise.
    twin = WrongTraining(TORCH, TrainingFault("other noise", update=with_noise))
    proof = compare_training(graph, [TORCH, twin], check_weights_of(graph))
    assert not proof.divergences
    assert "sgd hardly moves conv.bias, so little is proved of it" in proof.notes


def with_noise(rule: Recipe, before: TrainingState, gradients: dict[str, Any], rate: float) -> TrainingState:
    scale = 1e-15 * max(float(np.abs(g).max()) for g in gradients.values())
    random = np.random.default_rng(before.updates)
    return update(rule, before, {n: g + scale * random.standard_normal(g.shape) for n, g in gradients.items()}, rate)


def test_logits_that_leave_nothing_to_learn_from_a_lucky_label() -> None:
    graph = features(classes=2)
    weights = check_weights_of(graph)
    weights["fc2.weight"] = weights["fc2.weight"] * np.float32(50)  # a loss of 1e-20 or of 50
    proof = compare_training(graph, [TORCH, WrongTraining(TORCH, TrainingFault("nothing"))], weights)
    assert proof.comparisons
    assert all(c.passed for c in proof.comparisons)


def test_the_update_a_block_at_a_time_is_the_update(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "BLOCK", 3)
    rule = PAPER.model_copy(update={"clip_gradient_norm": 0.5})
    random = np.random.default_rng(0)
    before = TrainingState({"a.weight": random.normal(size=(4, 5)), "a.bias": random.normal(size=7)})
    gradients = {name: random.normal(size=array.shape) for name, array in before.weights.items()}
    once = update(rule, before, gradients, 0.1)
    twice = update(rule, once, gradients, 0.1)
    assert {gap.difference for gap in update_gaps(rule, once, gradients, 0.1, twice).values()} == {0.0}
    assert set(update_gaps(rule, once, gradients, 0.1, twice)) == {
        Subject(name, slot) for name in before.weights for slot in ("", "velocity")
    }
    twice.slots["velocity"]["a.bias"][6] += 0.25
    errors = shares(update_gaps(rule, once, gradients, 0.1, twice))
    assert max(errors, key=lambda subject: errors[subject]) == Subject("a.bias", "velocity")
    assert errors[Subject("a.weight", "velocity")] == 0


def test_states_are_compared_whole() -> None:
    assert set(shares(state_gaps(state(w=[1.0, 2.0]), state(w=[1.0, 2.0]))).values()) == {0.0}
    assert shares(state_gaps(state(w=[1.0, 2.5]), state(w=[1.0, 2.0])))[Subject("w")] == 0.25
    for odd in (state(w=[1.0]), state(v=[1.0, 2.0]), state(w=[1.0, np.nan])):
        assert shares(state_gaps(odd, state(w=[1.0, 2.0])))[Subject("w", "velocity")] == np.inf
    single = TrainingState({"w": np.array([1.0, 2.0], np.float32)})
    assert shares(state_gaps(single, state(w=[1.0, 2.0])))[Subject("w")] == np.inf


def test_tiny_values_are_measured_by_the_largest_of_their_kind() -> None:
    gaps = {Subject("a"): Gap(0.0, 2.0), Subject("b"): Gap(1e-12, 1e-12), Subject("b", "velocity"): Gap(1e-12, 1e-12)}
    found = shares(gaps)
    assert found[Subject("b")] == pytest.approx(1e-12 / 2e-3)
    assert found[Subject("b", "velocity")] == 1.0
    assert Gap(0.5, 0.0).share() == 0.5
    assert Gap(np.inf, np.inf).share() == np.inf


def test_a_loss_is_measured_by_itself_or_by_a_guess() -> None:
    assert loss_error(2.0, 4.0, 10) == 0.5
    assert loss_error(1e-20, 0.0, 10) < 1e-19
    assert loss_error(np.nan, np.nan, 10) == np.inf
    assert str(THE_LOSS) == "the loss"
