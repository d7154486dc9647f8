"""The estimate of second derivatives: against the loss itself, in parts, and in runs."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netspec.errors import NetspecError
from netspec.graph import Graph, Head, make_node
from netspec.graph.training import training_graph
from netspec.lowering import Batch, TrainingState
from netspec.lowering.batch import UNLABELLED
from netspec.ops import Dense
from netspec.ops.base import Array
from netspec.recipe import Recipe
from netspec.reference import evaluate
from netspec.testing.networks import Chain
from netspec.training import curvature
from netspec.training.curvature import curvatures, first_samples, rates, with_curvature
from netspec.training.data.batches import StepBatch
from netspec.training.update import update
from tests.training import towers
from tests.training.conftest import SPEC, Recorder, Run, arrays

RULE = {"name": "diagonal_levenberg_marquardt", "learning_rate": 0.1, "damping": 0.5, "samples": 20}
RECIPE = Recipe.model_validate({"batch_size": 4, "epochs": 1, "optimizer": RULE})


def batch_of(samples: int, classes: int, features: tuple[int, ...] = (5,), first: int = 0) -> Batch:
    random = np.random.default_rng(samples)
    x = random.standard_normal((samples, *features)).astype(np.float32)
    return Batch(x, random.integers(0, classes, samples), np.arange(first, first + samples))


def drawn(graph: Graph) -> dict[str, Array]:
    random = np.random.default_rng(1)
    return {name: random.standard_normal(weight.shape) for name, weight in graph.weights.items()}


def loss_of(graph: Graph, weights: dict[str, Array], batch: Batch) -> float:
    """The mean loss, over labelled pixels if labels are maps."""
    logits = evaluate(graph, weights, {graph.inputs[0].name: batch.inputs})[graph.outputs[0]]
    losses = np.logaddexp.reduce(logits, axis=1) - np.take_along_axis(
        logits, np.maximum(batch.labels, 0)[:, None], axis=1
    ).squeeze(1)
    if batch.labels.ndim == 1:
        return float(losses.mean())
    known = batch.labels != UNLABELLED
    weighted = losses * known * (1.0 if batch.weights is None else batch.weights)
    return float((weighted.sum(axis=(1, 2)) / np.maximum(known.sum(axis=(1, 2)), 1)).mean())


def second_derivatives(graph: Graph, weights: dict[str, Array], batch: Batch, step: float = 1e-3) -> dict[str, Array]:
    found = {name: np.empty(array.shape) for name, array in weights.items()}
    middle = loss_of(graph, weights, batch)
    for name, array in weights.items():
        for index in np.ndindex(array.shape):
            move = np.zeros(array.shape)
            move[index] = step
            ahead, behind = (loss_of(graph, weights | {name: array + sign * move}, batch) for sign in (1, -1))
            found[name][index] = (ahead - 2 * middle + behind) / step**2
    return found


@pytest.mark.parametrize("constant", [None, -0.5])
def test_of_a_layer_under_softmax_it_is_the_second_derivative_itself(constant: float | None) -> None:
    graph = training_graph(Chain("one", x=(5,)).add("fc", "dense", units=3).graph(), constant)
    weights, batch = drawn(graph), batch_of(7, 3)
    expected = second_derivatives(graph, weights, batch)
    for name, found in curvatures(graph, weights, [batch], None, [1.0]).items():
        np.testing.assert_allclose(found, expected[name], rtol=1e-5, atol=1e-7)


def test_of_a_map_it_is_that_of_its_weighed_and_labelled_pixels() -> None:
    graph = training_graph(Chain("map", x=(2, 4, 3)).add("pixels", "conv2d", filters=3, kernel_size=1).graph())
    random, batch = np.random.default_rng(2), batch_of(3, 3, (2, 4, 3))
    labels = random.integers(-1, 3, (3, 4, 3))
    labels[2] = UNLABELLED
    batch = replace(batch, labels=labels, weights=random.exponential(1.0, (3, 4, 3)).astype(np.float32))
    expected = second_derivatives(graph, drawn(graph), batch)
    for name, found in curvatures(graph, drawn(graph), [batch], None, [1.0]).items():
        np.testing.assert_allclose(found, expected[name], rtol=1e-5, atol=1e-7)


def two_layers() -> Graph:
    """A hidden layer, read by the logits, by a head, and by a layer that nothing needs."""
    chain = Chain("deep", x=(5,)).add("fc1", "dense", units=4).add("tanh", "tanh").add("fc2", "dense", units=3)
    plain = chain.graph("fc2")
    head = make_node("head", Dense(units=3), [plain.values["tanh"]])
    return replace(plain, nodes=(*plain.nodes, head), outputs=("fc2", "head"), heads=(Head("side", "head"),)).check()


def test_in_depth_it_is_propagated_with_squared_coefficients() -> None:
    """Appendix C, equations 22 to 25, written out; what two layers read adds up, and a head counts by its weight."""
    graph, batch = two_layers(), batch_of(6, 3)
    w = drawn(graph)
    hidden = np.tanh(batch.inputs.astype(np.float64) @ w["fc1.weight"].T + w["fc1.bias"])
    of_hidden = np.zeros(hidden.shape)
    for layer, share in (("fc2", 1.0), ("head", 0.3)):
        exp = np.exp(hidden @ w[f"{layer}.weight"].T + w[f"{layer}.bias"])
        p = exp / exp.sum(axis=1, keepdims=True)
        of_hidden += share * p * (1 - p) @ w[f"{layer}.weight"] ** 2
    of_sums = (1 - hidden**2) ** 2 * of_hidden
    found = curvatures(graph, w, [batch], None, [1.0, 0.3])
    np.testing.assert_allclose(found["fc1.weight"], of_sums.T @ batch.inputs.astype(np.float64) ** 2 / 6, rtol=1e-8)
    np.testing.assert_allclose(found["fc1.bias"], of_sums.sum(axis=0) / 6, rtol=1e-8)


def test_it_is_the_same_in_blocks_and_in_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, batch = two_layers(), batch_of(11, 3)
    whole = curvatures(graph, drawn(graph), [batch], None, [1.0, 0.3])
    monkeypatch.setattr(curvature, "BLOCK", 60)
    for parts in ([batch.part(slice(0, 4)), batch.part(slice(4, 11))], [batch]):
        for name, found in curvatures(graph, drawn(graph), parts, None, [1.0, 0.3]).items():
            np.testing.assert_allclose(found, whole[name], rtol=1e-12)
    shares = [curvatures(graph, drawn(graph), [batch.part(slice(rank, None, 2))], None, [1.0, 0.3]) for rank in (0, 1)]
    for name, found in whole.items():
        np.testing.assert_allclose((6 * shares[0][name] + 5 * shares[1][name]) / 11, found, rtol=1e-12)


def test_the_first_samples_are_those_of_all_processes() -> None:
    def steps(rank: int, world: int) -> list[StepBatch]:
        whole = [batch_of(8, 3), batch_of(8, 3), batch_of(5, 3)]
        shared = [StepBatch((each.part(slice(rank, None, world)),), len(each.labels)) for each in whole]
        return [*shared, StepBatch((), 0)]

    for samples, expected in ((1, 1), (8, 8), (11, 11), (500, 21)):
        for world in (1, 2, 3):
            found = [list(first_samples(steps(rank, world), samples)) for rank in range(world)]
            assert sum(len(part.labels) for parts in found for part in parts) == expected
    assert [part.rows.tolist() for part in first_samples(steps(1, 2), 11)] == [[1, 3, 5, 7], [1]]


def test_the_state_has_it_at_the_weights_that_are_trained() -> None:
    graph, batch = two_layers(), batch_of(8, 3)
    rule = RECIPE.model_copy(update={"loss": RECIPE.loss.model_copy(update={"auxiliary": {"side": 0.3}})})
    weights, steps = drawn(graph), [StepBatch((batch,), 8)]
    iterate = {name: array + 1 for name, array in weights.items()}
    state = TrainingState(weights, {"iterate": iterate})
    found = with_curvature(state, graph, rule, None, steps)
    expected = curvatures(graph, iterate, [batch], None, [1.0, 0.3])
    assert found.slots["iterate"] is iterate
    for name, array in found.slots["curvature"].items():
        np.testing.assert_array_equal(array, expected[name])
    least, most = rates(rule, found, 0.1)
    assert 0.1 / (0.5 + max(a.max() for a in expected.values())) == pytest.approx(least)
    assert 0.1 / (0.5 + min(a.min() for a in expected.values())) == pytest.approx(most)
    sgd = rule.model_copy(
        update={
            "optimizer": Recipe.model_validate(
                {"batch_size": 1, "epochs": 1, "optimizer": {"name": "sgd", "learning_rate": 1.0}}
            ).optimizer
        }
    )
    assert with_curvature(state, graph, sgd, None, steps) is state


def test_each_weight_moves_by_its_own_rate() -> None:
    state = TrainingState({"fc.weight": np.array([1.0, 2.0])}, {"curvature": {"fc.weight": np.array([0.0, 1.5])}})
    after = update(RECIPE, state, {"fc.weight": np.array([0.5, -1.0])}, 0.2)
    np.testing.assert_allclose(after.weights["fc.weight"], [1 - 0.2 / 0.5 * 0.5, 2 + 0.2 / 2.0])
    np.testing.assert_array_equal(after.slots["curvature"]["fc.weight"], [0.0, 1.5])


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """The network of the other tests of runs, without its batch normalization."""
    path = tmp_path / "small.yaml"
    text = SPEC.replace("  norm: {op: batch_norm}\n", "").replace("weight_decay: 0.001}", "}")
    old = "{name: sgd, learning_rate: 0.02, momentum: 0.9, }"
    path.write_text(text.replace(old, "{name: diagonal_levenberg_marquardt, learning_rate: 0.005, samples: 100}"))
    return path


@pytest.mark.parametrize("stop", [7, 20])
def test_a_run_that_is_continued_ends_with_the_same_bits(run: Run, stop: int) -> None:
    """In the middle of an epoch, whose curvature the checkpoint has, and at its end, before the next is estimated."""
    whole, recorder = run(name="whole"), Recorder()
    run(name="parts", observer=Recorder(stop))
    resumed = run(name="parts", resume=True, observer=recorder)
    expected, found = arrays(whole), arrays(resumed)
    assert {key for key in expected if key.startswith("curvature/")}
    assert {key: array.tobytes() for key, array in expected.items()} == {k: a.tobytes() for k, a in found.items()}
    assert recorder.epochs[-1].training_loss < 0.5 * np.log(5)


def test_a_run_can_be_stopped_while_it_is_estimated(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, estimate = run(name="whole"), curvature._add_block
    calls = 0

    def interrupted(*given: Any) -> None:
        nonlocal calls
        calls += 1
        estimate(*given)
        if calls == 9:  # of seven batches in an epoch
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(curvature, "_add_block", interrupted)
    stopped = run(name="parts")
    assert (stopped.position.step, stopped.stopped, calls) == (20, signal.SIGINT, 9)
    monkeypatch.setattr(curvature, "_add_block", estimate)
    expected, found = arrays(whole), arrays(run(name="parts", resume=True))
    assert {key: array.tobytes() for key, array in expected.items()} == {k: a.tobytes() for k, a in found.items()}


def test_keras_trains_at_the_same_rates(run: Run) -> None:
    recorders = {name: Recorder() for name in ("torch", "keras")}
    states = {n: arrays(run(n, name=n, exact=True, observer=recorder)) for n, recorder in recorders.items()}
    losses = [[e.loss for e in recorder.steps] for recorder in recorders.values()]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for name, array in states["torch"].items():
        if name.startswith("curvature/"):
            np.testing.assert_allclose(states["keras"][name], array, rtol=0, atol=1e-5 * array.max())
    for recorder in recorders.values():
        assert sum("by the curvature, weights begin with rates of" in note for note in recorder.notes) == 1


@pytest.mark.parametrize("options", [(), ("--parallel", "towers")])
def test_two_processes_have_the_curvature_of_one(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = tmp_path / "small.yaml"
    text = towers.SPEC.replace("  norm1: {op: batch_norm}\n", "").replace("  clip_gradient_norm: 1.0\n", "")
    rule = "{name: diagonal_levenberg_marquardt, learning_rate: 0.002, samples: 90}"
    path.write_text(text.replace("{name: sgd, learning_rate: 0.05, momentum: 0.9, weight_decay: 0.001}", rule))
    for name, processes, given in (("one", 1, ()), ("two", 2, options)):
        finished = towers.train(path, name, "--exact", *given, processes=processes)
        assert finished.returncode == 0, finished.stderr
    from netspec.weights import read_arrays

    one, two = (read_arrays(tmp_path / name / "checkpoints" / "last.safetensors")[0] for name in ("one", "two"))
    for name, array in one.items():
        np.testing.assert_allclose(two[name], array, rtol=0, atol=1e-5 * np.abs(array).max(), err_msg=name)


def test_layers_without_it_are_refused_before_anything_runs(run: Run, spec: Path) -> None:
    spec.write_text(spec.read_text().replace("  relu: {op: relu}\n", "  norm: {op: batch_norm}\n  relu: {op: relu}\n"))
    with pytest.raises(NetspecError, match=r"needs second derivatives .* not defined through norm \(batch_norm\)"):
        run()
