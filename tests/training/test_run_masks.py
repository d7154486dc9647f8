"""Segmentation from a folder to a report: both frameworks learn to find circles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netspec.cli.app import run as command
from netspec.errors import NetspecError
from netspec.lowering import find_backend
from netspec.spec import elaborate, read_spec
from netspec.training.data.sources import open_data
from netspec.training.evaluate import evaluate
from netspec.training.options import TrainOptions
from netspec.training.run import train
from netspec.training.session import Outcome
from tests.training.conftest import Recorder

SPEC = """\
name: circles
input: {shape: [1, 32, 32], preprocessing: {channel_order: gray, mean: [110], std: [50]}}
parameters: {classes: 2}
defaults: {conv2d: {initialize: {weight: {variance_scaling: {scale: 2}}}}}
layers:
  conv1: {op: conv2d, filters: 8, kernel_size: 3}
  relu1: {op: relu}
  pool: {op: max_pool2d, kernel_size: 2, stride: 2}
  conv2: {op: conv2d, filters: 8, kernel_size: 3}
  relu2: {op: relu}
  drop: {op: dropout, rate: 0.1}
  up: {op: conv_transpose2d, filters: 8, kernel_size: 2, stride: 2}
  rows: {op: slice, inputs: relu1, axis: 2, start: 2, stop: -2}
  crop: {op: slice, axis: 3, start: 2, stop: -2}
  joined: {op: concat, inputs: [crop, up]}
  head: {op: conv2d, filters: "${classes}", kernel_size: 1}
training:
  batch_size: 4
  epochs: 4
  accumulate: 2
  optimizer: {name: sgd, learning_rate: 0.05, momentum: 0.9}
  loss: {name: softmax_cross_entropy, pixel_weights: {balance: true, border: 5, sigma: 2}}
  augmentation:
    random_crop: 32
    horizontal_flip: true
    quarter_turns: true
    elastic_deformation: {grid: 3, std: 2}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "circles.yaml"
    path.write_text(SPEC)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Write 48 noisy pictures in two parts: bright discs on a dark ground, whose rims are not labelled."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:40, :40]
    for number in range(48):
        root = tmp_path / "set" / ("val" if number % 6 == 5 else "train")
        mask = np.zeros((40, 40), np.uint8)
        for _ in range(3):
            y, x, radius = *random.integers(0, 40, 2), random.integers(4, 9)
            distance = np.hypot(rows - y, columns - x)
            mask[distance <= radius] = 1
            mask[(distance > radius) & (distance <= radius + 0.5)] = 255
        image = np.clip(np.where(mask > 0, 160, 70) + random.normal(0, 30, mask.shape), 0, 255).astype(np.uint8)
        for name, array in (("images", image), ("masks", mask)):
            (root / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(root / name / f"{number}.png")
    (tmp_path / "set" / "classes.txt").write_text("ground\ndisc\n")
    return tmp_path / "set"


def run(spec: Path, data: Path, out: Path, backend: str, observer: Recorder) -> Outcome:
    options = TrainOptions(data=str(data), out=out, name=backend, exact=True)
    return train(read_spec(spec, ()), find_backend(backend), options, observer)


def test_discs_are_found_and_reported(spec: Path, data: Path, tmp_path: Path) -> None:
    recorders = {name: Recorder() for name in ("torch", "keras")}
    outcomes = {name: run(spec, data, tmp_path / "runs", name, observer) for name, observer in recorders.items()}
    for steps in zip(recorders["torch"].steps, recorders["keras"].steps, strict=True):
        assert steps[0].loss == pytest.approx(steps[1].loss, rel=2e-3)
    first, last = (recorders["torch"].epochs[index] for index in (0, -1))
    scores, folder = outcomes["torch"].scores, outcomes["torch"].folder
    assert scores is not None
    assert folder is not None
    assert scores.error < 0.05  # all ground would be about 0.3
    assert scores.mean_iou is not None
    assert scores.mean_iou > 0.85
    assert last.validation_mean_iou == scores.mean_iou > first.training_error
    assert last.training_error < first.training_error
    assert scores.samples == 8
    assert 0.9 * 8 * 40**2 < scores.confusion.sum() < 8 * 40**2  # the images whole, but for the rims
    page = folder.report.read_text()
    assert "validation pixels" in page
    assert "share of pixels" in page
    assert "mean IoU" in page
    assert "disc" in page
    assert '"validation_mean_iou": ' in folder.metrics.read_text()
    held = open_data(str(data)).validation
    assert held is not None
    (found,) = evaluate(elaborate(read_spec(spec, ())), folder.last, [find_backend("onnx")], held)
    assert (found.views, found.scores.samples) == (1, 8)
    assert found.scores.error == pytest.approx(scores.error, abs=1e-3)
    with pytest.raises(NetspecError, match="expected one view of an image with a mask, which is scored whole"):
        evaluate(elaborate(read_spec(spec, ())), folder.last, [find_backend("onnx")], held, (10,))


def test_a_run_that_is_continued_sees_the_same_masks(spec: Path, data: Path, tmp_path: Path) -> None:
    whole = Recorder()
    run(spec, data, tmp_path / "whole", "torch", whole)
    with_stop = Recorder(interrupt_after=7)
    run(spec, data, tmp_path / "cut", "torch", with_stop)
    rest = Recorder()
    options = TrainOptions(data=str(data), out=tmp_path / "cut", name="torch", exact=True, resume=True)
    train(read_spec(spec, ()), find_backend("torch"), options, rest)
    losses = [step.loss for step in (*with_stop.steps, *rest.steps)]
    assert losses == [step.loss for step in whole.steps]
    assert [epoch.training_error for epoch in rest.epochs][-1] == whole.epochs[-1].training_error


def test_commands_report_pixels(spec: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def output_of(*arguments: str) -> str:
        assert command(list(arguments)) == 0
        return capsys.readouterr().out

    options = ("--data", str(data))
    trained = output_of("train", str(spec), *options, "--out", str(tmp_path / "runs"), "--set", "training.epochs=1")
    assert "of the pixels of 8 right" in trained
    weights = tmp_path / "runs" / "circles" / "checkpoints" / "best.safetensors"
    assert "pixel error  mean IoU" in output_of("eval", str(spec), *options, "--weights", str(weights))
    assert "all of 48 samples can be used" in output_of("data", "check", str(data))


def test_a_mask_that_does_not_fit_ends_the_run_by_name(spec: Path, data: Path, tmp_path: Path) -> None:
    Image.new("L", (40, 39)).save(data / "train" / "masks" / "0.png")
    with pytest.raises(NetspecError, match=r"train/images/0\.png: the image is 40x40 \(HxW\), and its mask 39x40"):
        run(spec, data, tmp_path / "runs", "torch", Recorder())
