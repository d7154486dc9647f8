"""A small generator and its discriminator, with batch norm and dropout in both, and images to train them on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from netspec.lowering import find_backend
from netspec.spec import read_spec
from netspec.training.events import Observers
from netspec.training.options import TrainOptions
from netspec.training.run import train
from netspec.training.session import Outcome

GENERATOR = """\
name: toy-generator
input: {shape: [6, 1, 1]}
parameters: {width: 8}
layers:
  project: {op: conv_transpose2d, filters: "${width}", kernel_size: 4, bias: false}
  bn: {op: batch_norm}
  relu: {op: relu}
  drop: {op: dropout, rate: 0.1}
  conv: {op: conv_transpose2d, filters: 1, kernel_size: 4, stride: 2, padding: 1}
  tanh: {op: tanh}
training:
  loss:
    name: adversarial
    discriminator: discriminator.yaml
    set: {width: "${width // 2}"}
    noise: {uniform: {low: -1, high: 1}}
  batch_size: 16
  epochs: 2
  optimizer: {name: adam, learning_rate: 1e-3, beta1: 0.5}
"""

DISCRIMINATOR = """\
name: toy-discriminator
input: {shape: [1, 8, 8], preprocessing: {channel_order: gray, mean: [127.5], std: [127.5]}}
parameters: {width: 2}
layers:
  conv1: {op: conv2d, filters: "${width}", kernel_size: 4, stride: 2, padding: 1}
  relu1: {op: leaky_relu, negative_slope: 0.2}
  conv2: {op: conv2d, filters: "${width}", kernel_size: 3, padding: 1, bias: false}
  bn: {op: batch_norm}
  relu2: {op: leaky_relu, negative_slope: 0.2}
  drop: {op: dropout, rate: 0.2}
  flatten: {op: flatten}
  logit: {op: dense, units: 1}
training:
  loss: {name: softmax_cross_entropy, constant_logit: 0}
  batch_size: 16
  epochs: 2
  optimizer: {name: sgd, learning_rate: 0.01, momentum: 0.9, form: torch}
"""

STEPS = 5  # in an epoch
Train = Callable[..., Outcome]


def write_pair(folder: Path) -> Path:
    """Write both specs into a folder, and return the path of the generator's."""
    (folder / "discriminator.yaml").write_text(DISCRIMINATOR)
    path = folder / "generator.yaml"
    path.write_text(GENERATOR)
    return path


@pytest.fixture
def generator(tmp_path: Path) -> Path:
    """The spec of the generator, with that of its discriminator beside it."""
    return write_pair(tmp_path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of 82 gray images without class folders."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(82):
        pixels = random.integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return folder


@pytest.fixture
def train_pair(generator: Path, pictures: Path, tmp_path: Path) -> Train:
    """Train the pair: `train_pair(backend, settings, observer, **options)`."""

    def start(
        backend: str = "torch", settings: tuple[str, ...] = (), observer: Observers | None = None, **options: Any
    ) -> Outcome:
        chosen = replace(TrainOptions(data=str(pictures), out=tmp_path / "runs"), **options)
        return train(read_spec(generator, settings), find_backend(backend), chosen, observer or Observers())

    return start
