"""Runs that cannot work: each error is reported before or when it occurs, with a remedy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netspec.errors import NetspecError
from netspec.training.checkpoint import Position
from netspec.training.data.batches import StepBatch
from netspec.training.diagnose import DivergedError
from netspec.training.events import Observers
from netspec.training.loop import Loop
from tests.training.conftest import Recorder, Run


def test_a_loss_that_is_not_finite_names_the_layer(run: Run, spec: Path) -> None:
    spec.write_text(
        spec.read_text().replace("learning_rate: 0.02", "learning_rate: 3e37")
    )  # nearly all that float32 has
    with pytest.raises(DivergedError) as caught:
        run()
    assert "the loss became" in caught.value.message
    assert "in step 2:" in caught.value.message
    assert "norm" in caught.value.message or "fc" in caught.value.message
    assert "learning_rate" in caught.value.hint


def test_data_that_are_not_finite_are_blamed(run: Run, data: Path) -> None:
    with np.load(data) as file:
        features, labels = file["x"].copy(), file["y"]
    features[::3, 5] = np.nan
    np.savez(data, x=features, y=labels)
    with pytest.raises(NetspecError, match="row 3: holds NaN"):
        run()


def test_unusable_samples_are_skipped_on_request(run: Run, data: Path) -> None:
    with np.load(data) as file:
        features, labels = file["x"].copy(), file["y"]
    features[3, 5] = np.nan
    np.savez(data, x=features, y=labels)
    watch = Recorder()
    assert run(settings=("training.epochs=1",), on_bad_sample="skip", observer=watch).scores
    assert any("left out, 1 problem:" in note and "row 3: holds NaN" in note for note in watch.notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("training:", "published: {weights: 1}\nunused:"), "unused"),
        (('units: "${classes}"', "units: 3"), "has 3 classes, and .* has 5"),
        (('units: "${classes}"', "units: 1"), "gives one logit, whose softmax is always 1"),
        (("fc3: {op", "fc3: {inputs: [tanh, tanh], op"), "takes 1 input"),
    ],
)
def test_specs_that_do_not_fit_the_data_are_errors(run: Run, spec: Path, change: tuple[str, str], message: str) -> None:
    spec.write_text(spec.read_text().replace(*change))
    with pytest.raises(NetspecError, match=message):
        run()


@pytest.mark.parametrize("backend", ["torch", "keras"])
def test_a_last_batch_without_variance_is_reported_before_the_first_step(
    run: Run, tmp_path: Path, backend: str
) -> None:
    with pytest.raises(NetspecError, match=r"norm: batch normalization .* of one sample has one\nhint: .*last_batch"):
        run(backend, ("training.batch_size=10",), holdout=0.1225)  # 351 samples, one more than 35 batches have
    assert not (tmp_path / "runs" / "small").exists()
    assert run(backend, ("training.batch_size=10", "training.epochs=null", "training.steps=3"), holdout=0.1225).folder


def test_a_plateau_needs_a_validation_set(run: Run) -> None:
    with pytest.raises(NetspecError, match="there is no validation set"):
        run(holdout=0.0)


def test_a_spec_without_a_recipe_says_what_to_add(run: Run, spec: Path) -> None:
    spec.write_text(spec.read_text().partition("training:")[0])
    with pytest.raises(NetspecError, match="no recipe") as caught:
        run()
    assert "training: {batch_size" in caught.value.hint


def test_a_full_disk_is_reported_before_training(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import shutil

    usage = shutil.disk_usage("/")
    monkeypatch.setattr("netspec.training.folder.shutil.disk_usage", lambda _: usage._replace(free=1000))
    for out in (tmp_path / "runs", tmp_path / "new" / "runs"):
        with pytest.raises(NetspecError, match=r"its disk has 0\.0 MiB left"):
            run(out=out)
    assert not {"runs", "new"} & {path.name for path in tmp_path.iterdir()}  # no folder is left for nothing
    (tmp_path / "runs").mkdir()
    with pytest.raises(NetspecError, match=r"its disk has 0\.0 MiB left"):
        run()
    assert list((tmp_path / "runs").iterdir()) == []  # which is the user's


def test_a_folder_that_cannot_be_written_is_an_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(NetspecError, match="cannot write"):
        run()


def test_weights_that_the_last_update_broke_are_found_by_the_validation(run: Run, spec: Path) -> None:
    text = spec.read_text().replace("learning_rate: 0.02", "learning_rate: 1e38")
    spec.write_text(text.replace("epochs: 4", "steps: 1"))
    with pytest.raises(DivergedError, match=r"the loss became nan in step 1: the weights .* validation overflows"):
        run()


def test_class_numbers_that_begin_at_one_are_told(run: Run, data: Path) -> None:
    """`--set classes=6` would train a network with a class that no sample has."""
    with np.load(data) as file:
        features, labels = file["x"].copy(), file["y"]
    np.savez(data, x=features, y=labels + 1)
    with pytest.raises(NetspecError, match=r"has 5 classes, and .* has 6") as caught:
        run()
    assert caught.value.hint == "no sample is of class 0: numbers of classes that begin at 1 are to be less by 1"


def test_a_network_with_more_classes_than_the_data_is_noted(run: Run, data: Path) -> None:
    watch = Recorder()
    assert run(settings=("training.epochs=1", "classes=7"), observer=watch).scores
    note = f"small has 7 classes, and {data} has 5: --set classes=5, where the spec has this parameter"
    assert watch.notes.count(note) == 1
    watch = Recorder()
    assert run(settings=("training.epochs=1",), observer=watch).scores
    assert not any("classes" in note for note in watch.notes)


@pytest.mark.parametrize("taken", [0, 1])
def test_a_run_that_fails_before_its_first_step_leaves_its_name_free(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    """As one does whose first images cannot be read. Of a run that has begun, the losses may tell what went wrong."""
    step = Loop._step

    def fail(self: Loop, position: Position, batch: StepBatch) -> Position:
        if position.step == taken:
            raise NetspecError("a bad sample")
        return step(self, position, batch)

    monkeypatch.setattr(Loop, "_step", fail)
    (tmp_path / "runs").mkdir()
    with pytest.raises(NetspecError, match="a bad sample"):
        run()
    left = {path.name for path in tmp_path.glob("runs/*/*")}
    assert left == ({"spec.yaml", "metrics.jsonl", "events"} if taken else set())
    monkeypatch.undo()
    folder = run().folder
    assert folder is not None
    assert folder.path.name == ("small-2" if taken else "small")


def test_a_sample_that_is_skipped_in_every_epoch_is_noted_once() -> None:
    recorder = Recorder()
    observers = Observers(recorder)
    for text in ("skipped: a.png", "skipped: b.png", "skipped: a.png"):
        observers.note(text)
    assert recorder.notes == ["skipped: a.png", "skipped: b.png"]
