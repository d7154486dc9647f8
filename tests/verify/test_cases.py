"""Inputs of a check, for networks whose mean is not yet known or has another size."""

import numpy as np

from netspec.graph import Input, MeanImage, Preprocessing
from netspec.ops.base import Array
from netspec.types import TensorType
from netspec.verify.cases import input_of

SHAPE = (3, 4, 5)


def values(mean: object, shape: tuple[int, ...] = SHAPE) -> Array:
    return input_of(Input("x", TensorType.of(*shape), Preprocessing.model_validate({"mean": mean})), 50)


def test_a_mean_that_training_will_compute_is_mid_gray() -> None:
    for word in ("per_channel", "per_pixel"):
        np.testing.assert_array_equal(values(word), values([127.5]))


def test_an_image_is_subtracted_at_its_own_size_and_by_channel_at_others() -> None:
    image = np.empty(SHAPE, np.float32)
    image[:] = np.arange(20).reshape(4, 5)
    image += np.array([100, 120, 140], np.float32)[:, None, None]
    mean = MeanImage.of(image)
    plain, subtracted = values([0.0]), values(mean)
    kept = (subtracted != 0) & (plain != 0)
    np.testing.assert_array_equal(subtracted[kept], (plain - image)[kept])
    np.testing.assert_array_equal(values(mean, (3, 5, 8)), values([109.5, 129.5, 149.5], (3, 5, 8)))
