"""Weights of pixels, compared with equation 2 of Ronneberger et al. 2015 computed for single pixels and regions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from netspec.errors import NetspecError
from netspec.recipe import PixelWeights, Recipe
from netspec.spec import read_spec
from netspec.training.data.batches import Batches
from netspec.training.data.evaluation_batches import evaluation_batches
from netspec.training.data.pixel_weights import balance_of, weigh
from netspec.training.data.sources import open_data
from netspec.training.data.targets import MapRule
from netspec.training.material import gather
from tests.training.data.test_masks import write

# Three regions of class 1, one of them touching one of class 2 from a corner; what is unknown is no region.
PICTURE = """
1100011....3
1100011....3
.......1....
.....2.1??..
.....22.??1.
.........11.
"""


def picture() -> NDArray[np.uint8]:
    numbers = {".": 0, "0": 0, "?": 255}
    rows = [[numbers.get(mark, ord(mark) - ord("0")) for mark in line] for line in PICTURE.split()]
    return np.array(rows, np.uint8)


# By hand: the pixels of each region of the picture, by row and column.
REGIONS = [
    [(0, 0), (0, 1), (1, 0), (1, 1)],
    [(0, 5), (0, 6), (1, 5), (1, 6)],
    [(2, 7), (3, 7)],
    [(4, 10), (5, 9), (5, 10)],
    [(3, 5), (4, 5), (4, 6)],
    [(0, 11), (1, 11)],
]


def test_background_counts_more_the_nearer_its_two_nearest_regions_are() -> None:
    mask = picture()
    found = weigh(mask, PixelWeights(border=10, sigma=2.0), ())
    for row, column in np.ndindex(*mask.shape):
        distances = sorted(min(np.hypot(row - y, column - x) for y, x in region) for region in REGIONS)
        expected = 1 + 10 * np.exp(-((distances[0] + distances[1]) ** 2) / (2 * 2.0**2))
        if mask[row, column]:
            expected = 0.0 if mask[row, column] == 255 else 1.0
        assert found[row, column] == pytest.approx(expected, abs=1e-5), (row, column)
    assert found[1, 7] > 5  # between two regions that touch by a corner
    assert found.dtype == np.float32


def test_pixels_far_from_any_border_have_weight_1() -> None:
    mask = np.zeros((40, 300), np.uint8)
    mask[:, 0] = mask[:, 299] = mask[20, 150] = 1
    found = weigh(mask, PixelWeights(border=10, sigma=5.0), ())
    assert found.max() == pytest.approx(1.0, abs=1e-5)
    assert weigh(np.zeros((4, 4), np.uint8), PixelWeights(border=10), ()).tolist() == np.ones((4, 4)).tolist()


def test_balanced_classes_have_equal_sums_and_a_mean_of_1() -> None:
    mask = picture()
    counts = np.bincount(mask[mask != 255], minlength=5)
    balance = balance_of(counts)
    assert balance[4] == 0.0  # which is nowhere
    found = weigh(mask, PixelWeights(balance=True), balance)
    sums = [found[mask == kind].sum() for kind in range(4)]
    np.testing.assert_allclose(sums, sums[0])
    assert found[mask != 255].mean() == pytest.approx(1.0)
    assert not found[mask == 255].any()
    both = weigh(mask, PixelWeights(balance=True, border=10, sigma=2.0), balance)
    border = weigh(mask, PixelWeights(border=10, sigma=2.0), ()) - (mask != 255)
    np.testing.assert_allclose(both, found + border, rtol=1e-6)


def test_weights_are_those_of_the_labels_beside_them(tmp_path: Path) -> None:
    dataset = open_data(str(write(tmp_path / "set", [(30, 30)] * 4)), holdout=0).training
    rule = MapRule(5, (12, 12), PixelWeights(balance=True), (1.0, 2.0, 0.0, 0.0, 5.0))
    settings: dict[str, Any] = {"augmentation": {"random_crop": 20, "horizontal_flip": True, "quarter_turns": True}}
    recipe = Recipe.model_validate(
        {"batch_size": 2, "accumulate": 2, "steps": 1, "optimizer": {"name": "sgd", "learning_rate": 0.1}} | settings
    )
    first, second = Batches(dataset, (1, 20, 20), None, recipe, None, rule=rule).step(0).batches
    for batch in (first, second):
        assert batch.weights is not None
        table = np.array([1.0, 2.0, 0.0, 0.0, 5.0, 0.0])  # the last of what is unknown, -1
        np.testing.assert_array_equal(batch.weights, table[batch.labels])
    scored = next(evaluation_batches(dataset, (1, 20, 20), None, 1, 4, rule=rule))
    assert scored.labels.shape == (4, 12, 12)


def test_pixel_weights_without_a_rule_are_refused() -> None:
    with pytest.raises(ValidationError, match="needs `balance: true`, a `border`, or both"):
        PixelWeights(sigma=3.0)


SPEC = """
name: pixels
input: {shape: [1, 12, 12]}
layers:
  head: {op: conv2d, filters: 5, kernel_size: 3}
training:
  batch_size: 2
  steps: 1
  optimizer: {name: sgd, learning_rate: 0.1}
  loss: {name: softmax_cross_entropy, pixel_weights: {balance: true}}
"""


def test_the_balance_is_that_of_the_training_masks(tmp_path: Path) -> None:
    path = tmp_path / "pixels.yaml"
    path.write_text(SPEC)
    splits = open_data(str(write(tmp_path / "set", [(16, 16)] * 3)), holdout=0)
    material = gather(read_spec(path, ()), splits)
    counts = sum(np.bincount(splits.training.read_map(i).ravel(), minlength=256)[:5] for i in range(3))
    assert material.rule is not None
    np.testing.assert_allclose(np.array(material.rule.balance)[[0, 1, 4]] * counts[[0, 1, 4]], counts.sum() / 3)
    assert material.splits.notes[-1].endswith("no pixel to train on of 2, 3")


def test_views_do_not_go_with_masks(tmp_path: Path) -> None:
    path = tmp_path / "pixels.yaml"
    path.write_text(SPEC)
    splits = open_data(str(write(tmp_path / "set", [(12, 12)] * 3)), holdout=0)
    with pytest.raises(NetspecError, match="scores 10 views of an image, which have no mask in common"):
        gather(read_spec(path, ("training.evaluation.views=10",)), splits)


def test_masks_and_labels_are_not_confused(tmp_path: Path) -> None:
    path = tmp_path / "pixels.yaml"
    path.write_text(SPEC)
    with pytest.raises(NetspecError, match="the class of each pixel, and digits has one label a sample\nhint: give a"):
        gather(read_spec(path, ()), open_data("digits"))
