"""The exchanges between towers: nodes that `netspec.graph.tower` inserts into one tower's graph, not written in a spec.

They have no NumPy meaning, since each takes several processes; what the towers compute together is the network. Where
a layer works in fewer groups than there are towers, a team of neighboring towers computes each group.
"""

from typing import Literal

from netspec.ops.attributes import NonNegativeInt, PositiveInt
from netspec.ops.base import Op
from netspec.types import TensorType

CollectiveKind = Literal["gather", "collect", "spread", "share", "gather_group", "spread_group", "halo"]


class Collective(Op):
    """An exchange among `towers` along an axis."""

    towers: PositiveInt
    axis: PositiveInt

    def infer(self, x: TensorType) -> TensorType:
        return x

    def _scaled(self, x: TensorType, up: int, down: int) -> TensorType:
        """The type with the size of the axis times up / down."""
        index = self.axis - 1
        return x.with_features(*(size * up // down if i == index else size for i, size in enumerate(x.features)))


class Gather(Collective, kind="gather"):
    """The towers' shares of a value, concatenated for a layer of which each tower computes a share.

    Each tower's gradient is a part of the whole one: they are summed, and each tower takes its share.

    Shapes: x (N, C/towers, …) → (N, C, …).
    """

    def infer(self, x: TensorType) -> TensorType:
        return self._scaled(x, self.towers, 1)


class Collect(Gather, kind="collect"):
    """The towers' shares of a value, concatenated for a layer that all towers compute in the same way.

    The gradient is the same in each tower, which takes its share of it.

    Shapes: x (N, C/towers, …) → (N, C, …).
    """


class Spread(Collective, kind="spread"):
    """A whole value, for a layer of which each tower computes a share: the towers' gradients are summed.

    Shapes: x → the same.
    """


class Share(Collective, kind="share"):
    """A tower's share of a whole value; the gradients are concatenated.

    Shapes: x (N, C, …) → (N, C/towers, …).
    """

    def infer(self, x: TensorType) -> TensorType:
        return self._scaled(x, 1, self.towers)


class GatherGroup(Collective, kind="gather_group"):
    """The shares of a team of towers, concatenated: the channels of the group that the team computes.

    Each tower's gradient is a part of the group's: the team's are summed, and each tower takes its share.

    Shapes: x (N, C/towers, …) → (N, C/groups, …).
    """

    groups: PositiveInt

    def infer(self, x: TensorType) -> TensorType:
        return self._scaled(x, self.towers // self.groups, 1)


class SpreadGroup(Collective, kind="spread_group"):
    """The channels of a whole value that belong to the group that the tower's team computes.

    The gradients are summed within each team, and concatenated over the groups.

    Shapes: x (N, C, …) → (N, C/groups, …).
    """

    groups: PositiveInt

    def infer(self, x: TensorType) -> TensorType:
        return self._scaled(x, 1, self.groups)


class Halo(Collective, kind="halo"):
    """A tower's share between the `before` channels before it and the `after` channels behind it.

    Neighbors in the tower's team send these channels, and take their gradients back; beyond the team's ends they are
    zeros. The name is that of what a stencil reads from neighboring processes.

    Shapes: x (N, C/towers, …) → (N, before + C/towers + after, …).
    """

    groups: PositiveInt
    before: NonNegativeInt
    after: NonNegativeInt

    def infer(self, x: TensorType) -> TensorType:
        index = self.axis - 1
        more = self.before + self.after
        return x.with_features(*(size + more if i == index else size for i, size in enumerate(x.features)))


COLLECTIVES: dict[CollectiveKind, type[Collective]] = {
    "gather": Gather,
    "collect": Collect,
    "spread": Spread,
    "share": Share,
    "gather_group": GatherGroup,
    "spread_group": SpreadGroup,
    "halo": Halo,
}
