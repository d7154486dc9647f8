"""`digits`: the 1,797 scans of handwritten digits in scikit-learn, for a first run without a download.

Source: Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits (UCI), the test set.
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from netspec.training.data.arrays import ArrayDataset
from netspec.training.data.dataset import Splits
from netspec.training.data.fingerprint import fingerprint

DIGITS = "digits"
_BRIGHTEST = 16  # the largest pixel value in scikit-learn's arrays
_HELD_BACK = 5  # every fifth scan is for validation


def open_digits() -> Splits:
    """Open the scans as uint8 images, (8, 8, 1). Every fifth is for validation."""
    images, labels = load_digits(return_X_y=True)
    pixels = (images.reshape(-1, 8, 8, 1) * 255 / _BRIGHTEST).round().astype(np.uint8)
    held_back = np.arange(len(labels)) % _HELD_BACK == _HELD_BACK - 1
    training, validation = (_dataset(pixels[part], labels[part].astype(np.int64)) for part in (~held_back, held_back))
    return Splits(training, validation, ("digits: every fifth scan is held back for validation",))


def _dataset(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], labels: np.ndarray) -> ArrayDataset:
    classes = tuple(str(digit) for digit in range(10))
    return ArrayDataset(DIGITS, pixels, labels, classes, fingerprint(pixels, labels.astype("<i8")))
