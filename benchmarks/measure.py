"""Measures a row: two subjects in alternation, A B A B, so that a change of the machine's speed affects both."""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from worker import Worker

TOLERANCE = 1e-4  # largest difference in float32, as a share of the largest output


@dataclass(frozen=True)
class Row:
    """A ratio to measure: that of netspec to a peer.

    Attributes:
        name: what is measured.
        against: the peer, in words.
        ours, peer: the two subjects, each `module:function` in `subjects/`.
        target: the largest ratio ours / peer that is accepted.
        arguments: keyword arguments of both subjects.
        our_arguments, peer_arguments: keyword arguments of one.
        pairs: how often each subject is measured.
        calls: calls in each measurement.
        quantity: seconds of a call, or peak memory during one.
        scale: a factor of the ratio, for subjects that do different amounts of work.
        same_outputs: whether to check first that both subjects compute the same outputs.
    """

    name: str
    against: str
    ours: str
    peer: str
    target: float
    arguments: dict[str, Any] = field(default_factory=dict)
    our_arguments: dict[str, Any] = field(default_factory=dict)
    peer_arguments: dict[str, Any] = field(default_factory=dict)
    pairs: int = 7
    calls: int = 1
    quantity: Literal["seconds", "memory"] = "seconds"
    scale: float = 1.0
    same_outputs: bool = False


@dataclass(frozen=True)
class Measured:
    """A row with its measurements, in pairs (peer, ours)."""

    row: Row
    pairs: tuple[tuple[float, float], ...]

    @property
    def ratios(self) -> list[float]:
        """The ratio ours / peer of each pair, in ascending order."""
        return sorted(self.row.scale * ours / peer for peer, ours in self.pairs)

    @property
    def ratio(self) -> float:
        """The median ratio."""
        return statistics.median(self.ratios)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and the third quartile of the ratios, which bound their noise."""
        if len(self.ratios) < 2:
            return self.ratio, self.ratio
        low, _, high = statistics.quantiles(self.ratios, n=4, method="inclusive")
        return low, high

    @property
    def missed(self) -> bool:
        """Whether three quarters of the pairs exceed the target: more than noise explains."""
        return self.quartiles[0] > self.row.target


def measure(row: Row) -> Measured:
    """Measure both subjects in alternation.

    Raises:
        SystemExit: a subject failed, or the outputs differ.
    """
    peer = Worker(row.peer, row.arguments | row.peer_arguments)
    ours = Worker(row.ours, row.arguments | row.our_arguments)
    try:
        if row.same_outputs:
            require_same_outputs(row, peer, ours)
        if row.quantity == "memory":
            return Measured(row, tuple((peer.peak(), ours.peak()) for _ in range(row.pairs)))
        return Measured(row, tuple((peer.seconds(row.calls), ours.seconds(row.calls)) for _ in range(row.pairs)))
    finally:
        peer.close()
        ours.close()


def require_same_outputs(row: Row, peer: Worker, ours: Worker) -> None:
    """Raise SystemExit unless the outputs of both subjects are equal to within the tolerance."""
    with tempfile.TemporaryDirectory() as folder:
        expected, received = peer.output(Path(folder) / "peer.npy"), ours.output(Path(folder) / "ours.npy")
    if received.shape != expected.shape:
        raise SystemExit(f"{row.name}: outputs have shape {received.shape}, those of the peer {expected.shape}")
    difference = float(np.abs(received - expected).max() / np.abs(expected).max())
    if not difference < TOLERANCE:
        raise SystemExit(f"{row.name}: outputs differ from those of the peer by {difference:.1e} of the largest")
