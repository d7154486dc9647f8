"""A value that crosses between towers, and the bytes that it moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from netspec.ops.collective import CollectiveKind


class Crossing(NamedTuple):
    """A value that other towers need, or whose gradient they contribute to.

    Attributes:
        value: its name.
        kind: the exchange; see the table in `netspec.graph.placement`.
        readers: the nodes that read the result; empty for an output of the network.
        size: bytes of the whole value, for one sample.
        towers: their number.
        differentiable: whether the value depends on a trained weight, and so has a gradient.
        groups: of a `gather_group`, `spread_group` or `halo`, the groups of the layers that read it; a team of
            towers / groups towers computes each.
        reach: of a `halo`, the numbers of channels that are read before and behind a tower's share.
        channels: the number of channels of the whole value.
    """

    value: str
    kind: CollectiveKind
    readers: tuple[str, ...]
    size: int
    towers: int
    differentiable: bool
    groups: int = 1
    reach: tuple[int, int] = (0, 0)
    channels: int = 1

    @property
    def forward(self) -> int:
        """Bytes that each tower receives in the forward pass for one sample, at the least that the exchange takes.

        Of a halo, those of a tower with two neighbors in its team, or with the one that sends more.
        """
        match self.kind:
            case "gather" | "collect":
                return self._received_from_all
            case "gather_group":
                return self._received_from_team
            case "halo":
                return self._received_from_neighbors
            case "spread" | "share" | "spread_group":
                return 0

    @property
    def backward(self) -> int:
        """Bytes that each tower receives in the backward pass for one sample.

        An all-gather and a reduce-scatter move the others' shares; an all-reduce is one of each.
        """
        if not self.differentiable:
            return 0
        match self.kind:
            case "collect":
                return 0
            case "gather" | "share":
                return self._received_from_all
            case "spread":
                return 2 * self._received_from_all
            case "gather_group":
                return self._received_from_team
            case "spread_group":
                return self._received_from_team + self._received_from_all
            case "halo":
                return self._received_from_neighbors

    @property
    def _received_from_all(self) -> int:
        return self.size * (self.towers - 1) // self.towers

    @property
    def _received_from_team(self) -> int:
        return self.size * (self.towers // self.groups - 1) // self.towers

    @property
    def _received_from_neighbors(self) -> int:
        channels = max(self.reach) if self.towers == 2 * self.groups else sum(self.reach)
        return self.size * channels // self.channels
