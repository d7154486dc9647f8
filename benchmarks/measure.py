"""What is compared: rows of two subjects that take turns, A B A B, so that a machine that slows down slows both."""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from worker import Worker

TOLERANCE = 1e-4  # of the largest, in float32: what is compared must be one function, or its time says nothing


@dataclass(frozen=True)
class Row:
    """A ratio to be measured.

    Attributes:
        name: what is measured.
        against: the peer, in words.
        own, peer: `module:function` of `subjects/`.
        target: the most that own / peer may be.
        arguments: of both.
        own_arguments, peer_arguments: of one.
        pairs, calls: turns, and calls in each.
        measure: seconds of a call, or peak MiB during one.
        scale: what the ratio is multiplied by, where the two do not do the same amount of work.
        same: whether both compute one function, which is then checked.
    """

    name: str
    against: str
    own: str
    peer: str
    target: float
    arguments: dict[str, Any] = field(default_factory=dict)
    own_arguments: dict[str, Any] = field(default_factory=dict)
    peer_arguments: dict[str, Any] = field(default_factory=dict)
    pairs: int = 7
    calls: int = 1
    measure: Literal["seconds", "memory"] = "seconds"
    scale: float = 1.0
    same: bool = False


@dataclass(frozen=True)
class Measured:
    """A row with its pairs, (peer, own)."""

    row: Row
    pairs: tuple[tuple[float, float], ...]

    @property
    def ratios(self) -> list[float]:
        """Own as a share of the peer's in the same pair, in ascending order."""
        return sorted(self.row.scale * own / peer for peer, own in self.pairs)

    @property
    def ratio(self) -> float:
        """The median."""
        return statistics.median(self.ratios)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Between which the middle half of the pairs lie: the noise."""
        if len(self.ratios) < 2:
            return self.ratio, self.ratio
        low, _, high = statistics.quantiles(self.ratios, n=4, method="inclusive")
        return low, high

    @property
    def missed(self) -> bool:
        """Whether three quarters of the pairs, and so more than the noise, are beyond the target."""
        return self.quartiles[0] > self.row.target


def measure(row: Row) -> Measured:
    """Both subjects in turn.

    Raises:
        SystemExit: a subject failed, or the two are not one function.
    """
    peer = Worker(row.peer, row.arguments | row.peer_arguments)
    own = Worker(row.own, row.arguments | row.own_arguments)
    try:
        if row.same:
            require_equal(row, peer, own)
        if row.measure == "memory":
            return Measured(row, tuple((peer.peak(), own.peak()) for _ in range(row.pairs)))
        return Measured(row, tuple((peer.seconds(row.calls), own.seconds(row.calls)) for _ in range(row.pairs)))
    finally:
        peer.close()
        own.close()


def require_equal(row: Row, peer: Worker, own: Worker) -> None:
    """SystemExit unless both outputs are the same to the tolerance."""
    with tempfile.TemporaryDirectory() as folder:
        expected, received = peer.output(Path(folder) / "peer.npy"), own.output(Path(folder) / "own.npy")
    difference = float(np.abs(received - expected).max() / np.abs(expected).max())
    if received.shape != expected.shape or not difference < TOLERANCE:
        raise SystemExit(f"{row.name}: not one function: they differ by {difference:.1e} of the largest")
