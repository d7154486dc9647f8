"""Runs that train a generator with its discriminator: what they write, how they stop and go on, what is refused."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest

from netspec.cli.app import run
from netspec.errors import NetspecError, WeightsError
from netspec.graph import Normalization
from netspec.lowering import find_backend
from netspec.spec import elaborate, load_graph, read_spec
from netspec.training.diagnose import DivergedError
from netspec.training.options import TrainOptions
from netspec.training.run import train
from netspec.training.samples import grid_of, pixels_of
from netspec.weights import load_weights, read_arrays
from tests.training.conftest import Recorder, arrays
from tests.training.pair import STEPS, Train, generator, pictures, train_pair

__all__ = ["generator", "pictures", "train_pair"]  # fixtures


def test_a_run_writes_both_networks_and_samples(train_pair: Train, generator: Path) -> None:
    watch = Recorder()
    outcome = train_pair(observer=watch)
    folder = outcome.folder
    assert folder is not None
    assert [event.step for event in watch.steps] == list(range(1, 2 * STEPS + 1))
    assert all(0 <= event.error <= 1 for event in watch.steps)
    assert [(event.best, event.validation_loss) for event in watch.epochs] == [(False, None)] * 2
    assert folder.last.is_file()
    assert not folder.best.exists()
    of_generator = elaborate(read_spec(generator))
    both = arrays(outcome)
    for name, array in load_weights(folder.last, of_generator).items():
        np.testing.assert_array_equal(array, both[name])
    wide = load_graph(generator.parent / "discriminator.yaml", {"width": 4})
    for name, array in load_weights(folder.path / "discriminator.safetensors", wide).items():
        np.testing.assert_array_equal(array, both[f"discriminator/{name}"])
    from PIL import Image

    with Image.open(folder.samples) as sheet:
        assert (sheet.size, sheet.mode) == ((71, 71), "L")
    assert ">Samples<" in folder.report.read_text()


def test_backends_that_share_their_masks_train_alike(train_pair: Train) -> None:
    watches = [Recorder() for _ in range(2)]
    for backend, watch in zip(("torch", "keras"), watches, strict=True):
        train_pair(backend, observer=watch, exact=True)
    losses, others = ([event.loss for event in watch.steps] for watch in watches)
    assert losses == pytest.approx(others, rel=1e-4)
    assert [event.error for event in watches[0].steps] == [event.error for event in watches[1].steps]


@pytest.mark.parametrize(("after", "number"), [(3, signal.SIGTERM), (STEPS, signal.SIGINT), (7, signal.SIGTERM)])
def test_a_stopped_run_continues_bit_for_bit_from_its_folder(
    train_pair: Train, pictures: Path, tmp_path: Path, after: int, number: signal.Signals
) -> None:
    whole = train_pair(name="whole")
    stopped = train_pair(name="stopped", observer=Recorder(after, number))
    assert (stopped.stopped, stopped.position.step) == (number, after)
    assert stopped.folder is not None
    (tmp_path / "generator.yaml").unlink()
    (tmp_path / "discriminator.yaml").unlink()
    options = TrainOptions(data=str(pictures), out=tmp_path / "runs", name="stopped", resume=True)
    resumed = train(read_spec(stopped.folder.spec), find_backend("torch"), options, Recorder())
    expected, found = arrays(whole), arrays(resumed)
    assert {key: array.tobytes() for key, array in expected.items()} == {k: a.tobytes() for k, a in found.items()}
    assert whole.folder is not None
    assert resumed.folder is not None
    assert whole.folder.samples.read_bytes() == resumed.folder.samples.read_bytes()


def test_a_run_begun_in_one_backend_is_finished_in_the_other(train_pair: Train) -> None:
    whole, moved = Recorder(), Recorder()
    train_pair(name="whole", exact=True, observer=whole)
    train_pair(name="moved", exact=True, observer=Recorder(4))
    train_pair("keras", name="moved", exact=True, observer=moved, resume=True)
    assert [e.loss for e in moved.steps] == pytest.approx([e.loss for e in whole.steps[4:]], rel=1e-4)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "learning_rate: 0.01",
            "learning_rate: 0.02",
            "the discriminator's training.optimizer.learning_rate: 0.01 before, 0.02 now",
        ),
        ("rate: 0.2}", "rate: 0.3}", "of a generator with another discriminator than toy-discriminator as it is now"),
    ],
)
def test_another_discriminator_is_no_continuation(
    train_pair: Train, generator: Path, old: str, new: str, message: str
) -> None:
    train_pair(name="run", observer=Recorder(3))
    path = generator.parent / "discriminator.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(WeightsError, match=message):
        train_pair(name="run", resume=True)


def test_a_checkpoint_records_what_it_is_of(train_pair: Train, generator: Path) -> None:
    """The recipe does not depend on where the discriminator's spec was, and a classifier's run is no generator's."""
    outcome = train_pair(name="run", observer=Recorder(3))
    assert outcome.folder is not None
    _, metadata = read_arrays(outcome.folder.last)
    assert metadata["run"]["recipe"]["loss"] == {
        "name": "adversarial",
        "discriminator": "discriminator.yaml",
        "set": {},
        "noise": {"uniform": {"low": -1.0, "high": 1.0}},
    }
    text = generator.read_text()
    loss = text[text.index("  loss:") : text.index("  batch_size")]
    flat = text.replace(loss, "").replace("  tanh: {op: tanh}", "  flat: {op: flatten}")
    generator.write_text(flat)
    with pytest.raises(NetspecError):
        train_pair(name="run", resume=True, data="digits")


def test_a_loss_that_diverges_is_diagnosed(train_pair: Train) -> None:
    with pytest.raises(DivergedError, match=r"the loss became (nan|inf) in step \d+: the weight \S+ went bad|finite"):
        train_pair(settings=("training.optimizer.learning_rate=1e38",))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"holdout": 0.2}, "there is nothing to validate"),
        ({"validation": "digits"}, "there is nothing to validate"),
        ({"parallel": "towers"}, "adversarial training is of one process"),
    ],
)
def test_options_for_labels_or_processes_are_refused(
    train_pair: Train, options: dict[str, object], message: str
) -> None:
    with pytest.raises(NetspecError, match=message):
        train_pair(**options)


def test_several_processes_are_refused(train_pair: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(NetspecError, match="adversarial training is of one process"):
        train_pair()


def test_labelled_data_will_do_and_masks_will_not(train_pair: Train, tmp_path: Path) -> None:
    watch = Recorder()
    train_pair(data="digits", settings=("training.epochs=1",), observer=watch)
    assert len(watch.steps) == 1438 // 16
    assert "digits: its validation part is not used" in watch.notes
    random = np.random.default_rng(0)
    images, masks = random.integers(0, 256, (20, 8, 8, 1), np.uint8), np.zeros((20, 8, 8), np.uint8)
    np.savez(tmp_path / "maps.npz", images=images, masks=masks)
    with pytest.raises(NetspecError, match=r"maps\.npz has masks, and toy-generator generates images alone"):
        train_pair(data=str(tmp_path / "maps.npz"))


def test_features_are_generated_without_a_sheet(tmp_path: Path) -> None:
    """Two networks of dense layers, for vectors: there is nothing to show."""
    recipe = "batch_size: 8, epochs: 1, optimizer: {name: sgd, learning_rate: 0.01}"
    (tmp_path / "judge.yaml").write_text(
        "name: judge\ninput: {shape: [3]}\nlayers: {fc: {op: dense, units: 1}}\n"
        f"training: {{{recipe}, loss: {{name: softmax_cross_entropy, constant_logit: 0}}}}\n"
    )
    path = tmp_path / "maker.yaml"
    loss = "{name: adversarial, discriminator: judge.yaml, noise: {normal: {std: 1}}}"
    layers = "{fc: {op: dense, units: 3}}"
    path.write_text(f"name: maker\ninput: {{shape: [2]}}\nlayers: {layers}\ntraining: {{{recipe}, loss: {loss}}}\n")
    data = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=data, y=np.zeros(40, np.int64))
    options = TrainOptions(data=str(tmp_path / "data.npz"), out=tmp_path / "runs")
    outcome = train(read_spec(path), find_backend("torch"), options, Recorder())
    assert outcome.folder is not None
    assert not outcome.folder.samples.exists()
    assert outcome.position.step == 5
    assert ">Samples<" not in outcome.folder.report.read_text()


def test_pixels_undo_the_preprocessing() -> None:
    fixed = Normalization(np.full((3, 1, 1), 100, np.float32), np.array([0.5, 0.25, 1], np.float32).reshape(3, 1, 1))
    pixels = np.array([[[[7]], [[100]], [[255]]]], np.float64)
    values = (pixels - fixed.mean) * fixed.factor
    np.testing.assert_array_equal(pixels_of(values, fixed, "rgb"), [[[[7, 100, 255]]]])
    np.testing.assert_array_equal(pixels_of(values, fixed, "bgr"), [[[[255, 100, 7]]]])
    np.testing.assert_array_equal(pixels_of(np.full((1, 3, 1, 1), np.nan), fixed, "rgb"), [[[[0, 0, 0]]]])
    assert pixels_of(np.full((1, 3, 1, 1), 1e9), fixed, "rgb").max() == 255


def test_a_sheet_has_eight_samples_in_a_row() -> None:
    images = np.arange(64, dtype=np.uint8).reshape(64, 1, 1, 1).repeat(2, axis=1).repeat(3, axis=2)
    grid = grid_of(images)
    assert grid.shape == (8 * 3 - 1, 8 * 4 - 1)
    assert (grid[0, 4], grid[3, 0], grid[0, 3]) == (1, 8, 255)
    assert grid_of(images[:9].repeat(3, axis=3)).shape == (5, 31, 3)


def test_the_command_prints_a_line_an_epoch_and_where_the_samples_are(
    generator: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", str(generator), "--data", str(pictures), "--out", str(tmp_path / "runs")]) == 0
    header, *epochs, done, samples, report = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["epoch", "loss", "error"]
    assert [len(line.split()) for line in epochs] == [5, 5]  # epoch, loss, error, rate and time; none is the best
    assert "without validation" in done
    folder = tmp_path / "runs" / "toy-generator"
    assert (samples.strip(), report.strip()) == (str(folder / "samples.png"), str(folder / "report.html"))


def test_metrics_have_no_validation(train_pair: Train) -> None:
    folder = train_pair(settings=("training.epochs=1",)).folder
    assert folder is not None
    lines = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    (epoch,) = (line for line in lines if line["kind"] == "epoch")
    assert epoch["validation_error"] is None
    assert epoch["training_loss"] > 0
