"""How far random draws are from the distribution that they should have."""

from __future__ import annotations

import numpy as np


def largest_gap(values: np.ndarray, least: float, greatest: float) -> float:
    """Return Kolmogorov's distance of values from the uniform distribution between two bounds.

    Of a thousand seeds, one has a distance above 0.0138 for 20,000 draws.
    """
    even = (np.sort(values) - least) / (greatest - least)
    return float(np.abs(even - (np.arange(len(values)) + 0.5) / len(values)).max())


def chi_squared(counts: np.ndarray, expected: float) -> float:
    """Return Pearson's statistic of counts of which each should be `expected`."""
    return float(((counts - expected) ** 2 / expected).sum())
