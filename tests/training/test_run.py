"""Whole runs: what they leave, how they go on, and how they end when something is wrong."""

from __future__ import annotations

import json
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from netspec_torch.backend import TorchBackend

import netspec
from netspec.errors import NetspecError, WeightsError
from netspec.graph import Graph
from netspec.lowering import Trainer, TrainerSettings, at_level, find_backend
from netspec.ops.base import Weights
from netspec.passes import Level
from netspec.spec import load_graph, read_spec
from netspec.training.data.sources import open_data
from netspec.training.evaluate import evaluate
from netspec.training.events import StepDone
from netspec.training.session import Outcome
from netspec.weights import load_weights, read_arrays
from tests.training.conftest import Recorder, arrays
from tests.training.towers import start

STEPS = 20  # an epoch
Run = Callable[..., Outcome]


def test_what_a_run_leaves(run: Run, spec: Path) -> None:
    recorder = Recorder()
    outcome = run(observer=recorder)
    folder = outcome.folder
    assert folder is not None
    files = {str(path.relative_to(folder.path)) for path in folder.path.rglob("*") if path.is_file()}
    events = {name for name in files if name.startswith("events/")}
    assert files - events == {
        "spec.yaml",
        "metrics.jsonl",
        "report.html",
        "checkpoints/last.safetensors",
        "checkpoints/best.safetensors",
    }
    assert len(events) == 1
    assert read_spec(folder.spec).training == read_spec(spec).training
    assert load_graph(folder.spec) == load_graph(spec)
    assert [e.step for e in recorder.steps] == list(range(1, 4 * STEPS + 1))
    assert [e.epoch for e in recorder.epochs] == [1, 2, 3, 4]
    assert outcome.scores is not None
    assert outcome.scores.error == recorder.epochs[-1].validation_error
    assert outcome.scores.samples == 80
    assert outcome.scores.error < 0.5 < recorder.steps[0].error


def test_the_arrays_to_begin_with_are_let_go(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that trains has its own weights, and no second copy of the whole network beside them."""
    begun: list[weakref.ref[np.ndarray[Any, Any]]] = []
    trainer = TorchBackend.trainer

    def recorded(backend: TorchBackend, graph: Graph, weights: Weights, settings: TrainerSettings) -> Trainer:
        begun.extend(weakref.ref(array) for array in weights.values())
        return trainer(backend, graph, weights, settings)

    class Counting(Recorder):
        def step(self, event: StepDone) -> None:
            super().step(event)
            alive.add(sum(array() is not None for array in begun))

    alive: set[int] = set()
    monkeypatch.setattr(TorchBackend, "trainer", recorded)
    run(name="begun", settings=("training.epochs=1",), observer=Counting())
    run(name="begun", resume=True, observer=Counting())
    assert len(begun) > 2 * 6
    assert alive == {0}


@pytest.mark.parametrize(("rank", "share"), [(0, 41), (1, 40)])
def test_the_progress_of_validation_ends_at_a_ranks_share_of_the_samples(
    run: Run, monkeypatch: pytest.MonkeyPatch, rank: int, share: int
) -> None:
    trainer = TorchBackend.trainer

    def ranked(backend: TorchBackend, graph: Graph, weights: Weights, settings: TrainerSettings) -> Trainer:
        made = trainer(backend, graph, weights, settings)
        made.rank, made.world = rank, 2
        return made

    class Progress(Recorder):
        def evaluating(self, done: int, samples: int) -> None:
            progress.append((done, samples))

    progress: list[tuple[int, int]] = []
    monkeypatch.setattr(TorchBackend, "trainer", ranked)
    run(holdout=0.2025, settings=("training.epochs=1",), observer=Progress())
    assert {samples for _, samples in progress} == {share}
    assert progress[-1][0] == share


def test_metrics_are_a_line_a_step_and_an_epoch(run: Run) -> None:
    recorder = Recorder()
    folder = run(observer=recorder).folder
    assert folder is not None
    lines = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    assert [line["loss"] for line in lines if line["kind"] == "step"] == [e.loss for e in recorder.steps]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    first = recorder.steps[:STEPS]
    assert epochs[0]["training_loss"] == pytest.approx(np.mean([e.loss for e in first]))
    assert epochs[0]["training_error"] == pytest.approx(np.mean([e.error for e in first]))


@pytest.mark.parametrize(("backend", "field"), [("torch", "decay=0.9"), ("keras", "form=uniform")])
def test_averaged_weights_are_what_is_scored_and_kept(
    run: Run, backend: str, field: str, spec: Path, data: Path
) -> None:
    """And a run goes on from what they are the average of."""
    averaged, recorder = (f"training.weight_average.{field}",), Recorder()
    whole = run(backend, name="whole", settings=averaged, observer=recorder)
    run(backend, name="stopped", settings=averaged, observer=Recorder(STEPS + 3))
    resumed = run(backend, name="stopped", settings=averaged, resume=True)
    expected, found = arrays(whole, "last"), arrays(resumed, "last")
    assert {key: array.tobytes() for key, array in expected.items()} == {k: a.tobytes() for k, a in found.items()}
    assert np.abs(found["fc1.weight"] - found["iterate/fc1.weight"]).max() > 1e-5
    assert whole.folder is not None
    (own,) = evaluate(
        load_graph(spec),
        whole.folder.last,
        [find_backend(backend)],
        open_data(str(data), seed=0, holdout=0.2).validation,
    )
    assert own.scores.loss == pytest.approx(recorder.epochs[-1].validation_loss, rel=1e-5)
    with pytest.raises(WeightsError, match=r"its optimizer kept iterate, velocity, and the recipe.s keeps velocity"):
        run(backend, name="stopped", resume=True)


def test_the_same_command_is_the_same_run_in_both_backends(run: Run) -> None:
    recorders = {name: Recorder() for name in ("torch", "keras")}
    for name, recorder in recorders.items():
        run(name, name=name, exact=True, observer=recorder)
    torch, keras = recorders.values()
    assert [e.loss for e in torch.steps] == pytest.approx([e.loss for e in keras.steps], rel=1e-4)
    assert [e.error for e in torch.steps[:STEPS]] == [e.error for e in keras.steps[:STEPS]]
    assert [e.rate for e in torch.steps] == [e.rate for e in keras.steps]


@pytest.mark.parametrize("name", ["torch", "keras"])
def test_a_run_of_the_plain_network_is_that_of_the_optimized_one(run: Run, pooled: Path, name: str) -> None:
    optimized = at_level(find_backend(name), "training").lower(load_graph(pooled))
    assert optimized.optimized is not None
    assert optimized.optimized.steps  # else it shows nothing
    assert optimized.content != find_backend(name).lower(load_graph(pooled)).content
    levels: tuple[Level, ...] = ("none", "training")
    recorders = {level: Recorder() for level in levels}
    ends = [arrays(run(name, name=level, exact=True, observer=recorders[level], optimize=level)) for level in levels]
    plain, other = ([e.loss for e in recorder.steps] for recorder in recorders.values())
    assert plain == pytest.approx(other, rel=1e-5)
    assert ends[0].keys() == ends[1].keys()
    for key, array in ends[0].items():
        np.testing.assert_allclose(ends[1][key], array, rtol=0, atol=1e-5 * np.abs(array).max(), err_msg=key)


@pytest.fixture
def pooled(spec: Path) -> Path:
    """The same network of features as maps, in which a ReLU stands before a max-pool."""
    text = spec.read_text().replace(
        "layers:\n",
        "layers:\n"
        "  maps: {op: reshape, shape: [4, 4, 4]}\n"
        "  conv: {op: conv2d, filters: 16, kernel_size: 3, padding: 1}\n"
        "  relu0: {op: relu}\n"
        "  pool: {op: max_pool2d, kernel_size: 2}\n"
        "  flat: {op: flatten}\n",
    )
    spec.write_text(text)
    return spec


def test_the_plateau_divides_the_rate(run: Run) -> None:
    recorder = Recorder()
    run(observer=recorder, settings=("training.epochs=6",))
    rates = [e.rate for e in recorder.epochs]
    assert rates[0] == 0.02
    assert rates[-1] < 0.02
    assert rates == sorted(rates, reverse=True)


def test_a_run_may_begin_with_weights(run: Run, spec: Path) -> None:
    first = run(name="first", settings=("training.epochs=1",))
    assert first.folder is not None
    recorder = Recorder()
    run(name="second", weights=first.folder.last, settings=("training.epochs=1",), observer=recorder)
    assert recorder.steps[0].error < 0.5  # it knows something already
    with pytest.raises(NetspecError, match="has its own weights"):
        run(name="first", weights=first.folder.last, resume=True)


def test_best_is_the_epoch_of_the_lowest_validation_error(run: Run, spec: Path) -> None:
    recorder = Recorder()
    outcome = run(observer=recorder)
    errors = [e.validation_error for e in recorder.epochs if e.validation_error is not None]
    assert len(errors) == 4
    assert outcome.position.best_epoch == 1 + int(np.argmin(errors))
    assert [e.best for e in recorder.epochs] == [e < min(errors[:i], default=2) for i, e in enumerate(errors)]
    graph_weights = load_weights(outcome.folder.best, load_graph(spec)) if outcome.folder else {}
    assert set(graph_weights) == set(load_graph(spec).weights)


def test_signals_are_left_alone_outside_the_main_thread(run: Run) -> None:
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(run(settings=("training.epochs=1",))))
    thread.start()
    thread.join()
    assert outcomes[0].position.step == STEPS


def test_two_processes_train_as_one(run: Run, spec: Path, data: Path, tmp_path: Path) -> None:
    settings = ("training.epochs=2", "training.batch_size=15")  # the last of 320 / 15 is of 5: unequal shares
    alone = Recorder()
    whole = run(name="alone", exact=True, settings=settings, observer=alone)
    command = [
        *("-m", "netspec", "train", str(spec), "--data", str(data), "--holdout", "0.2", "--exact"),
        *("--out", str(tmp_path / "runs"), "--name", "two"),
        *(argument for setting in settings for argument in ("--set", setting)),
    ]
    printed = ""
    for process in start([command] * 2):
        out, told = process.communicate(timeout=120)
        assert process.returncode == 0, told
        printed += out
    lines = [json.loads(line) for line in (tmp_path / "runs/two/metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if line["kind"] == "step"]
    assert losses == pytest.approx([e.loss for e in alone.steps], rel=1e-5)
    expected, two = arrays(whole), read_arrays(tmp_path / "runs/two/checkpoints/last.safetensors")[0]
    for name, array in expected.items():
        assert two[name] == pytest.approx(array, rel=1e-3, abs=1e-5)
    assert printed.count("epoch") == 1  # one process is heard


def test_a_network_is_trained_from_python(spec: Path, data: Path, tmp_path: Path) -> None:
    network = netspec.load(spec, {"training.epochs": 1})
    options = netspec.TrainOptions(data=str(data), holdout=0.2, out=tmp_path)
    outcome = network.train("torch", options)
    assert outcome.folder is not None
    assert outcome.folder.path == tmp_path / "small"
    weights = network.load_weights(outcome.folder.best)
    assert weights["fc3.bias"].any()
