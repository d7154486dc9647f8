"""`netspec train` with Mixup, CutMix and noise: one run in one process, in two, in towers, in Keras, and continued."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.training import towers
from tests.training.towers import SPEC, TOWERS, losses

MIXED = """\
  last_batch: keep
  loss: {name: softmax_cross_entropy, label_smoothing: 0.1}
  augmentation: {mixup: {alpha: 0.8}, cutmix: {}, horizontal_flip: true, color_noise: {std: 0.1}}
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """Return the spec of the small network of towers for images in color, with a recipe that mixes them."""
    path = tmp_path / "small.yaml"
    color = SPEC.replace("[1, 8, 8]", "[3, 8, 8]").replace("channel_order: gray", "mean: per_channel")
    path.write_text(color.replace("batch_size: 64", "batch_size: 5\n  accumulate: 2") + MIXED)
    random = np.random.default_rng(0)
    for label in "ab":
        folder = tmp_path / "data" / label
        folder.mkdir(parents=True)
        for number in range(24):
            Image.fromarray(random.integers(0, 256, (9, 11, 3), np.uint8)).save(folder / f"{number}.png")
    return path


def train(spec: Path, name: str, *options: str, processes: int = 1) -> list[float]:
    """Train with shared dropout masks, and return the losses."""
    finished = towers.train(spec, name, *given(spec), *options, processes=processes)
    assert finished.returncode == 0, finished.stderr
    return losses(spec, name)


def given(spec: Path) -> tuple[str, ...]:
    return ("--exact", "--data", str(spec.parent / "data"))


def test_a_mixed_run_is_one_wherever_it_runs(spec: Path) -> None:
    """Batches of five divided between two ranks; batches from another process; a run in two parts."""
    alone = train(spec, "alone")
    assert len(alone) == 12
    assert np.ptp(alone) > 0.05
    train(spec, "parts", "--set", "training.steps=7", "--workers", "1")
    assert train(spec, "parts", "--resume") == alone
    for name, options in (("ranks", ()), ("towers", TOWERS)):
        np.testing.assert_allclose(train(spec, name, *options, processes=2), alone, rtol=1e-4, err_msg=name)
    towers.train_in_keras(spec, "keras", *given(spec))
    np.testing.assert_allclose(losses(spec, "keras"), alone, rtol=1e-4)
