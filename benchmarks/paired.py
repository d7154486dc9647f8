"""Two things timed in alternation, A B A B, so that a machine that slows down slows both; no benchmark of its own.

A time on a shared machine says little; the ratio of two that were taken side by side says more, and is what counts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

PAIRS = 9


@dataclass(frozen=True)
class Pairs:
    """Seconds of a peer and of one's own, pair by pair."""

    name: str
    peer: tuple[float, ...]
    own: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        """Own time as a share of the peer's in the same pair."""
        return [own / peer for peer, own in zip(self.peer, self.own, strict=True)]

    @property
    def ratio(self) -> float:
        """The median ratio."""
        return statistics.median(self.ratios)


def alternate(name: str, peer: Callable[[], object], own: Callable[[], object], pairs: int = PAIRS) -> Pairs:
    """Time both in turn, after one run of each that is not counted: it fills caches and compiles."""
    peer()
    own()
    measured = [(seconds(peer), seconds(own)) for _ in range(pairs)]
    return Pairs(name, *zip(*measured, strict=True))


def seconds(action: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def print_table(peer: str, rows: list[Pairs]) -> None:
    """A row for each: the median times, the median ratio, and from which to which ratio the pairs went."""
    width = max(len(row.name) for row in rows)
    print(f"against {peer}, {len(rows[0].peer)} pairs")
    print(f"{'':{width}}  {'peer ms':>9}{'own ms':>9}{'ratio':>7}  pairs")
    for row in rows:
        peer_ms, own_ms = (1e3 * statistics.median(times) for times in (row.peer, row.own))
        spread = f"{min(row.ratios):.2f} to {max(row.ratios):.2f}"
        print(f"{row.name:{width}}  {peer_ms:9.1f}{own_ms:9.1f}{row.ratio:7.2f}  {spread}", flush=True)
